"""The contract inferred from a file, so that own data need no Python."""

import argparse
import re
import shutil
from difflib import get_close_matches
from itertools import count
from pathlib import Path
from typing import Any, Literal, get_args
from unicodedata import normalize

import pandas as pd
import tomlkit
from pandas.api import types

from . import ProjectError, observers
from .contract import CONTRACT, Column, Contract, Kind, Role, as_text, as_time, time_format, written
from .reading import UNITS, files, is_parquet, look, numbers
from .settings import CONFIG, Data, load

# Decimal and thousands mark, the plainest first
MARKS = [(".", ""), (".", ","), (",", "."), (",", ""), (",", " "), (",", "\u00a0"), (",", "\u202f")]
MARKS += [(".", "'"), (".", "’"), (".", " ")]
UNKNOWN = {"?", "-", "--", "–", "—", ".", "none", "n.a.", "k.a.", "unknown", "missing"}
ID_NAME = re.compile(r"(?i:(?:^|[\W_])(?:ids?|uuid|guid)$)|[a-z](?:Id|ID)$|^Unnamed: \d+$")
COUNTED = re.compile(r"(?i:(?:^|[\W_])(?:key|index|idx|nr|no|num)\.?|number|nummer)$|[a-z]Key$")
CODE = r"0\d+|\d{16,}"  # zip codes, and what is too long for a float
LISTED = 200
SHOWN = 50
CLASSES = 100

Problem = Literal["classification", "regression"]


def marks_of(columns: list[pd.Series], separator: str) -> dict[str, str | None]:
    """`decimal` and `thousands` mark under which most of these columns are numbers."""
    samples = [[re.sub(UNITS, r"\1\2", value) for value in sample(unique)] for unique in columns]

    def fit(marks: tuple[str, str]) -> int:
        whole = r"\d+|[1-9]\d{0,2}(?:[%s]\d{3})+" % marks[1] if marks[1] else r"\d*\.?\d*"
        number = re.compile(rf"[+-]?(?:{whole})(?:[{marks[0]}]\d*)?").fullmatch
        hits = [(sum(map(bool, map(number, values))), len(values)) for values in samples]
        return sum(hit >= 0.8 * total > 0 for hit, total in hits)

    order = [MARKS[0], MARKS[2], MARKS[3], *MARKS] if separator != "," else MARKS
    decimal, thousands = max(order, key=fit)
    used = re.compile(
        rf"[+-]?[1-9]\d{{0,2}}([{thousands or ','}]\d{{3}})+([{decimal}]\d*)?"
    ).fullmatch
    grouped = any(map(used, (value for values in samples for value in values)))
    return {"decimal": decimal, "thousands": thousands if thousands and grouped else None}


def sample(unique: pd.Series) -> list[str]:
    """Some of these texts, those with marks between digits first."""
    marked = [unique[unique.str.contains(rf"\d[{marks}]\d")] for marks in (",'’ \u00a0\u202f", ".")]
    return [*marked[0].head(100), *marked[1].head(100), *unique.head(50)]


def missing_of(columns: dict[str, pd.Series], data: Data, target: str) -> list[str]:
    """Words that stand for a missing value: '?', and the few among numbers, or known among times."""
    words: set[str] = set()
    classes: set[str] = set()
    for name, unique in columns.items():
        odd = unique[numbers(unique, data).isna()]
        known = odd[odd.str.strip().str.lower().isin(UNKNOWN)]
        strange, others = odd.drop(known.index), len(unique) - len(odd)
        rare = others > 10 and len(strange) <= 3 and not strange.str.contains(r"\d").any()
        dated = len(known) > 0 and len(strange) > 0 and time_format(strange) is not None
        if (others and (rare or strange.empty)) or dated:
            words.update(odd if others else known)
        elif name == target:
            classes = set(unique)
        words.update({"?"} & set(known))
    return sorted(words - (classes - {"?"}))


