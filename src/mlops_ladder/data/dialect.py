"""How a file of somebody else is written: encoding, separator, marks of numbers, missing values."""

import csv
import re
from datetime import datetime
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from charset_normalizer import from_bytes
from pandas.api import types

from mlops_ladder import ProjectError
from mlops_ladder.data import contract, reading
from mlops_ladder.data.casting import times
from mlops_ladder.data.number_signs import SPACES, strip_number_signs
from mlops_ladder.settings import Data

SEPARATORS = (",", ";", "\t", "|")
BYTE_ORDER = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
OTHERS = {
    rb"PK\x03\x04": "an Excel workbook or a ZIP archive",
    rb"\xd0\xcf\x11\xe0": "an Excel workbook",
    rb"\x1f\x8b": "compressed by gzip",
    rb"BZh\d|\xfd7zXZ|\x28\xb5\x2f\xfd|7z\xbc\xaf": "compressed",
    rb"ARROW1|FEA1": "a Feather file",
    rb"SQLite format 3": "a database of SQLite",
    rb"\s*<(?i:[!?]|html|table|body)": "HTML or XML",
    rb'\s*(?:\{\s*["}]|\[\s*[\[{"\d])': "JSON",
}
UNKNOWN = re.compile(  # a word for a missing value, an error of a spreadsheet, a date that is none
    r"(?i)[?.]|[-–—]+|none|n\.a\.|k\. ?a\.|unknown|missing|keine angabe|\\n|[+-]?inf(?:inity)?"
    r"|#+|#[^\W\d_/¡¿][\w/¡¿]*[!?]?|#[¡¿][\w/]+[!?]|err:\d+"
    r"|0{4}-00-00(?:[ T]00:00(?::00)?)?|00[./-]00[./-]0{4}(?: 00:00(?::00)?)?"
)
ADDRESS = r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.|$)){4}"  # IP; groups of thousands look alike
# Marks of the decimals and of the thousands, the plainest first
MARKS = [
    (".", ""),
    (".", ","),
    (",", "."),
    (",", ""),
    (",", " "),
    (".", "'"),
    (".", " "),
    (",", "'"),
]
DAYS = (
    "%d.%m.%Y|%d/%m/%Y|%m/%d/%Y|%d-%m-%Y|%m-%d-%Y|%Y/%m/%d|%Y.%m.%d|%d.%m.%y|%d/%m/%y|%m/%d/%y"
    "|%d-%b-%Y|%d-%b-%y|%d %b %Y|%d %B %Y|%b %d, %Y|%B %d, %Y|%b-%y|%b-%Y|%b %Y|%B %Y|%Y. %m. %d."
    "|%Y年%m月%d日|%Y-%m"
).split("|")
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
TIMES = (contract.ISO, *(day + clock for day in DAYS for clock in CLOCKS))
DOUBTFUL = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
CODE = r"0\d+|\d{16,}|\+\d{7,}"  # zip codes, what is too long for a float, phone numbers


def encoding_of(path: Path) -> str:
    """The encoding of a text file: its mark, UTF-8 where that fits, else the likeliest.

    Raises ValueError where it is no text.
    """
    raw = path.read_bytes()
    if kind := next((kind for start, kind in OTHERS.items() if re.match(start, raw)), ""):
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
    first = reading.files(pattern)[0]
    data = Data(path=pattern)
    try:
        if not reading.is_parquet(first):
            found = encoding or encoding_of(first)
            data = Data(path=pattern, encoding=found, separator=separator_of(first, found))
    except (OSError, ValueError, LookupError, csv.Error) as error:
        raise ProjectError(f"{first}: cannot be read: {error}") from error
    return data, reading.read_table(pattern, data)


def explain_missing(frame: pd.DataFrame, target: str, separator: str) -> str:
    """Why a CSV has no column of this name: lines above the names, or another separator."""
    for place, row in enumerate(frame.head(20).itertuples(index=False)):
        if target in [str(value).strip() for value in row]:
            return f"; row {place + 1} below them names it: delete all lines above that row"
    if len(frame.columns) == 1:
        return f"; no {separator!r} stands in it: separate columns by a comma, semicolon, tab or |"
    return ""


