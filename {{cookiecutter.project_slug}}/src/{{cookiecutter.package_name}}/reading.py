"""Reading: a CSV or Parquet file as rows, also one that nobody has described yet."""

import csv
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from charset_normalizer import from_bytes

from . import ProjectError
from .contract import Contract
from .settings import Data

PARQUET = (".parquet", ".pq")
SEPARATORS = (",", ";", "\t", "|")
COMMA_DECIMAL = r"[+-]?(?:\d+|\d{1,3}(?:\.\d{3})+)(?:,\d+)?"
COMMA_THOUSANDS = r"[+-]?\d{1,3}(?:,\d{3})*(?:\.\d+)?"


def read_table(pattern: str, data: Data, contract: Contract | None = None) -> pd.DataFrame:
    """All rows of a CSV or Parquet file, or of all files that a pattern names, in their order.

    With a contract, columns of words and times are read as text, as they stand in the file;
    without one, all columns of a CSV are.  Raises ProjectError where a file is missing, empty or
    not to be read.
    """
    text: Any = str
    if contract:
        words = ("category", "text", "time")
        text = {name: str for name, column in contract.columns.items() if column.kind in words}
    return pd.concat([read_file(path, data, text) for path in files(pattern)], ignore_index=True)


def files(pattern: str) -> list[Path]:
    """The files that a path or a pattern names, sorted.  ProjectError where there is none."""
    found = [Path(pattern)] if Path(pattern).exists() else sorted(map(Path, glob(pattern)))
    if not found:
        raise ProjectError(f"{pattern}: no such file in {Path.cwd()}")
    if folders := [path for path in found if path.is_dir()]:
        raise ProjectError(f"{folders[0]}: a folder; name its files: '{folders[0]}/*.csv'")
    return found


def read_file(path: Path, data: Data, text: Any) -> pd.DataFrame:
    """The rows of one file, infinite numbers as missing.  ProjectError where there are none."""
    try:
        frame = pd.read_parquet(path) if path.suffix in PARQUET else read_csv(path, data, text)
    except (OSError, ValueError, LookupError) as error:
        raise ProjectError(f"{path}: cannot be read: {error}") from error
    if frame.empty:
        raise ProjectError(f"{path}: no rows; a header and at least one row are needed")
    if frame.index.name:
        frame = frame.reset_index()
    return frame.rename(columns=str).replace([np.inf, -np.inf], np.nan)


def read_csv(path: Path, data: Data, text: Any) -> pd.DataFrame:
    """The rows of a CSV, `text` the columns that are read as they stand."""
    return pd.read_csv(
        path,
        sep=data.separator,
        encoding=data.encoding,
        decimal=data.decimal,
        thousands=data.thousands,
        na_values=data.missing,
        dtype=text,
        skipinitialspace=True,
        low_memory=False,
    )


def encoding_of(path: Path) -> str:
    """The encoding of a text file: its mark, UTF-8 where that fits, else the likeliest."""
    raw = path.read_bytes()
    for mark, name in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if raw.startswith(mark):
            return name
    try:
        raw.decode("utf-8")
        return "utf-8"
    except UnicodeDecodeError:
        values = np.frombuffer(raw, dtype="uint8")
    if (values > 127).sum() > np.isin(
        values | 32, np.arange(97, 123)
    ).sum():  # more than its Latin letters
        best = from_bytes(raw[: 1 << 18]).best()
        return best.encoding if best else "latin-1"
    try:
        raw.decode("cp1252")
        return "cp1252"
    except UnicodeDecodeError:
        return "latin-1"


def separator_of(path: Path, encoding: str) -> str:
    """The separator that gives the most columns, the same number in each of the first rows."""
    with path.open(encoding=encoding, newline="") as file:
        head = [line for line, _ in zip(file, range(200))]

    def width(separator: str) -> int:
        rows = csv.reader(head, delimiter=separator, skipinitialspace=True)
        widths = [len(row) for row in rows if row]
        return widths[0] if widths and len(set(widths[:-1])) == 1 else 1

    return max(SEPARATORS, key=width)


def marks_of(frame: pd.DataFrame, separator: str) -> dict[str, Any]:
    """`decimal` and `thousands` marks of the numbers in columns that are read as text."""
    decimal = thousands = unsure = dots = False
    for values in (frame[name].dropna().drop_duplicates().head(1000) for name in frame):
        commas = values[values.str.contains(",", regex=False)]
        european, american = (
            len(commas) > 0 and bool(values.str.fullmatch(pattern).all())
            for pattern in (COMMA_DECIMAL, COMMA_THOUSANDS)
        )
        decimal |= european and not american
        thousands |= american and not european
        unsure |= european and american
        dots |= european and bool(commas.str.contains(".", regex=False).any())
    if decimal or (unsure and not thousands and separator != ","):
        return {"decimal": ",", "thousands": "." if dots else None}
    return {"decimal": ".", "thousands": "," if thousands or unsure else None}


def numbers(values: pd.Series, data: Data) -> pd.Series:
    """float64, NaN where a value is no number."""
    if not pd.api.types.is_numeric_dtype(values):
        values = values.astype("string")
        if data.thousands:
            values = values.str.replace(data.thousands, "", regex=False)
        values = values.str.replace(data.decimal, ".", regex=False)
    found = pd.to_numeric(values, errors="coerce").astype("float64")
    return found.replace([np.inf, -np.inf], np.nan)


def missing_of(frame: pd.DataFrame, data: Data) -> list[str]:
    """Words that stand for a missing value: '?', and the few in columns of numbers."""
    words: set[str] = set()
    for values in (frame[name].dropna() for name in frame):
        odd = values[numbers(values, data).isna()]
        few = 0 < len(odd) <= 0.2 * len(values) and odd.nunique() <= 3
        if few and not odd.str.contains(r"\d").any():
            words.update(odd.unique())
        words.update({"?"} & set(odd.unique()))
    return sorted(words)


def look(pattern: str, encoding: str | None) -> tuple[Data, pd.DataFrame]:
    """How a file is to be read, and its rows; the columns of a CSV as text."""
    first = files(pattern)[0]
    data = Data(path=pattern)
    if first.suffix not in PARQUET:
        data = Data(path=pattern, encoding=encoding or encoding_of(first))
        try:
            separator = separator_of(first, data.encoding)
        except (LookupError, UnicodeError, csv.Error) as error:
            raise ProjectError(f"{first}: cannot be read as {data.encoding}: {error}") from error
        data = data.model_copy(update={"separator": separator})
    frame = read_table(pattern, data)
    texts = frame.select_dtypes(exclude=["number", "bool", "datetime", "datetimetz"]).astype(
        "string"
    )
    data = data.model_copy(update=marks_of(texts, data.separator))
    data = data.model_copy(update={"missing": missing_of(texts, data)})
    frame[texts.columns] = texts.mask(texts.isin(data.missing))
    return data, frame