def kind_of(unique: pd.Series, rows: int, data: Data) -> tuple[Kind, str | None]:
    """The kind of these different values of so many rows, and the format of times in text."""
    if types.is_bool_dtype(unique):
        return "boolean", None
    if types.is_datetime64_any_dtype(unique):
        return "time", None
    found, text = numbers(unique, data), not types.is_numeric_dtype(unique)
    coded = text and bool(unique.str.fullmatch(CODE).any())
    if len(unique) and found.notna().all() and not coded:
        return (
            "integer" if (found % 1 == 0).all() and found.abs().max() < 2**53 else "number"
        ), None
    words = unique.astype("str")
    if set(words.str.lower()) <= {"true", "false"} and len(words):
        return "boolean", None
    if form := None if coded else time_format(words):
        return "time", form
    return ("category" if 0 < len(words) <= max(20, rows / 2) else "text"), None


def role_of(name: str, values: pd.Series, kind: Kind) -> tuple[Role, str]:
    """What a column that is not the target is used for, and why where that is not plain."""
    rows, distinct = len(values), values.nunique()
    if distinct < 2:
        return "ignored", "the same in all rows" if distinct else "empty"
    if kind in ("time", "number", "boolean"):
        return "feature", ""
    every, named = distinct == rows, bool(ID_NAME.search(name))
    if every and (named or COUNTED.search(name) or counts(values, kind)):
        return "id", "different in every row"
    if named and distinct > max(20, rows / 20):
        return "group", f"an id of {distinct:,} that repeats: rows of one stay together"
    if kind == "text" or (kind == "category" and every and rows >= 20):
        return "ignored", f"text, {distinct:,} different"
    return "feature", ""


def counts(values: pd.Series, kind: Kind) -> bool:
    """Does the column number the rows, from 0 or 1?"""
    if kind != "integer" or len(values) < 20:
        return False
    found = pd.to_numeric(values, errors="coerce")
    return bool(found.iloc[0] in (0, 1) and (found.diff().iloc[1:] == 1).all())


def problem_of(target: str, values: pd.Series, column: Column, asked: Problem | None) -> Problem:
    """Classes or a number?  Whole numbers are classes where few of them come again and again.

    Raises ProjectError where the values are neither, or not what was asked for.
    """
    distinct, rows, numeric = values.nunique(), len(values), column.kind in ("number", "integer")
    if distinct < 2:
        only = f"only {str(values.iloc[0])!r}" if distinct else "no value"
        raise ProjectError(f"{target}: {only} in all rows; two different ones are needed")
    if asked == "regression" and not numeric:
        raise ProjectError(f"{target}: a {column.kind}, so PROBLEM must be classification")
    if asked == "regression" or (numeric and not asked and not few(distinct, rows, column)):
        return "regression"
    if column.kind == "time" or distinct > max(2, rows / 2) or (distinct > CLASSES and not asked):
        raise ProjectError(
            f"{target}: {distinct:,} different values in {rows:,} rows, of kind {column.kind}:"
            f" neither a number nor at most {CLASSES} classes; choose another TARGET"
        )
    return "classification"


def few(distinct: int, rows: int, column: Column) -> bool:
    """Are these whole numbers classes: two to five, or few and close together, each in some rows?"""
    if column.kind != "integer" or column.range is None:
        return False
    close = column.range[1] - column.range[0] < 2 * distinct
    return distinct == 2 or (rows >= 3 * distinct and (distinct <= 5 or (distinct <= 20 and close)))


def column_of(values: pd.Series, data: Data, role: Role | None) -> tuple[Column, str]:
    """The column in the contract, and a remark: why its role, or what it holds."""
    known = values.dropna()
    unique = known.drop_duplicates()
    kind, form = kind_of(unique, len(known), data)
    found, remark = (role, "") if role else role_of(str(values.name), known, kind)
    column = Column(kind=kind, role=found, nullable=len(known) < len(values), format=form)
    changes: dict[str, Any] = {}
    held = ""
    if kind in ("number", "integer"):
        low, high = numbers(unique, data).agg(["min", "max"])
        changes["range"] = (int(low), int(high)) if kind == "integer" else (low, high)
        held = f"{low:g} to {high:g}"
    elif kind == "category":
        words = sorted(as_text(unique, column).unique())
        changes["categories"] = words if len(words) <= LISTED else None
        held = f"{len(words):,}: " + ", ".join(words[:4])
    elif kind == "time":
        times = as_time(unique, column)
        held = f"{times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}"
    used = found in ("feature", "target")
    return column.model_copy(update=changes if used else {}), remark or held


