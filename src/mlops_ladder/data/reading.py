"""Reading: a CSV or Parquet file as rows, also one that nobody has described yet."""

import csv
import re
from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from pandas.api import types

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.data.number_signs import strip_number_signs
from mlops_ladder.settings import Data

NUMERIC = ("number", "integer", "boolean")
# What pandas takes for missing but "None", which is as often a class.
ERRORS = ["#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!"]  # of Excel
NULL_WORDS = ["", *"NA N/A n/a #N/A #NA <NA> NULL null NaN nan -nan".split(), *ERRORS]
AS_WRITTEN = {"keep_default_na": False, "index_col": False, "skipinitialspace": True}
AS_WRITTEN |= {"low_memory": False}
RAGGED = "put that line right"
TITLE = "line 1 has to name every column: delete a title above it, or name an index column"


def read_table(pattern: str, data: Data, contract: Contract | None = None) -> pd.DataFrame:
    """Return all rows of a CSV or Parquet file, or of all files that match a pattern, in order.

    With a contract, its numbers are numbers, and words, times and ids are text, as in the file.
    Without one, all columns of a CSV are text.  Raises ProjectError if a file is missing, empty or
    not readable.
    """
    return pd.concat(read_chunks(pattern, data, contract))


def read_chunks(
    of: str | list[Any], data: Data, contract: Contract | None = None, size: int | None = None
) -> Iterator[pd.DataFrame]:
    """Yield the rows of `read_table`, at most `size` at a time; the index counts them from 0.

    `of` is a pattern, or a list of files or of parts that open like files.
    """
    columns = contract.columns if contract else {}
    text: Any = {
        name: str
        for name, column in columns.items()
        if column.kind not in NUMERIC or column.role in ("id", "ignored")
    }
    first = 0
    for path in list_data_files(of) if isinstance(of, str) else of:
        for frame in read_file(path, data, text if contract else str, size):
            frame.index = pd.RangeIndex(first, first + len(frame))
            first += len(frame)
            for name in columns.keys() & set(frame) - text.keys():
                if columns[name].kind != "boolean" and not types.is_numeric_dtype(frame[name]):
                    numbers = parse_numbers(frame[name], data)
                    frame[name] = numbers.astype("object").where(numbers.notna(), frame[name])
            yield frame


def list_data_files(pattern: str) -> list[Path]:
    """Return the files that match a path or a pattern, sorted.  Raise ProjectError if none does."""
    paths = [Path(pattern)] if Path(pattern).exists() else sorted(map(Path, glob(pattern)))
    if not paths:
        raise ProjectError(f"{pattern}: no such file in {Path.cwd()}")
    if folders := [path for path in paths if path.is_dir()]:
        raise ProjectError(f"{folders[0]}: a folder; name its files: '{folders[0]}/*.csv'")
    return paths


def is_parquet(path: Path) -> bool:
    """Return whether the content of a file is Parquet; its name does not matter."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def read_file(
    path: Path, data: Data, text: Any = str, size: int | None = None
) -> Iterator[pd.DataFrame]:
    """Yield the rows of a file, infinite numbers as missing.  Raise ProjectError if it has none."""
    rows = 0
    try:
        table = is_parquet(path)
        for frame in read_parquet(path, size) if table else read_csv(path, data, text, size):
            rows += len(frame)
            floats = frame.select_dtypes("float")
            yield frame.assign(**floats.where(np.isfinite(floats)))
    except (OSError, ValueError, LookupError, csv.Error) as error:
        dialect = f"encoding {data.encoding}, separator {data.separator!r}"
        reason = " ".join(str(error).split())
        raise ProjectError(f"{path}: cannot be read ({dialect}): {reason}") from error
    if not rows:
        raise ProjectError(f"{path}: no rows; a header and at least one row are needed")


def read_parquet(path: Path, size: int | None) -> Iterator[pd.DataFrame]:
    """Yield the rows of a Parquet file, a named index as columns; see `normalize_dtype`."""
    with pq.ParquetFile(path) as file:
        groups = getattr(path, "groups", None)  # of a part of a file
        for batch in file.iter_batches(size, groups) if size else [file.read()]:
            frame = batch.to_pandas()
            if any(frame.index.names):
                frame = frame.reset_index()
            yield frame.apply(normalize_dtype).rename(columns=str)


def normalize_dtype(values: pd.Series) -> pd.Series:
    """Return durations as seconds; lists, dates, bytes and other types as text."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = pd.Series(np.asarray(values), index=values.index).infer_objects()
    if types.is_timedelta64_dtype(values):
        return pd.Series(values.dt.total_seconds())
    if types.infer_dtype(values) == "decimal":
        return values.astype("float64")
    if types.is_numeric_dtype(values) or types.is_datetime64_any_dtype(values):
        return values
    return values.map(str, na_action="ignore").astype("str")


