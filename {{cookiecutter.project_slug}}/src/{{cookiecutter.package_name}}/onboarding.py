"""Own data: a file that nobody has described becomes a contract and settings to read it by."""

import argparse
import csv
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import get_args
from unicodedata import normalize

import numpy as np
import pandas as pd
from charset_normalizer import from_bytes
from pandas.api import types

from . import ProjectError, observers, replace
from .casting import as_boolean, as_text, numbers, time_format
from .contract import CONTRACT, Contract, written
from .inference import infer
from .reading import doubtful_number, files, is_parquet, marks_of, read_table
from .settings import CONFIG, Data, Problem, configured, load

SEPARATORS = (",", ";", "\t", "|")
BYTE_ORDER = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
SHOWN = 50
OTHERS = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive",
    b"\x1f\x8b": "compressed by gzip",
    b"ARROW1": "a Feather file",
    b"{": "JSON",
    b"[": "JSON",
}
UNKNOWN = {"?", "-", "--", "–", "—", ".", "none", "n.a.", "k.a.", "unknown", "missing"}


def encoding_of(path: Path) -> str:
    """The encoding of a text file: its mark, UTF-8 where that fits, else the likeliest.

    Raises ValueError where it is no text.
    """
    raw = path.read_bytes()
    if kind := next((kind for start, kind in OTHERS.items() if raw.lstrip().startswith(start)), ""):
        raise ValueError(f"{kind}; only CSV and Parquet are read: save it as one of them")
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
    """The separator that gives most of the first rows equally many fields, and the most of them."""
    with path.open(encoding=encoding, newline="") as file:
        head = list(islice(file, 200))

    def fit(separator: str) -> tuple[float, int]:
        rows = csv.reader(head, delimiter=separator, skipinitialspace=True)
        widths = [len(row) for row in rows if row] or [1]
        usual = max(widths, key=widths.count)
        return (widths.count(usual) if usual > 1 else 0), usual

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


def check_names(names: list[str], path: str) -> None:
    """Raise ProjectError if the first line of a CSV holds values and no names.

    Numbers can be names, such as years, if they stand in order.
    """
    found = pd.to_numeric(pd.Series(names).str.replace(",", "."), errors="coerce").dropna()
    falling = found.is_monotonic_decreasing and (found % 1 == 0).all()
    if not (found.is_unique and (found.is_monotonic_increasing or falling)):
        shown = ", ".join(names[:5])
        way_out = "put a line above it that names each column"
        raise ProjectError(f"{path}: line 1 holds values, no names ({shown}); {way_out}")


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


def interpreted(
    data: Data, frame: pd.DataFrame, target: str, decimal: str | None = None
) -> tuple[Data, pd.DataFrame]:
    """With the marks of numbers and the words for missing values, which are missing in the rows.

    If a number can be read with either mark, that is printed.
    """
    texts = {
        str(name): values.dropna().drop_duplicates()
        for name, values in frame.items()
        if types.is_string_dtype(values)
    }
    columns = list(texts.values())
    data = data.model_copy(update=marks_of(columns, data.separator, decimal))
    if (number := doubtful_number(columns, data)) and not decimal:
        other = "." if data.decimal == "," else ","
        print(
            f"{number}: {data.decimal!r} is read as its decimal mark; if not, add DECIMAL={other}"
        )
    data = data.model_copy(update={"missing": missing_of(texts, data, target)})
    holes = {name: frame[name].mask(frame[name].isin(data.missing)) for name in texts}
    return data, frame.assign(**holes) if data.missing else frame


def described(data: Data) -> str:
    """How the file is read, in words."""
    if is_parquet(files(data.path)[0]):
        return "as Parquet"
    known = data.model_dump(exclude={"path"}, exclude_none=True)
    return "with " + ", ".join(f"{name} {value!r}" for name, value in known.items() if value)


def summary(frame: pd.DataFrame, contract: Contract, remarks: dict[str, str]) -> str:
    """A line for each of the first columns: name, kind, role, what is missing, what it holds."""
    width = min(40, max(map(len, contract.columns)))
    lines = []
    for name, column in list(contract.columns.items())[:SHOWN]:
        lost = f"{frame[name].isna().mean():.1%} missing" if column.nullable else ""
        held = " ".join(remarks[name].split())
        shown = " ".join(name.split())[:width]
        line = f"  {shown:{width}} {column.kind:9} {column.role:8} {lost:14} {held[:120]}"
        lines.append(line.rstrip())
    if (more := len(contract.columns) - SHOWN) > 0:
        lines.append(f"  ... and {more:,} more columns: see {CONTRACT}")
    return "\n".join(lines)


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
    parser.add_argument("--decimal", choices=(".", ","), help="mark of decimals, if found wrong")
    options = parser.parse_args(arguments)
    if not (options.data and options.target):
        raise ProjectError("DATA and TARGET are needed: make contract DATA=file TARGET=column")
    data, frame = look(options.data, options.encoding)
    if not is_parquet(files(data.path)[0]):
        check_names(list(frame.columns), data.path)
    target = resolve(options.target, list(frame.columns))
    data, frame = interpreted(data, frame, target, options.decimal)
    contract, problem, remarks = infer(frame, data, target, options.problem)
    column = contract.columns[target]
    answers = (as_boolean if column.kind == "boolean" else as_text)(frame[target], column)
    config = configured(data, target, problem, answers.nunique())
    replace({CONFIG: config, CONTRACT: written(contract)})
    for observer in observers("contracted"):
        observer(load(), frame)
    print(f"\n{len(frame):,} rows of {data.path}, read {described(data)}")
    print(summary(frame, contract, remarks))
    print(told(contract, problem, frame[target], options.problem))
    print(f"Next: read {CONTRACT} and set reviewed = true; then `make train`.")