def resolve(target: str, names: list[str]) -> str:
    """The column that is meant: as written, else the one alike but for case, blanks, accents."""

    def plain(name: str) -> str:
        return " ".join(normalize("NFKC", name).casefold().split())

    alike = [name for name in names if plain(name) == plain(target)]
    if target in names or len(alike) == 1:
        return target if target in names else alike[0]
    near = get_close_matches(target, names, n=3)
    shown = list(dict.fromkeys([*near, *names]))[:20]
    more = f", and {len(names) - 20} more" if len(names) > 20 else ""
    raise ProjectError(f"TARGET {target!r}: no such column; there are: {', '.join(shown)}{more}")


def infer(
    frame: pd.DataFrame, data: Data, target: str, asked: Problem | None = None
) -> tuple[Contract, Problem, dict[str, str]]:
    """The contract of these rows, the problem, and remarks by column.

    Raises ProjectError where the target cannot be learned, or no feature is left.
    """
    found = {n: column_of(frame[n], data, "target" if n == target else None) for n in frame}
    columns = {name: column for name, (column, _) in found.items()}
    remarks = {name: remark for name, (_, remark) in found.items()}
    problem = problem_of(target, frame[target].dropna(), columns[target], asked)
    if problem == "classification" and columns[target].kind == "number":
        labels = {"kind": "category", "range": None}
        columns[target] = columns[target].model_copy(update=labels)
    times = (
        n for n, column in columns.items() if (column.kind, column.role) == ("time", "feature")
    )
    if first := next(times, None):
        columns[first] = columns[first].model_copy(update={"role": "time"})
        remarks[first] += "; orders the rows: the latest are held out"
    contract = Contract(columns=columns)
    if not contract.inputs():
        raise ProjectError(f"{data.path}: no column can serve as a feature beside {target!r}")
    return contract, problem, remarks


def configured(data: Data, target: str, problem: Problem, classes: int) -> str:
    """The text of `config.toml` for these data; comments and all else stay as they are.

    Raises ProjectError where the file, so changed, would not be valid.
    """
    load(problem=problem, data=data.model_dump())
    config: Any = tomlkit.parse(CONFIG.read_text(encoding="utf-8"))
    about = config.setdefault("about", {})
    fresh = config["data"].get("path") != data.path or config["problem"] != problem
    if fresh or str(about.get("question", "")).startswith("What is "):
        about["question"] = f"What is {target.rstrip('?')}?"
    if fresh:
        about.update({"intended_use": "", "limits": []})
        metric = "roc_auc" if classes == 2 else "balanced_accuracy"
        config["metric"] = metric if problem == "classification" else "mae"
    config["problem"] = problem
    config["data"].pop("thousands", None)
    config["data"].update(data.model_dump(exclude_none=True))
    return tomlkit.dumps(config)


def interpreted(data: Data, frame: pd.DataFrame, target: str) -> tuple[Data, pd.DataFrame]:
    """With the marks of numbers and the words for missing values, which are missing in the rows."""
    texts = {name: frame[name].dropna().drop_duplicates() for name in frame.select_dtypes("str")}
    data = data.model_copy(update=marks_of(list(texts.values()), data.separator))
    data = data.model_copy(update={"missing": missing_of(texts, data, target)})
    holes = {name: frame[name].mask(frame[name].isin(data.missing)) for name in texts}
    return data, frame.assign(**holes) if data.missing else frame