def read_csv(path: Path, data: Data, text: Any, size: int | None) -> Iterator[pd.DataFrame]:
    """Yield the rows of a CSV; the columns in `text` are read as text."""
    check_widths(path, data)
    with path.open(encoding=data.encoding, newline="") as file:
        options: Any = {"sep": data.separator, "decimal": data.decimal, "dtype": text, **AS_WRITTEN}
        options |= {"na_values": NULL_WORDS + data.missing, "iterator": True, "chunksize": size}
        reader: Any = pd.read_csv(file, **options)
        for frame in drop_trailing_blanks(reader if size else [reader.read()]):
            yield frame.rename(columns=lambda name: normalize("NFC", name.strip()))


def drop_trailing_blanks(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Yield these rows without the blank ones at their end, as spreadsheets write them."""
    blank = pd.DataFrame()
    for frame in frames:
        rows = pd.concat([blank, frame]) if len(blank) else frame
        end = np.flatnonzero(rows.notna().any(axis=1)).max(initial=-1) + 1
        blank = rows[end:]
        yield rows[:end]


def check_widths(path: Path, data: Data) -> None:
    """Raise ValueError that names the first line with more or fewer fields than the header.

    Also if line 1 is a title instead of the names of the columns.
    """
    with path.open(encoding=data.encoding, newline="") as file:
        rows = csv.reader(file, delimiter=data.separator, skipinitialspace=True)
        header = next(filter(any, rows), [])
        width, way_out = len(header), TITLE
        titled = width > 1 and any(header[:1]) and not any(header[1:])
        for row in filter(None, rows):
            ragged = len(row) != width and (len(row) < width or any(row[width:]))
            if ragged or (titled and sum(map(bool, row)) > 1):
                line = getattr(path, "before", 0) + rows.line_num  # of a part of a file
                names = 1 if titled else width
                way_out = way_out if titled or len(row) > width else RAGGED
                fault = f"line {line} has {len(row)} fields, the header {names}"
                raise ValueError(f"{fault}; {way_out}")
            titled, way_out = False, RAGGED


def number_pattern(decimal: str, thousands: str) -> str:
    """Return the regular expression of a bare number with these marks."""
    pair = r"(?:,\d\d)*" if thousands == "," else ""  # of India: 12,34,567
    groups = rf"|[1-9]\d?\d?{pair}(?:{re.escape(thousands)}\d\d\d)+" if thousands else ""
    decimals = re.escape(decimal)
    return rf"[+-]?(?:(?:\d+{groups})(?:{decimals}\d*)?|{decimals}\d+)(?:[eE][+-]?\d+)?"


def parse_numbers(values: pd.Series, data: Data) -> pd.Series:
    """Return float64; NaN if a value is no number with the marks of the data.

    Signs of currency and percent are left out; a number in brackets is negative.
    """
    if types.is_numeric_dtype(values):
        return values.astype("float64").replace([np.inf, -np.inf], np.nan)
    thousands = data.thousands or ""
    text = (
        values.astype("object")
        .map(lambda value: strip_number_signs(str(value)), na_action="ignore")
        .astype("str")
    )
    are_numbers = text.str.fullmatch(number_pattern(data.decimal, thousands), na=False)
    digits = text.str.translate(str.maketrans(data.decimal, ".", thousands))
    loose = text.where(~text.str.contains(thousands, regex=False, na=False)) if thousands else text
    numbers = pd.to_numeric(digits.where(are_numbers, loose), errors="coerce").astype("float64")
    return numbers.replace([np.inf, -np.inf], np.nan)