def check_names(frame: pd.DataFrame, path: str) -> None:
    """Raise ProjectError if the first line of a CSV holds values and no names.

    Numbers can be names, such as years, if they stand in order.  Names that stand once more
    further down are refused too.
    """
    names = list(frame.columns)
    found = pd.to_numeric(pd.Series(names).str.replace(",", "."), errors="coerce").dropna()
    falling, whole = found.is_monotonic_decreasing, (found % 1 == 0).all()
    again = frame.eq(names)
    whole_row = again.all(axis=1)
    if whole_row.any() and whole_row.equals(again.any(axis=1)):
        place = np.flatnonzero(whole_row)[0] + 1
        raise ProjectError(f"{path}: row {place} below the names repeats them; delete it")
    values = again.any().sum() * 2 >= len(names) or (len(found) == 1 and not whole)
    if values or not (found.is_unique and (found.is_monotonic_increasing or falling and whole)):
        shown = ", ".join(names[:5])
        way_out = "put a line above it that names each column"
        raise ProjectError(f"{path}: line 1 holds values, no names ({shown}); {way_out}")


def check_units(frame: pd.DataFrame, path: str, data: Data) -> None:
    """Raise ProjectError if the line below the names of a CSV holds units and no values."""
    rest = [(values.iloc[0], values.iloc[1:].dropna()) for _, values in frame.items()]
    numeric = [first for first, others in rest if len(others) and all_numbers(others, data)]
    units = [first for first in numeric if pd.notna(first) and not UNKNOWN.fullmatch(first.strip())]
    words = reading.numbers(pd.Series(units, dtype="str"), data).isna()
    if len(frame) > 10 and len(units) > 1 and len(units) == len(numeric) and words.all():
        shown = ", ".join(units[:5])
        raise ProjectError(f"{path}: row 1 holds units or words ({shown}), no numbers; delete it")


def all_numbers(values: pd.Series, data: Data) -> bool:
    """Are these texts numbers, as far as a look at some of them tells?"""
    return bool(reading.numbers(values.head(200), data).notna().all())


def missing_of(columns: dict[str, pd.Series], data: Data, target: str) -> list[str]:
    """Words that stand for a missing value: '?', the few among numbers, the known among times."""
    words: set[str] = set()
    classes: set[str] = set()
    for name, unique in columns.items():
        odd = unique[reading.numbers(unique, data).isna()]
        known = odd[odd.str.strip().str.fullmatch(UNKNOWN)]
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
        told = f"{data.decimal!r} is read as its decimal mark; if not, add DECIMAL={other}"
        print(f"{number}: {told}")
    data = data.model_copy(update={"missing": missing_of(texts, data, target)})
    holes = {name: frame[name].mask(frame[name].isin(data.missing)) for name in texts}
    return data, frame.assign(**holes) if data.missing else frame


def described(data: Data) -> str:
    """How the file is read, in words."""
    if reading.is_parquet(reading.files(data.path)[0]):
        return "as Parquet"
    known = data.model_dump(exclude={"path"}, exclude_none=True)
    return "with " + ", ".join(f"{name} {value!r}" for name, value in known.items() if value)


def fit_of(marks: tuple[str, str], samples: list[list[str]]) -> tuple[int, int]:
    """How many columns are numbers, as these samples of them say, if written with these marks.

    First those of which a value holds both marks, such as 1.234,56: that is nothing else.  A
    number with a point is also read where the decimal mark is a comma, if no point parts thousands.
    """
    decimal, thousands = marks
    loose = r"|[+-]?\d*\.\d+" if decimal == "," and thousands != "." else ""
    number = re.compile(reading.pattern_of(*marks) + loose).fullmatch
    both = re.compile(rf"[+-]?\d.*{re.escape(thousands)}\d+{re.escape(decimal)}\d*").fullmatch
    known = [(values, sum(map(bool, map(number, values)))) for values in samples]
    fitting = [values for values, count in known if 0 < 0.8 * len(values) <= count]
    sure = [values for values in fitting if thousands and any(map(both, values))]
    return len(sure), len(fitting)