def summary(frame: pd.DataFrame, contract: Contract, remarks: dict[str, str]) -> str:
    """A line for each of the first columns: name, kind, role, what is missing, what it holds."""
    width = min(40, max(map(len, contract.columns)))
    lines = []
    for name, column in list(contract.columns.items())[:SHOWN]:
        lost = f"{frame[name].isna().mean():.1%} missing" if column.nullable else ""
        shown = " ".join(name.split())[:width]
        line = f"  {shown:{width}} {column.kind:9} {column.role:8} {lost:14} {' '.join(remarks[name].split())[:70]}"
        lines.append(line.rstrip())
    if (more := len(contract.columns) - SHOWN) > 0:
        lines.append(f"  ... and {more:,} more columns: see {CONTRACT}")
    return "\n".join(lines)


def described(data: Data) -> str:
    """How the file is read, in words."""
    if is_parquet(files(data.path)[0]):
        return "as Parquet"
    known = data.model_dump(exclude={"path"}, exclude_none=True)
    return "with " + ", ".join(f"{name} {value!r}" for name, value in known.items() if value)


def replace(texts: dict[Path, str]) -> None:
    """Write these files, all or none; one that changes is first copied under a name that is free.

    Raises ProjectError where that cannot be done.
    """
    changed = {
        p: t.encode() for p, t in texts.items() if not p.exists() or p.read_bytes() != t.encode()
    }
    parts = {path: path.with_name(f"{path.name}.part") for path in changed}
    olds: dict[Path, Path] = {}
    try:
        for path, content in changed.items():
            parts[path].write_bytes(content)
        for path in filter(Path.exists, changed):
            names = (Path(f"{path}.old-{number}") for number in count(1))
            olds[path] = shutil.copy2(path, next(name for name in names if not name.exists()))
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        for path, old in olds.items():
            old.replace(path)
        for part in parts.values():
            if part.is_file():
                part.unlink()
        said = f"{error.filename}: cannot be written: {error.strerror}; nothing is changed"
        raise ProjectError(said) from error
    for path in texts:
        kept = f" (the old one is {olds[path]})" if path in olds else ""
        print(f"Wrote {path}{kept}" if path in changed else f"{path} is as it was")


def main(arguments: list[str]) -> None:
    """Infer the contract of a file, write it and what changes in `config.toml`, keep the old."""
    parser = argparse.ArgumentParser(prog="contract", description="Make contract.toml from a file.")
    parser.add_argument("--data", required=True, help="CSV or Parquet file, or a pattern")
    parser.add_argument("--target", required=True, help="the column to predict")
    parser.add_argument("--problem", choices=get_args(Problem), help="if inferred wrong")
    parser.add_argument("--encoding", help="of a CSV, if found wrong")
    options = parser.parse_args(arguments)
    if not (options.data and options.target):
        raise ProjectError("DATA and TARGET are needed: make contract DATA=file TARGET=column")
    data, frame = look(options.data, options.encoding)
    target = resolve(options.target, list(frame.columns))
    data, frame = interpreted(data, frame, target)
    contract, problem, remarks = infer(frame, data, target, options.problem)
    config = configured(data, target, problem, frame[target].nunique())
    replace({CONFIG: config, CONTRACT: written(contract)})
    for observer in observers("contracted"):
        observer(load(), frame)
    print(f"\n{len(frame):,} rows of {data.path}, read {described(data)}")
    print(summary(frame, contract, remarks))
    empty = int(frame[target].isna().sum())
    rest = f"; {empty:,} rows without one are left out of training" if empty else ""
    print(f"\n{problem.capitalize()} of {target}{rest}.")
    if (
        not options.problem
        and contract.columns[target].kind == "integer"
        and frame[target].nunique() > 2
    ):
        other = {"regression": "classes", "classification": "amounts"}[problem]
        wanted = next(name for name in get_args(Problem) if name != problem)
        print(f"Are its whole numbers {other}?  Then add PROBLEM={wanted}.")
    print(f"Next: read {CONTRACT} and set reviewed = true; then `make train`.")
