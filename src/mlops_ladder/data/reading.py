"""Reading: a file, a table or a bucket as rows, also one that nobody has described yet."""

import re
from collections.abc import Iterator
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types

from mlops_ladder import ProjectError
from mlops_ladder.data import formats, remote
from mlops_ladder.data.contract import Contract
from mlops_ladder.data.number_signs import strip_number_signs
from mlops_ladder.settings import Data

NUMERIC = ("number", "integer", "boolean")


def read_table(pattern: str, data: Data, contract: Contract | None = None) -> pd.DataFrame:
    """Return all rows of a source, or of all files that match a pattern, in order.

    With a contract, its numbers are numbers, and words, times and ids are text, as in the file.
    Without one, all columns of a CSV are text.  Raises ProjectError if a source is missing, empty
    or not readable.
    """
    own = pattern == data.path and remote.is_remote(pattern)  # as of the last snapshot
    return pd.concat(read_chunks(list_data_files(pattern) if own else pattern, data, contract))


def read_chunks(
    of: str | list[Any], data: Data, contract: Contract | None = None, size: int | None = None
) -> Iterator[pd.DataFrame]:
    """Yield the rows of `read_table`, at most `size` at a time; the index counts them from 0.

    `of` is a pattern, or a list of files, or of what has a format of its own.
    """
    columns = contract.columns if contract else {}
    numeric = {name for name, column in columns.items() if column.kind in NUMERIC}
    numeric -= set(contract.names("id", "ignored")) if contract else set()
    text: Any = dict.fromkeys(columns.keys() - numeric, str) if contract else str
    first = 0
    for path in open_sources(of) if isinstance(of, str) else of:
        for frame in read_file(path, data, text, size):
            frame.index = pd.RangeIndex(first, first + len(frame))
            first += len(frame)
            for name in numeric & set(frame):
                if columns[name].kind != "boolean" and not types.is_numeric_dtype(frame[name]):
                    numbers = parse_numbers(frame[name], data)
                    frame[name] = numbers.astype("object").where(numbers.notna(), frame[name])
            yield frame


def open_sources(pattern: str) -> list[Any]:
    """Return the files that match a pattern, the objects in a bucket, or the table."""
    if not remote.is_remote(pattern):
        return list_data_files(pattern)
    return list(remote.load_module(pattern).OPEN(pattern))


def list_data_files(pattern: str) -> list[Path]:
    """Return the files that match a path or a pattern, sorted; of a table or bucket, its snapshot.

    Raises ProjectError if none matches.
    """
    if remote.is_remote(pattern):
        return remote.list_snapshot(pattern)
    paths = [Path(pattern)] if Path(pattern).exists() else sorted(map(Path, glob(pattern)))
    if not paths:
        raise remote.NoSource(f"{pattern}: no such file in {Path.cwd()}")
    if folders := [path for path in paths if path.is_dir()]:
        raise ProjectError(f"{folders[0]}: a folder; name its files: '{folders[0]}/*.csv'")
    return paths


def is_parquet(path: Path) -> bool:
    """Return whether the content of a file is Parquet; its name does not matter."""
    with path.open("rb") as file:
        return file.read(4) == b"PAR1"


def read_file(path: Any, data: Data, text: Any = str, size: int | None = None) -> formats.Rows:
    """Yield the rows of a file, infinite numbers as missing.

    Raises ProjectError if it has none, unless a period of it is read.
    """
    rows, marks = 0, ""
    try:
        file, kind = formats.detect_format(path, data)
        marks = f" (encoding {data.encoding}, separator {data.separator!r})" * (kind is formats.CSV)
        for frame in kind.read(file, data, text, size):
            rows += len(frame)
            floats = frame.select_dtypes("float")
            yield frame.assign(**floats.where(np.isfinite(floats)))
    except ProjectError:
        raise
    except Exception as error:  # pylint: disable=broad-exception-caught  # each store has its own
        if not isinstance(error, formats.READ_ERRORS) and not remote.is_remote(str(path)):
            raise
        reason = remote.mask_secrets(formats.explain_error(error))
        raise ProjectError(f"{path}: cannot be read{marks}: {reason}") from None
    if not rows and not getattr(path, "times", None):
        raise ProjectError(f"{path}: no rows; a header and at least one row are needed")


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
    text = values.astype("object").map(strip_number_signs, na_action="ignore").astype("str")
    are_numbers = text.str.fullmatch(number_pattern(data.decimal, thousands), na=False)
    digits = text.str.translate(str.maketrans(data.decimal, ".", thousands))
    loose = text.where(~text.str.contains(thousands, regex=False, na=False)) if thousands else text
    numbers = pd.to_numeric(digits.where(are_numbers, loose), errors="coerce").astype("float64")
    return numbers.replace([np.inf, -np.inf], np.nan)
