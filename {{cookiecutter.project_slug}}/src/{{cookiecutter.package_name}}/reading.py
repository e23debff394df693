"""Reading: a CSV or Parquet file as rows, also one that nobody has described yet."""

import csv
from glob import glob
from itertools import islice
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd
from charset_normalizer import from_bytes
from pandas.api import types

from . import ProjectError
from .contract import Contract
from .settings import Data

SEPARATORS = (",", ";", "\t", "|")
# What pandas takes for missing but "None", which is as often a class.
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "#NA", "<NA>", "NULL", "null", "NaN", "nan", "-nan"]
MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
UNITS = r"^([+-]?)\s*[$€£¥]?\s*(.*?)\s*[$€£¥%]?$"


def read_table(pattern: str, data: Data, contract: Contract | None = None) -> pd.DataFrame:
    """All rows of a CSV or Parquet file, or of all files that a pattern names, in their order.

    With a contract, its numbers are numbers, and words, times and ids are text, as they stand in
    the file; without one, all columns of a CSV are text.  Raises ProjectError where a file is
    missing, empty or not to be read.
    """
    columns = contract.columns if contract else {}
    numeric = ("number", "integer", "boolean")
    text: Any = {
        name: str
        for name, column in columns.items()
        if column.kind not in numeric or column.role in ("id", "ignored")
    }
    parts = [read_file(path, data, text if contract else str) for path in files(pattern)]
    frame = pd.concat(parts, ignore_index=True)
    for name in columns.keys() & set(frame) - text.keys():
        if columns[name].kind != "boolean" and not types.is_numeric_dtype(frame[name]):
            found = numbers(frame[name], data)
            frame[name] = found.astype("object").where(found.notna(), frame[name])
    return frame


def files(pattern: str) -> list[Path]:
    """The files that a path or a pattern names, sorted.  ProjectError where there is none."""
    found = [Path(pattern)] if Path(pattern).exists() else sorted(map(Path, glob(pattern)))
    if not found:
        raise ProjectError(f"{pattern}: no such file in {Path.cwd()}")
    if folders := [path for path in found if path.is_dir()]:
        raise ProjectError(f"{folders[0]}: a folder; name its files: '{folders[0]}/*.csv'")
    return found


def is_parquet(path: Path) -> bool:
    """Does the file say that it is Parquet?  Its name does not matter."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def read_file(path: Path, data: Data, text: Any = str) -> pd.DataFrame:
    """The rows of one file, infinite numbers as missing.  ProjectError where there are none."""
    try:
        frame = read_parquet(path) if is_parquet(path) else read_csv(path, data, text)
    except (OSError, ValueError, LookupError, csv.Error) as error:
        known = f"encoding {data.encoding}, separator {data.separator!r}"
        said = " ".join(str(error).split())
        raise ProjectError(f"{path}: cannot be read ({known}): {said}") from error
    if frame.empty:
        raise ProjectError(f"{path}: no rows; a header and at least one row are needed")
    floats = frame.select_dtypes("float")
    return frame.assign(**floats.where(np.isfinite(floats)))


def read_parquet(path: Path) -> pd.DataFrame:
    """The rows of a Parquet file, a named index as columns, each number, truth, time or text."""
    frame = pd.read_parquet(path)
    if any(frame.index.names):
        frame = frame.reset_index()
    return frame.apply(plain).rename(columns=str)


def plain(values: pd.Series) -> pd.Series:
    """Durations as seconds; lists, dates, bytes and all that is no other kind as text."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = pd.Series(np.asarray(values), index=values.index).infer_objects()
    if types.is_timedelta64_dtype(values):
        return pd.Series(values.dt.total_seconds())
    if types.infer_dtype(values) == "decimal":
        return values.astype("float64")
    if types.is_numeric_dtype(values) or types.is_datetime64_any_dtype(values):
        return values
    return values.map(str, na_action="ignore").astype("str")


def read_csv(path: Path, data: Data, text: Any) -> pd.DataFrame:
    """The rows of a CSV, `text` the columns that are read as they stand."""
    check_widths(path, data)
    frame = pd.read_csv(
        path,
        sep=data.separator,
        encoding=data.encoding,
        decimal=data.decimal,
        na_values=MISSING + data.missing,
        keep_default_na=False,
        dtype=text,
        index_col=False,
        skipinitialspace=True,
        low_memory=False,
    )
    return frame.rename(columns=lambda name: normalize("NFC", name.strip()))


def check_widths(path: Path, data: Data) -> None:
    """Raises ValueError that names the first line with more or fewer fields than the header."""
    with path.open(encoding=data.encoding, newline="") as file:
        rows = csv.reader(file, delimiter=data.separator, skipinitialspace=True)
        width = len(next(rows, []))
        for row in rows:
            if row and len(row) != width and (len(row) < width or any(row[width:])):
                raise ValueError(
                    f"line {rows.line_num} has {len(row)} fields, the header {width};"
                    " put that line right"
                )


def encoding_of(path: Path) -> str:
    """The encoding of a text file: its mark, UTF-8 where that fits, else the likeliest.

    Raises ValueError where it is no text.
    """
    raw = path.read_bytes()
    if mark := next(filter(raw.startswith, MARKS), None):
        return MARKS[mark]
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


def numbers(values: pd.Series, data: Data) -> pd.Series:
    """float64, NaN where a value is no number; a sign of currency or percent is left out."""
    if data.thousands and not types.is_numeric_dtype(values):
        pattern = r"\D*\d{1,3}(?:[%s]\d{3})+(?:[%s]\d*)?\D*" % (data.thousands, data.decimal)
        grouped = values.str.fullmatch(pattern, na=False)
        values = values.where(~grouped, values.str.replace(data.thousands, "", regex=False))
    found = pd.to_numeric(values, errors="coerce").astype("float64")
    odd = values[found.isna() & values.notna()].astype("str")
    bare = odd.str.replace(UNITS, r"\1\2", regex=True).str.replace(data.decimal, ".", regex=False)
    found[odd.index] = pd.to_numeric(bare, errors="coerce").astype("float64")
    return found.replace([np.inf, -np.inf], np.nan)


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
