"""The dialect of a file that nobody has described: encoding, separator, number marks, nulls."""

import csv
import re
import string
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from charset_normalizer import from_bytes
from pandas.api import types

from mlops_ladder import ProjectError
from mlops_ladder.data import contract, formats, reading, remote
from mlops_ladder.data.casting import are_times, parse_timestamps
from mlops_ladder.data.number_signs import SPACES, strip_number_signs
from mlops_ladder.settings import Data

VOCABULARY = formats.VOCABULARY
BYTE_ORDER = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
NULL_MARKER = re.compile("(?i)" + "|".join(VOCABULARY["null_marker"]))
MARKS = list(VOCABULARY["number_marks"])
TIME_FORMATS = [contract.ISO]
TIME_FORMATS += [date + clock for date in VOCABULARY["dates"] for clock in VOCABULARY["clocks"]]
SEPARATORS: list[str] = VOCABULARY["separators"]
ADDRESS: str = VOCABULARY["address"]
CODE: str = VOCABULARY["code"]
AMBIGUOUS_NUMBER = re.compile(VOCABULARY["ambiguous_number"])


def detect_encoding(path: Any) -> str:
    """Return the encoding of a text file: by its byte order mark, UTF-8 if that fits, or a guess.

    The guess is charset_normalizer's if most letters are not Latin: for other short files it is
    often wrong, and cp1252 is right.  Raise ValueError if the file is no text.
    """
    with path.open("rb") as file:
        raw = file.read()
    if mark := next(filter(raw.startswith, BYTE_ORDER), None):
        return BYTE_ORDER[mark]
    if b"\0" in raw:
        raise ValueError("not text but binary; save it as CSV (in Excel: Save as, CSV UTF-8)")
    with suppress(UnicodeDecodeError):
        raw.decode("utf-8")
        return "utf-8"
    latin = len(raw) - len(raw.translate(None, string.ascii_letters.encode()))
    others = len(raw) - len(raw.translate(None, bytes(range(128, 256))))
    best = from_bytes(raw[: 1 << 18]).best() if others > latin else None
    likely = best.encoding if best else "cp1252"
    with suppress(UnicodeDecodeError):
        raw.decode(likely)
        return likely
    return "latin-1"


def detect_separator(path: Any, encoding: str) -> str:
    """Return the separator by which most of the first 200 lines have equally many fields."""
    with path.open(encoding=encoding, newline="") as file:
        head = list(islice(file, 200))

    def rate(separator: str) -> tuple[float, int]:
        rows = csv.reader(head, delimiter=separator, skipinitialspace=True)
        widths = [len(row) for row in rows if row] or [1]
        usual = max(widths, key=widths.count)
        return (widths.count(usual) if usual > 1 else 0), usual

    return max(SEPARATORS, key=rate)


def sniff_file(pattern: str, encoding: str | None) -> tuple[Data, formats.Format, pd.DataFrame]:
    """Return how a file is written, its format, and its rows; the columns of a CSV as text."""
    remote.refresh_snapshot(pattern)
    first = reading.list_data_files(pattern)[0]
    data = Data(path=pattern)
    try:
        file, kind = formats.detect_format(first, data)
        if kind is formats.CSV:
            encoding = encoding or detect_encoding(file)
            separator = detect_separator(file, encoding)
            data = Data(path=pattern, encoding=encoding, separator=separator)
    except formats.READ_ERRORS as error:
        raise ProjectError(f"{first}: cannot be read: {formats.explain_error(error)}") from error
    return data, kind, reading.read_table(pattern, data)


def explain_missing_target(frame: pd.DataFrame, target: str, separator: str) -> str:
    """Return why a CSV has no column of this name: lines above the names, another separator."""
    for number, row in enumerate(frame.head(20).itertuples(index=False), 1):
        if target in [str(value).strip() for value in row]:
            return f"; row {number} below them names it: delete all lines above that row"
    if len(frame.columns) == 1:
        return f"; no {separator!r} stands in it: separate columns by a comma, semicolon, tab or |"
    return ""


