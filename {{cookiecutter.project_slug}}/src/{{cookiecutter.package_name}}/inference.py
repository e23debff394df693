"""The contract inferred from a file, so that own data need no Python."""

import argparse
import re
from itertools import count
from pathlib import Path
from typing import Any, Literal, get_args
from unicodedata import normalize

import pandas as pd
import tomlkit

from . import ProjectError, observers
from .contract import CONTRACT, Column, Contract, Kind, Role
from .reading import PARQUET, look, numbers
from .settings import CONFIG, Data, load

HEADER = """\
What the data hold, column by column; training, prediction and checks read it.
Made by `make contract DATA=file TARGET=column`.  Read it, correct it, then set reviewed = true.
kind: number integer boolean category text time
role: feature target id time group personal ignored"""
DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%d %b %Y", "%b %d, %Y")
TIMES = ("ISO8601", *(day + clock for day in DAYS for clock in ("", " %H:%M", " %H:%M:%S")))
ID_NAME = re.compile(
    r"(?i:(?:^|[\W_])(?:id|ids|uuid|guid|key|index|idx|nr|no)$)|[a-z](?:Id|ID|Key)$|^Unnamed: \d+$"
)
LISTED = 200
CLASSES = 100

Problem = Literal["classification", "regression"]


def kind_of(values: pd.Series, data: Data) -> tuple[Kind, str | None]:
    """The kind of these values, none of them missing, and for times the format they stand in."""
    if pd.api.types.is_bool_dtype(values):
        return "boolean", None
    if pd.api.types.is_datetime64_any_dtype(values):
        return "time", None
    found = numbers(values, data)
    coded = not pd.api.types.is_numeric_dtype(values) and values.str.fullmatch(r"0\d+").any()
    if found.notna().all() and not coded:
        return ("integer" if (found % 1 == 0).all() else "number"), None
    words = values.astype("string")
    if set(words.str.lower().unique()) <= {"true", "false"}:
        return "boolean", None
    for form in TIMES if words.str.contains(r"\d").all() and not coded else ():
        if all(
            pd.to_datetime(part, format=form, errors="coerce", utc=True).notna().all()
            for part in (words.head(100), words)
        ):
            return "time", form
    return ("category" if words.nunique() <= max(20, len(words) / 2) else "text"), None


def role_of(name: str, values: pd.Series, kind: Kind) -> tuple[Role, str]:
    """What a column that is not the target is used for, and why where that is not plain."""
    rows, distinct = len(values), values.nunique()
    if distinct < 2:
        return "ignored", "the same in all rows" if distinct else "empty"
    if kind == "time":
        return "feature", ""
    named, every = bool(ID_NAME.search(name)), distinct == rows
    counter = (
        kind == "integer" and every and rows >= 20 and set(values.astype(float).diff()[1:]) == {1.0}
    )
    if every and (named or counter) and kind in ("integer", "category", "text"):
        return "id", "different in every row"
    if kind == "text" or (kind == "category" and every and rows >= 20):
        return "ignored", f"text, {distinct:,} different"
    if named and kind in ("integer", "category") and distinct > max(20, rows / 20):
        return "group", f"an id of {distinct:,} that repeats: rows of one stay together"
    return "feature", ""


def problem_of(target: str, values: pd.Series, kind: Kind) -> Problem:
    """Classes or a number?  Whole numbers are classes where few of them come again and again."""
    distinct, rows = values.nunique(), len(values)
    if kind == "number":
        return "regression"
    if kind == "integer":
        found = values.astype(float)
        few = distinct <= 20 and rows >= 3 * distinct and found.max() - found.min() < 2 * distinct
        return "classification" if distinct == 2 or few else "regression"
    if kind == "time" or distinct > min(CLASSES, max(2, rows / 2)):
        raise ProjectError(
            f"{target}: {distinct:,} different values in {rows:,} rows, of kind {kind}:"
            f" neither a number nor at most {CLASSES} classes; choose another TARGET"
        )
    return "classification"


def column_of(values: pd.Series, data: Data, role: Role | None) -> tuple[Column, str]:
    """The column in the contract, and a remark for the person who reads it."""
    known = values.dropna()
    kind, form = kind_of(known, data)
    found, remark = (role, "") if role else role_of(str(values.name), known, kind)
    words = known.astype("string").str.strip()
    listed = kind == "category" and found in ("feature", "target") and known.nunique() <= LISTED
    span = numbers(known, data).agg(["min", "max"]) if kind in ("number", "integer") else None
    if kind == "integer" and span is not None:
        span = span.astype("int64")
    column = Column(
        kind=kind,
        role=found,
        nullable=len(known) < len(values),
        range=tuple(span.tolist()) if span is not None and found in ("feature", "target") else None,
        categories=sorted(words.unique()) if listed else None,
        format=form,
    )
    return column, remark


def resolve(target: str, names: list[str]) -> str:
    """The column that is meant: as written, else the one alike but for case, blanks, accents."""

    def plain(name: str) -> str:
        return " ".join(normalize("NFKC", name).casefold().split())

    alike = [name for name in names if plain(name) == plain(target)]
    if target not in names and len(alike) != 1:
        raise ProjectError(f"TARGET {target!r}: no such column; there are: {', '.join(names)}")
    return target if target in names else alike[0]


