"""Own data: a file that nobody has described becomes a contract and settings to read it by."""

import argparse
import csv
import re
from itertools import islice
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from charset_normalizer import from_bytes
from pandas.api import types

from . import ProjectError, observers, replace
from .contract import CONTRACT, Contract, resolve, written
from .inference import infer, summary, time_format
from .reading import UNITS, files, is_parquet, numbers, read_table
from .settings import CONFIG, Data, Problem, configured, load

SEPARATORS = (",", ";", "\t", "|")
BYTE_ORDER = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
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


def encoding_of(path: Path) -> str:
    """The encoding of a text file: its mark, UTF-8 where that fits, else the likeliest.

    Raises ValueError where it is no text.
    """
    raw = path.read_bytes()
    if mark := next(filter(raw.startswith, BYTE_ORDER), None):
        return BYTE_ORDER[mark]
    if b"\0" in raw:
        raise ValueError("not text but binary; save it as CSV (in Excel: Save as, CSV UTF-8)")
    if decodes(raw, "utf-8"):
        return "utf-8"
    values = np.frombuffer(raw, dtype="uint8")
    latin = np.isin(values | 32, np.arange(ord("a"), ord("z") + 1)).sum()
    best = from_bytes(raw[: 1 << 18]).best() if (values > 127).sum() > latin else None
    likely = best.encoding if best else "cp1252"
    return likely if decodes(raw, likely) else "latin-1"


def decodes(raw: bytes, encoding: str) -> bool:
    """Are these bytes text in this encoding?"""
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def separator_of(path: Path, encoding: str) -> str:
    """The separator that gives most of the first rows the header's fields, and the most of them."""
    with path.open(encoding=encoding, newline="") as file:
        head = list(islice(file, 200))

    def fit(separator: str) -> tuple[float, int]:
        rows = csv.reader(head, delimiter=separator, skipinitialspace=True)
        header, *widths = [len(row) for row in rows if row] or [1]
        return (widths.count(header) if header > 1 else 0), header

    return max(SEPARATORS, key=fit)


def look(pattern: str, encoding: str | None) -> tuple[Data, pd.DataFrame]:
    """Encoding and separator of a file, and its rows; the columns of a CSV as text."""
    first = files(pattern)[0]
    data = Data(path=pattern)
    try:
        if not is_parquet(first):
            found = encoding or encoding_of(first)
            data = Data(path=pattern, encoding=found, separator=separator_of(first, found))
    except (OSError, ValueError, LookupError, csv.Error) as error:
        raise ProjectError(f"{first}: cannot be read: {error}") from error
    return data, read_table(pattern, data)


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