def check_names(frame: pd.DataFrame, path: str) -> None:
    """Raise ProjectError if line 1 of a CSV holds values, or if a later line repeats the names.

    Numbers can be names, such as years, if they are in order.
    """
    names = list(frame.columns)
    numbers = pd.to_numeric(pd.Series(names).str.replace(",", "."), errors="coerce").dropna()
    is_whole = (numbers % 1 == 0).all()
    is_falling = numbers.is_monotonic_decreasing and is_whole
    is_ordered = numbers.is_unique and (numbers.is_monotonic_increasing or is_falling)
    repeats = frame.eq(names)
    all_repeat = repeats.all(axis=1)
    if all_repeat.any() and all_repeat.equals(repeats.any(axis=1)):
        number = np.flatnonzero(all_repeat)[0] + 1
        raise ProjectError(f"{path}: row {number} below the names repeats them; delete it")
    are_values = repeats.any().sum() * 2 >= len(names) or (len(numbers) == 1 and not is_whole)
    if are_values or not is_ordered:
        shown = ", ".join(names[:5])
        way_out = "put a line above it that names each column"
        raise ProjectError(f"{path}: line 1 holds values, no names ({shown}); {way_out}")


def check_units(frame: pd.DataFrame, path: str, data: Data) -> None:
    """Raise ProjectError if the line below the names of a CSV holds units."""
    if len(frame) <= 10:
        return
    rest = [(values.iloc[0], values.iloc[1:].dropna().head(200)) for _, values in frame.items()]
    filled = [(first, others) for first, others in rest if len(others)]
    numeric = [each for each, more in filled if reading.parse_numbers(more, data).notna().all()]
    units = [word for word in numeric if pd.notna(word) and not NULL_MARKER.fullmatch(word.strip())]
    are_words = reading.parse_numbers(pd.Series(units, dtype="str"), data).isna().all()
    if len(units) > 1 and len(units) == len(numeric) and are_words:
        shown = ", ".join(units[:5])
        raise ProjectError(f"{path}: row 1 holds units or words ({shown}), no numbers; delete it")


def detect_null_markers(columns: dict[str, pd.Series], data: Data, target: str) -> list[str]:
    """Return the words for a missing value in these columns of different values.

    They are '?', up to three rare words among numbers, and well-known ones among times.
    """
    markers: set[str] = set()
    classes: set[str] = set()
    for name, unique in columns.items():
        words = unique[reading.parse_numbers(unique, data).isna()]
        typical = words[words.str.strip().str.fullmatch(NULL_MARKER)]
        others, numbers = words.drop(typical.index), len(unique) - len(words)
        is_rare = numbers > 10 and len(others) <= 3 and not others.str.contains(r"\d").any()
        are_dates = len(typical) > 0 and len(others) > 0 and detect_time_format(others) is not None
        if (numbers and (is_rare or others.empty)) or are_dates:
            markers.update(words if numbers else typical)
        elif name == target:
            classes = set(unique)
        markers.update({"?"} & set(typical))
    return sorted(markers - (classes - {"?"}))


def apply_number_format(
    data: Data, frame: pd.DataFrame, target: str, decimal: str | None = None
) -> tuple[Data, pd.DataFrame]:
    """Return the settings with number marks and null markers, and the rows without the latter.

    Print a number that can be read in two ways.

    Args:
        data: Encoding and separator of the file.
        frame: Its rows as text.
        target: The column to predict; its classes are no null markers.
        decimal: The decimal mark, if the user names one.
    """
    words = {name: frame[name] for name in map(str, frame) if types.is_string_dtype(frame[name])}
    texts = {name: values.dropna().drop_duplicates() for name, values in words.items()}
    samples = sample_columns(texts.values())
    data = data.model_copy(update=detect_decimal_and_thousands(samples, data.separator, decimal))
    if (number := find_ambiguous_number(samples, data)) and not decimal:
        other = "." if data.decimal == "," else ","
        print(f"{number}: {data.decimal!r} is its decimal mark; if not, add DECIMAL={other}")
    data = data.model_copy(update={"missing": detect_null_markers(texts, data, target)})
    masked = {name: frame[name].mask(frame[name].isin(data.missing)) for name in texts}
    return data, frame.assign(**masked) if data.missing else frame


def describe_dialect(data: Data, kind: formats.Format) -> str:
    """Return in words how the file is read."""
    if kind is not formats.CSV:
        return f"as {kind.name}"
    options = data.model_dump(exclude={"path"}, exclude_none=True)
    return "with " + ", ".join(f"{name} {value!r}" for name, value in options.items() if value)