def infer(
    frame: pd.DataFrame, data: Data, target: str, problem: Problem | None = None
) -> tuple[Contract, Problem, dict[str, str]]:
    """The contract of these rows, the problem, and remarks by column.

    Raises ProjectError where the target is not there or cannot be learned, or no feature is left.
    """
    target = resolve(target, list(frame.columns))
    found = {
        name: column_of(frame[name], data, "target" if name == target else None)
        for name in frame.columns
    }
    columns = {name: column for name, (column, _) in found.items()}
    remarks = {name: remark for name, (_, remark) in found.items() if remark}
    answers = frame[target].dropna()
    if answers.nunique() < 2:
        raise ProjectError(
            f"TARGET {target!r}: {answers.nunique()} different values; two are needed"
        )
    problem = problem or problem_of(target, answers, columns[target].kind)
    times = [
        name
        for name, column in columns.items()
        if column.kind == "time" and column.role == "feature"
    ]
    if times:
        columns[times[0]] = columns[times[0]].model_copy(update={"role": "time"})
        remarks[times[0]] = "orders the rows: the latest are held out"
    contract = Contract(columns=columns)
    if not contract.inputs():
        raise ProjectError(f"{data.path}: no column can serve as a feature beside {target!r}")
    return contract, problem, remarks


def summary(frame: pd.DataFrame, contract: Contract, remarks: dict[str, str]) -> str:
    """A line for each column: name, kind, role, what is missing, what it holds."""
    lines = []
    for name, column in contract.columns.items():
        lost = f"{frame[name].isna().mean():.1%} missing" if column.nullable else ""
        held = ""
        if column.range:
            held = f"{column.range[0]:g} to {column.range[1]:g}"
        elif column.categories:
            held = f"{len(column.categories)}: " + ", ".join(column.categories[:4])
        cells = (name, column.kind, column.role, lost, remarks.get(name) or held)
        widths = (24, 9, 8, 14, 60)
        line = " ".join(f"{cell[:width]:{width}}" for cell, width in zip(cells, widths))
        lines.append(f"  {line}".rstrip())
    return "\n".join(lines)


def written(contract: Contract) -> str:
    """The text of `contract.toml`."""
    text = tomlkit.document()
    for line in HEADER.splitlines():
        text.add(tomlkit.comment(line))
    text.add("reviewed", contract.reviewed)
    columns = contract.model_dump(exclude_defaults=True)["columns"]
    text.add("columns", columns)
    return tomlkit.dumps(text)


def configured(data: Data, target: str, problem: Problem, classes: int) -> str:
    """The text of `config.toml` for these data; comments and all else stay as they are."""
    try:
        config: Any = tomlkit.parse(CONFIG.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProjectError(f"{CONFIG}: cannot be read: {error}") from error
    if config.get("data", {}).get("path") != data.path or config.get("problem") != problem:
        config.setdefault("about", {}).update(
            {"question": f"What is {target}?", "intended_use": "", "limits": []}
        )
    metric = "roc_auc" if classes == 2 else "balanced_accuracy"
    config["problem"] = problem
    config["metric"] = metric if problem == "classification" else "mae"
    table = config.setdefault("data", {})
    table.pop("thousands", None)
    table.update(data.model_dump(exclude_none=True))
    return tomlkit.dumps(config)


def described(data: Data) -> str:
    """How the file is read, in words."""
    if Path(data.path).suffix in PARQUET:
        return "Parquet"
    marks = f"separator {data.separator!r}, decimal {data.decimal!r}"
    marks += f", thousands {data.thousands!r}" if data.thousands else ""
    marks += f", missing {', '.join(map(repr, data.missing))}" if data.missing else ""
    return f"{data.encoding}, {marks}"


def keep(path: Path) -> Path | None:
    """Set the file aside under a name that is free, and return that name."""
    if not path.exists():
        return None
    free = next(old for number in count(1) if not (old := Path(f"{path}.old-{number}")).exists())
    path.rename(free)
    return free


def replace(path: Path, text: str) -> None:
    """Write the file; the old one is set aside, and its new name printed."""
    old = keep(path)
    path.write_text(text, encoding="utf-8")
    print(f"Wrote {path}" + (f" (the old one is {old})" if old else ""))


def main(arguments: list[str]) -> None:
    """Infer the contract of a file, write it and what changes in `config.toml`, keep the old."""
    parser = argparse.ArgumentParser(prog="contract", description="Make contract.toml from a file.")
    parser.add_argument("--data", required=True, help="CSV or Parquet file, or a pattern")
    parser.add_argument("--target", required=True, help="the column to predict")
    parser.add_argument("--problem", choices=get_args(Problem), help="if inferred wrong")
    parser.add_argument("--encoding", help="of a CSV, if found wrong")
    options = parser.parse_args(arguments)
    data, frame = look(options.data, options.encoding)
    contract, problem, remarks = infer(frame, data, options.target, options.problem)
    config = configured(data, contract.target, problem, frame[contract.target].nunique())
    replace(CONTRACT, written(contract))
    replace(CONFIG, config)
    for observer in observers("contracted"):
        observer(load(), frame)
    print(f"\n{len(frame):,} rows of {data.path}, read as {described(data)}")
    print(summary(frame, contract, remarks))
    empty = int(frame[contract.target].isna().sum())
    rest = f"; {empty:,} rows without one are left out of training" if empty else ""
    print(f"\n{problem.capitalize()} of {contract.target}{rest}.")
    print(f"Next: read {CONTRACT} and set reviewed = true; then `make train`.")