def samples_of(columns: list[pd.Series]) -> list[list[str]]:
    """Some bare values of each of these columns, but not of addresses."""
    others = [unique for unique in columns if not unique.str.fullmatch(ADDRESS).all()]
    return [[strip_number_signs(value) for value in sample(unique)] for unique in others]


def doubtful_number(columns: list[pd.Series], data: Data) -> str | None:
    """Return a number such as 1.234 if no column tells whether its mark is that of decimals."""
    samples, other = samples_of(columns), {".": (",", "."), ",": (".", ",")}[data.decimal]
    if fit_of(other, samples) < fit_of((data.decimal, data.thousands or ""), samples):
        return None
    found = (value for values in samples for value in values if DOUBTFUL.fullmatch(value))
    return next(found, None)


def other_marks(values: pd.Series, data: Data) -> str:
    """A remark if texts are numbers with another decimal mark than that of the file."""
    known = values.dropna().drop_duplicates().astype("str")
    if known.empty or known.str.fullmatch(CODE).any() or known.str.fullmatch(ADDRESS).all():
        return ""
    for decimal, thousands in MARKS:
        other = data.model_copy(update={"decimal": decimal, "thousands": thousands or None})
        if decimal != data.decimal and reading.numbers(known, other).notna().all():
            return f"; numbers if {decimal!r} is the decimal mark: add DECIMAL={decimal}"
    return ""


def marks_of(
    columns: list[pd.Series], separator: str, asked: str | None = None
) -> dict[str, str | None]:
    """`decimal` and `thousands` mark under which most of these columns are numbers.

    A column whose values look the same under several marks, or under none, does not decide.  A
    decimal mark that is `asked` for is taken.
    """
    samples = samples_of(columns)
    order = [MARKS[0], MARKS[2], MARKS[3], *MARKS] if separator != "," else MARKS
    wanted = [marks for marks in order if asked in (None, marks[0])]
    decimal, thousands = max(wanted, key=lambda marks: fit_of(marks, samples))
    group = re.compile(rf"[^{decimal}]*\d[{thousands or ','}]\d\d\d.*").fullmatch
    number = re.compile(reading.pattern_of(decimal, thousands)).fullmatch
    grouped = any(group(value) and number(value) for values in samples for value in values)
    return {"decimal": decimal, "thousands": thousands if thousands and grouped else None}


def sample(unique: pd.Series) -> list[str]:
    """Some of these texts, those with marks between digits first."""
    between = (f",'’ {SPACES}", ".")
    marked = [unique[unique.str.contains(rf"\d[{marks}]\d")] for marks in between]
    return [*marked[0].head(100), *marked[1].head(100), *unique.head(50)]


def time_format(words: pd.Series) -> str | None:
    """The format in which all of these different texts are times, or None.

    Of two that fit it is the one by which all are the same day of a month, or stand in order; else
    the first of `TIMES`, which has the day before the month.
    """
    if words.empty or not words.str.contains(r"\d.*\d").all():
        return None
    parts = (words.head(1), words.head(100), words)
    known = TIMES if words.head(100).map(is_iso).all() else TIMES[1:]
    fitting = [form for form in known if all(times(part, form).notna().all() for part in parts)]
    read = {form: times(words, form) for form in fitting if len(fitting) > 1}
    same_day = [form for form, found in read.items() if found.dt.day.nunique() == 1]
    in_order = [form for form, found in read.items() if found.is_monotonic_increasing]
    return next(iter([*same_day, *in_order, *fitting]), None)


def is_iso(word: str) -> bool:
    """Does the service read this time as ISO 8601?  pandas also takes 2024/1/5 and 2024-01."""
    try:
        datetime.fromisoformat(word.strip())
    except ValueError:
        return False
    return True