def count_fitting_columns(marks: tuple[str, str], samples: list[list[str]]) -> tuple[int, int]:
    """Return how many of these samples of columns are numbers with these marks.

    The first count is of columns that contain a value with both marks, such as 1.234,56, which is
    nothing else.  A number with a point also fits a decimal comma, unless points group thousands.
    """
    decimal, thousands = marks
    loose = r"|[+-]?\d*\.\d+" if decimal == "," and thousands != "." else ""
    number = re.compile(reading.number_pattern(*marks) + loose).fullmatch
    both = re.compile(rf"[+-]?\d.*{re.escape(thousands)}\d+{re.escape(decimal)}\d*").fullmatch
    counts = [(values, sum(map(bool, map(number, values)))) for values in samples]
    fitting = [values for values, count in counts if 0 < 0.8 * len(values) <= count]
    certain = [values for values in fitting if thousands and any(map(both, values))]
    return len(certain), len(fitting)


def sample_columns(columns: Iterable[pd.Series]) -> list[list[str]]:
    """Return some bare values of each column of different texts, without columns of addresses."""
    others = [unique for unique in columns if not unique.str.fullmatch(ADDRESS).all()]
    return [[strip_number_signs(value) for value in sample_values(unique)] for unique in others]


def sample_values(unique: pd.Series) -> list[str]:
    """Return some of these texts, those with a mark between digits first."""
    marks = f",'’ {SPACES}", "."
    marked = [unique[unique.str.contains(rf"\d[{signs}]\d")].head(100) for signs in marks]
    return [*marked[0], *marked[1], *unique.head(50)]


def find_ambiguous_number(samples: list[list[str]], data: Data) -> str | None:
    """Return a number such as 1.234 if no column tells whether its mark is that of decimals."""
    other = {".": (",", "."), ",": (".", ",")}[data.decimal]
    chosen = (data.decimal, data.thousands or "")
    if count_fitting_columns(other, samples) < count_fitting_columns(chosen, samples):
        return None
    numbers = (text for values in samples for text in values if AMBIGUOUS_NUMBER.fullmatch(text))
    return next(numbers, None)


def suggest_decimal_mark(values: pd.Series, data: Data) -> str:
    """Return a remark if texts are numbers with another decimal mark than that of the file."""
    unique = values.dropna().drop_duplicates().astype("str")
    if unique.empty or unique.str.fullmatch(CODE).any() or unique.str.fullmatch(ADDRESS).all():
        return ""
    for decimal, thousands in MARKS:
        other = data.model_copy(update={"decimal": decimal, "thousands": thousands or None})
        if decimal != data.decimal and reading.parse_numbers(unique, other).notna().all():
            return f"; numbers if {decimal!r} is the decimal mark: add DECIMAL={decimal}"
    return ""


def detect_decimal_and_thousands(
    samples: list[list[str]], separator: str, decimal: str | None = None
) -> dict[str, str | None]:
    """Return the `decimal` and `thousands` marks with which most sampled columns are numbers.

    A column that fits several marks, or none, does not decide.

    Args:
        samples: Some values of each column.
        separator: The separator of the file; if it is no comma, a decimal comma is likelier.
        decimal: The decimal mark, if the user names one.
    """
    order = [MARKS[0], MARKS[2], MARKS[3], *MARKS] if separator != "," else MARKS
    allowed = [marks for marks in order if decimal in (None, marks[0])]
    decimal, thousands = max(allowed, key=lambda marks: count_fitting_columns(marks, samples))
    group = re.compile(rf"[^{decimal}]*\d[{thousands or ','}]\d\d\d.*").fullmatch
    number = re.compile(reading.number_pattern(decimal, thousands)).fullmatch
    is_grouped = any(group(value) and number(value) for values in samples for value in values)
    return {"decimal": decimal, "thousands": thousands if thousands and is_grouped else None}


def detect_time_format(words: pd.Series) -> str | None:
    """Return the format in which all of these different texts are times, or None.

    If several fit, return one by which all are the same day of a month, else one by which they are
    in order, else the first of `TIME_FORMATS`, which has the day before the month.
    """
    if words.empty or not words.str.contains(r"\d.*\d").all():
        return None
    parts = (words.head(1), words.head(100), words)
    forms = TIME_FORMATS if words.head(100).map(is_iso).all() else TIME_FORMATS[1:]
    fitting = [form for form in forms if all(are_times(part, form) for part in parts)]
    times = {form: parse_timestamps(words, form) for form in fitting if len(fitting) > 1}
    same_day = [form for form, values in times.items() if values.dt.day.nunique() == 1]
    in_order = [form for form, values in times.items() if values.is_monotonic_increasing]
    return next(iter([*same_day, *in_order, *fitting]), None)


def is_iso(word: str) -> bool:
    """Return whether the service reads this time as ISO 8601; pandas also takes 2024/1/5."""
    try:
        datetime.fromisoformat(word.strip())
    except ValueError:
        return False
    return True
