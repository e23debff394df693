"""Own data: a file that nobody has described becomes a contract and settings to read it by."""

import argparse
import re
import shutil
from itertools import count
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import tomlkit
from pandas.api import types

from . import ProjectError, observers
from .contract import CONTRACT, Contract, time_format, written
from .inference import Problem, infer, resolve, summary
from .reading import UNITS, files, is_parquet, look, numbers
from .settings import CONFIG, Data, load

# Decimal and thousands mark, the plainest first
MARKS = [
    (".", ""),
    (".", ","),
    (",", "."),
    (",", ""),
    (",", " "),
    (",", "\u00a0"),
    (",", "\u202f"),
    (".", "'"),
    (".", "’"),
    (".", " "),
]
UNKNOWN = {"?", "-", "--", "–", "—", ".", "none", "n.a.", "k.a.", "unknown", "missing"}


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
    group = re.compile(r"[+-]?[1-9]\d{0,2}([%s]\d{3})+([%s]\d*)?" % (thousands or ",", decimal))
    grouped = any(group.fullmatch(value) for values in samples for value in values)
    return {"decimal": decimal, "thousands": thousands if thousands and grouped else None}


def sample(unique: pd.Series) -> list[str]:
    """Some of these texts, those with marks between digits first."""
    between = (",'’ \u00a0\u202f", ".")
    marked = [unique[unique.str.contains(rf"\d[{marks}]\d")] for marks in between]
    return [*marked[0].head(100), *marked[1].head(100), *unique.head(50)]


def missing_of(columns: dict[str, pd.Series], data: Data, target: str) -> list[str]:
    """Words that stand for a missing value: '?', the few among numbers, the known among times."""
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


def interpreted(data: Data, frame: pd.DataFrame, target: str) -> tuple[Data, pd.DataFrame]:
    """With the marks of numbers and the words for missing values, which are missing in the rows."""
    texts = {
        str(name): values.dropna().drop_duplicates()
        for name, values in frame.items()
        if types.is_string_dtype(values)
    }
    data = data.model_copy(update=marks_of(list(texts.values()), data.separator))
    data = data.model_copy(update={"missing": missing_of(texts, data, target)})
    holes = {name: frame[name].mask(frame[name].isin(data.missing)) for name in texts}
    return data, frame.assign(**holes) if data.missing else frame


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


def described(data: Data) -> str:
    """How the file is read, in words."""
    if is_parquet(files(data.path)[0]):
        return "as Parquet"
    known = data.model_dump(exclude={"path"}, exclude_none=True)
    return "with " + ", ".join(f"{name} {value!r}" for name, value in known.items() if value)


def told(contract: Contract, problem: Problem, answers: pd.Series, asked: str | None) -> str:
    """What will be learned, how many rows cannot help, and what to do where it is wrong."""
    empty = int(answers.isna().sum())
    rest = f"; {empty:,} rows without one are left out of training" if empty else ""
    text = f"\n{problem.capitalize()} of {contract.target}{rest}."
    if asked or contract.columns[contract.target].kind != "integer" or answers.nunique() < 3:
        return text
    held, other = {
        "regression": ("classes", "classification"),
        "classification": ("amounts", "regression"),
    }[problem]
    return f"{text}\nAre its whole numbers {held}?  Then add PROBLEM={other}."


def replace(texts: dict[Path, str]) -> None:
    """Write these files, all or none; one that changes is first copied under a name that is free.

    Raises ProjectError where that cannot be done.
    """
    changed = {
        path: text.encode() for path, text in texts.items() if content(path) != text.encode()
    }
    parts = {path: path.with_name(f"{path.name}.part") for path in changed}
    olds: dict[Path, Path] = {}
    try:
        for path, text in changed.items():
            parts[path].write_bytes(text)
        for path in filter(Path.exists, changed):
            olds[path] = set_aside(path)
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        for path, old in olds.items():
            old.replace(path)
        for part in filter(Path.is_file, parts.values()):
            part.unlink()
        said = f"{error.filename}: cannot be written: {error.strerror}; nothing is changed"
        raise ProjectError(said) from error
    for path in texts:
        kept = f" (the old one is {olds[path]})" if path in olds else ""
        print(f"Wrote {path}{kept}" if path in changed else f"{path} is as it was")


def content(path: Path) -> bytes | None:
    """What the file holds; None where there is none."""
    return path.read_bytes() if path.exists() else None


def set_aside(path: Path) -> Path:
    """A copy of the file under a name that is free."""
    names = (Path(f"{path}.old-{number}") for number in count(1))
    return Path(shutil.copy2(path, next(name for name in names if not name.exists())))


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
    print(told(contract, problem, frame[target], options.problem))
    print(f"Next: read {CONTRACT} and set reviewed = true; then `make train`.")
