"""Own data: a file that nobody has described becomes a contract and settings to read it by."""

import argparse
import csv
import re
import shutil
import sys
from collections.abc import Callable
from datetime import datetime
from difflib import get_close_matches
from itertools import count, islice
from pathlib import Path
from typing import Any, get_args
from unicodedata import normalize
from zoneinfo import available_timezones

import numpy as np
import pandas as pd
import tomlkit
from charset_normalizer import from_bytes
from pandas.api import types

from mlops_ladder import ProjectError, run, write_synced
from mlops_ladder.data.casting import as_boolean, as_text, as_time, has_offset, times
from mlops_ladder.data.contract import Column, CONTRACT, Contract, EPOCHS, ISO, Kind, Role
from mlops_ladder.data.reading import files, is_parquet, numbers, pattern_of, read_table
from mlops_ladder.plugins import get_implementations
from mlops_ladder.settings import bare, CONFIG, Data, load, Problem, SPACES

HEADER = """\
What the data hold, column by column; training, prediction and checks read it.
Made by `make contract DATA=file TARGET=column`.  Read it, correct it, then set reviewed = true.
kind: number integer boolean category text time
role: feature target id time group personal ignored
timezone: the clock of a time, such as Europe/Berlin; without it, times have no offset
enforce: from level 2 on, true refuses a row outside of range or categories; else it is marked"""
SEPARATORS = (",", ";", "\t", "|")
BYTE_ORDER = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
SHOWN = 50
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
MARKS = [  # of the decimals and of the thousands, the plainest first
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
TIMES = (ISO, *(day + clock for day in DAYS for clock in CLOCKS))
DIGITS = {12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # times without a mark, by their length
MOMENT = re.compile(r"(?i)time|date|stamp|epoch|unix|zeit|datum|fecha|created|updated|(?:_at|ts)$")
WHO = (  # or what has a number, in some languages
    r"kunden?|kd|clients?|clientes?|klanten?|klient\w*|cust(?:omer)?|patient\w*|user|account"
    r"|konto|member|mitglieds?|employee|personal|mitarbeiter|order|bestell|auftrags?|rechnungs?"
    r"|invoice|ticket|policy|vertrags?|contract|articles?|artikel|serial|serien|receipt|facture"
    r"|factura|pedido|session|row|record|txn|trans(?:action)?|tracking|student|subject|person"
    r"|passenger|booking|device|machine|product|loan|claim|case|visitor|utente|usuario|fiscale?"
    r"|zakaznika|zákazníka|objednávky|objednavky|заказа|клиента|пациента"
)
NUMBER = (
    r"nr|no|nº|n°|nro|num|nummer|number|numer\w*|numero|numéro|número|code|codice|c[oó]digo|kod"
    r"|[cč][ií]slo|номер|код"
)
ID_NAME = re.compile(
    r"(?i:(?:^|[\W_])(?:ids?|uuid|guid)$)|[a-z](?:Id|ID)$|^Unnamed: \d+$"
    r"|(?i:^ids?[\W_])|^[iI][dD][A-Z]"
    rf"|(?i:(?:^|[\W_])(?:{WHO})[\W_]*(?:ids?|{NUMBER})\.?$)"
    rf"|(?i:^(?:n|id|{NUMBER})[\W_]*(?:de[\W_]+)?(?:{WHO})$)"
    r"|(?:号|番号|编号|編號|號)$"
    r"|(?i:^(?:identifiant|identificador|identificativo|identyfikator|kennung)$)"
    r"|(?i:^(?:matricule|matricola)$)"
)
COUNTED = re.compile(
    rf"(?i:(?:^|[\W_])(?:[pu]?key|pk|index|idx|ref|{NUMBER})\.?$)"
    r"|(?i:(?:number|nummer|numero|号码|[a-zäöü]nr\.?)$)"
    r"|[a-z](?:Key|No|Num)$"
)
DOUBTFUL = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
CODE = r"0\d+|\d{16,}|\+\d{7,}"  # zip codes, what is too long for a float, phone numbers
LISTED = 200
CLASSES = 100
COUNTER = "numbers the rows"

TYPED: dict[Kind, Callable[[Any], bool]] = {
    "boolean": types.is_bool_dtype,
    "time": types.is_datetime64_any_dtype,
}


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
    first = files(pattern)[0]
    data = Data(path=pattern)
    try:
        if not is_parquet(first):
            found = encoding or encoding_of(first)
            data = Data(path=pattern, encoding=found, separator=separator_of(first, found))
    except (OSError, ValueError, LookupError, csv.Error) as error:
        raise ProjectError(f"{first}: cannot be read: {error}") from error
    return data, read_table(pattern, data)


def resolve(target: str, names: list[str], why: str = "") -> str:
    """The column that is meant: as written, else the one alike but for case, blanks, accents.

    Raises ProjectError if there is none; `why` says what may be the reason.
    """

    def plain(name: str) -> str:
        return " ".join(normalize("NFKC", name).casefold().split())

    alike = [name for name in names if plain(name) == plain(target)]
    if target in names or len(alike) == 1:
        return target if target in names else alike[0]
    near = get_close_matches(target, names, n=3)
    shown = list(dict.fromkeys([*near, *names]))[:20]
    more = f", and {len(names) - 20} more" if len(names) > 20 else ""
    known = ", ".join(shown) + more
    raise ProjectError(f"TARGET {target!r}: no such column; there are: {known}{why}")


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
    words = numbers(pd.Series(units, dtype="str"), data).isna()
    if len(frame) > 10 and len(units) > 1 and len(units) == len(numeric) and words.all():
        shown = ", ".join(units[:5])
        raise ProjectError(f"{path}: row 1 holds units or words ({shown}), no numbers; delete it")


def all_numbers(values: pd.Series, data: Data) -> bool:
    """Are these texts numbers, as far as a look at some of them tells?"""
    return bool(numbers(values.head(200), data).notna().all())


def missing_of(columns: dict[str, pd.Series], data: Data, target: str) -> list[str]:
    """Words that stand for a missing value: '?', the few among numbers, the known among times."""
    words: set[str] = set()
    classes: set[str] = set()
    for name, unique in columns.items():
        odd = unique[numbers(unique, data).isna()]
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


def fit_of(marks: tuple[str, str], samples: list[list[str]]) -> tuple[int, int]:
    """How many columns are numbers, as these samples of them say, if written with these marks.

    First those of which a value holds both marks, such as 1.234,56: that is nothing else.  A
    number with a point is also read where the decimal mark is a comma, if no point parts thousands.
    """
    decimal, thousands = marks
    loose = r"|[+-]?\d*\.\d+" if decimal == "," and thousands != "." else ""
    number = re.compile(pattern_of(*marks) + loose).fullmatch
    both = re.compile(rf"[+-]?\d.*{re.escape(thousands)}\d+{re.escape(decimal)}\d*").fullmatch
    fitting = [
        values for values in samples if 0 < 0.8 * len(values) <= sum(map(bool, map(number, values)))
    ]
    sure = [values for values in fitting if thousands and any(map(both, values))]
    return len(sure), len(fitting)


def samples_of(columns: list[pd.Series]) -> list[list[str]]:
    """Some bare values of each of these columns, but not of addresses."""
    others = [unique for unique in columns if not unique.str.fullmatch(ADDRESS).all()]
    return [[bare(value) for value in sample(unique)] for unique in others]


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
        if decimal != data.decimal and numbers(known, other).notna().all():
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
    number = re.compile(pattern_of(decimal, thousands)).fullmatch
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


def moment_format(unique: pd.Series, found: pd.Series) -> str | None:
    """The format in which these numbers are times: 20240131, or seconds since 1970."""
    named, words = bool(MOMENT.search(str(unique.name))), as_text(unique)
    if found.between(19000101, 21001231).all() and (named or len(unique) >= 10):
        return ISO if times(words, ISO).notna().all() else None
    form = DIGITS.get(len(str(words.iloc[0])), "")
    if form and words.str.fullmatch("(?:19|20).*").all() and times(words, form).notna().all():
        return form
    for form, steps in EPOCHS.items():
        if named and found.between(1e8 * steps, 4e9 * steps).all():
            return form
    return None


def zone_of(unique: pd.Series, form: str | None) -> str | None:
    """The clock of times: that of their type, UTC if some have an offset, else it is not known."""
    if not has_offset(unique, form or ISO).any():
        return None
    named = str(getattr(unique.dtype, "tz", ""))
    return named if named in available_timezones() else "UTC"


def kind_of(unique: pd.Series, rows: int, data: Data) -> tuple[Kind, str | None]:
    """The kind of these different values of so many rows, and the format of times in text."""
    for kind, holds in TYPED.items():
        if holds(unique):
            return kind, None
    found, text = numbers(unique, data), not types.is_numeric_dtype(unique)
    coded = text and bool(unique.str.fullmatch(CODE).any() or unique.str.fullmatch(ADDRESS).all())
    if len(unique) and found.notna().all():
        if form := moment_format(unique, found):
            return "time", form
        whole = (found % 1 == 0).all() and found.abs().max() < 2**53
        if not coded:
            return "integer" if whole else "number", None
    return kind_of_words(unique.astype("str"), rows, coded)


def kind_of_words(words: pd.Series, rows: int, coded: bool) -> tuple[Kind, str | None]:
    """The kind of words that are no numbers; codes such as 01067 are no times either."""
    if len(words) and set(words.str.strip().str.lower()) <= {"true", "false"}:
        return "boolean", None
    if form := None if coded else time_format(words):
        return "time", form
    return ("category" if 0 < len(words) <= max(20, rows / 2) else "text"), None


def role_of(name: str, values: pd.Series, kind: Kind) -> tuple[Role, str]:
    """What a column that is not the target is used for, and why where that is not plain."""
    rows, distinct = len(values), values.nunique()
    if distinct < 2:
        return "ignored", "the same in all rows" if distinct else "empty"
    if kind in ("time", "number", "boolean"):
        return "feature", ""
    every, named = distinct == rows, bool(ID_NAME.search(name))
    if every and (named or COUNTED.search(name)):
        return "id", "different in every row"
    if counts(values, kind):
        return "id", COUNTER
    if named and distinct > max(20, rows / 20):
        return "group", f"an id of {distinct:,} that repeats: rows of one stay together"
    useless = kind == "text" or (kind == "category" and every and rows >= 20)
    return ("ignored", f"text, {distinct:,} different") if useless else ("feature", "")


def counts(values: pd.Series, kind: Kind) -> bool:
    """Does the column number the rows, from 0 or 1?"""
    if kind != "integer" or len(values) < 20 or values.index[-1] != len(values) - 1:
        return False
    found = pd.to_numeric(values, errors="coerce")
    return bool(found.iloc[0] in (0, 1) and (found.diff().iloc[1:] == 1).all())


def problem_of(target: str, values: pd.Series, column: Column, asked: Problem | None) -> Problem:
    """Classes or a number?  Whole numbers are classes where few of them come again and again.

    Raises ProjectError where the values are neither, or not what was asked for.
    """
    distinct, rows, numeric = values.nunique(), len(values), column.kind in ("number", "integer")
    if distinct < 2:
        only = f"only {str(values.iloc[0])!r}" if distinct else "no value"
        raise ProjectError(f"{target}: {only} in all rows; two different ones are needed")
    if asked == "regression" and not numeric:
        raise ProjectError(f"{target}: a {column.kind}, so PROBLEM must be classification")
    if asked == "regression" or (numeric and not asked and not few(distinct, rows, column)):
        return "regression"
    if column.kind == "time" or distinct > max(2, rows / 2) or (distinct > CLASSES and not asked):
        raise ProjectError(
            f"{target}: {distinct:,} different values in {rows:,} rows, of kind {column.kind}:"
            f" neither a number nor at most {CLASSES} classes; choose another TARGET"
        )
    return "classification"


def few(distinct: int, rows: int, column: Column) -> bool:
    """Are these whole numbers classes: up to five, or up to 20 close together, all repeated?"""
    if column.kind != "integer" or column.range is None:
        return False
    close = column.range[1] - column.range[0] < 2 * distinct
    return distinct == 2 or (rows >= 3 * distinct and (distinct <= 5 or (distinct <= 20 and close)))


def column_of(values: pd.Series, data: Data, role: Role | None) -> tuple[Column, str]:
    """The column in the contract, and a remark: why its role, or what it holds."""
    known = values.dropna()
    unique = known.drop_duplicates()
    kind, form = kind_of(unique, len(known), data)
    found, remark = (role, "") if role else role_of(str(values.name), known, kind)
    zone = zone_of(unique, form) if kind == "time" else None
    nullable = len(known) < len(values)
    column = Column(kind=kind, role=found, nullable=nullable, format=form, timezone=zone)
    limits, held = held_by(unique, column, data)
    if column.nullable:  # twice of what is missing now, and five in a hundred, are still normal
        limits["missing"] = round(min(1, 2 - 2 * len(known) / len(values) + 0.05), 2)
    used = found in ("feature", "target")
    return column.model_copy(update=limits if used else {}), remark or held


def held_by(unique: pd.Series, column: Column, data: Data) -> tuple[dict[str, Any], str]:
    """The range or the categories of these different values, and what they hold in words."""
    if column.kind in ("number", "integer"):
        low, high = numbers(unique, data).agg(["min", "max"])
        whole = column.kind == "integer"
        return {"range": (int(low), int(high)) if whole else (low, high)}, f"{low:g} to {high:g}"
    if column.kind == "category":
        words, alike = words_of(as_text(unique), column.role)
        listed = words if len(words) <= LISTED else None
        return {"categories": listed}, f"{len(words):,}: {', '.join(words[:4])}{alike}"
    if column.kind == "time":
        when = as_time(unique, column)
        order = order_of_days(unique, column.format or "")
        return {}, f"{order}{when.min():%Y-%m-%d} to {when.max():%Y-%m-%d}"
    return {}, ""


def words_of(texts: pd.Series, role: Role) -> tuple[list[str], str]:
    """The different words, and a remark if classes of a target differ by case alone.

    Those are one class, spelled as it first occurs, unless only one class would be left.
    """
    words = list(dict.fromkeys(texts))
    classes = {word.casefold(): word for word in reversed(words)}
    if role != "target" or not 1 < len(classes) < len(words):
        return sorted(words), ""
    others = ", ".join(word for word in words if word not in classes.values())
    remark = f"; {others}: the same but for case (two classes?  List both in contract.toml)"
    return sorted(classes.values()), remark


def order_of_days(unique: pd.Series, form: str) -> str:
    """What comes first, the day or the month; and the other format if that fits as well."""
    first = {"%d": "day first", "%m": "month first"}.get(form[:2])
    if not first:
        return ""
    other = form.translate(str.maketrans("dm", "md"))
    fits = other in TIMES and times(unique, other).notna().all()
    return f'{first} (if not: format = "{other}" in contract.toml), ' if fits else f"{first}, "


def infer(
    frame: pd.DataFrame, data: Data, target: str, asked: Problem | None = None
) -> tuple[Contract, Problem, dict[str, str]]:
    """The contract of these rows, the problem, and remarks by column.

    Raises ProjectError where the target cannot be learned, or no feature is left.
    """
    names = list(map(str, frame))
    answers = frame[target]
    found = {n: column_of(frame[n], data, "target" if n == target else None) for n in names}
    found |= {
        n: as_copy(found[n][0], target)
        for n in names
        if n != target and same(frame[n], answers, data, found[target][0].kind)
    }
    columns = {name: column for name, (column, _) in found.items()}
    remarks = {name: remark for name, (_, remark) in found.items()}
    problem = problem_of(target, frame[target].dropna(), columns[target], asked)
    if problem == "classification" and columns[target].kind == "number":
        labels = {"kind": "category", "range": None}
        columns[target] = columns[target].model_copy(update=labels)
    clocks = (
        n for n, column in columns.items() if (column.kind, column.role) == ("time", "feature")
    )
    if first := next(clocks, None):
        columns[first] = columns[first].model_copy(update={"role": "time"})
        remarks[first] += "; orders the rows: the latest are held out"
    contract = Contract(columns=columns)
    for name in [] if contract.inputs() else [n for n in names if remarks[n] == COUNTER]:
        contract.columns[name], remarks[name] = column_of(frame[name], data, "feature")
    if not contract.inputs():
        raise ProjectError(f"{data.path}: no column can serve as a feature beside {target!r}")
    return contract, problem, remarks


def same(values: pd.Series, answers: pd.Series, data: Data, kind: Kind) -> bool:
    """Does a column repeat the target, of rows enough to tell?

    In the same words or numbers, whatever their case and zeros; or, if its name has the target's
    as a part, in others that stand one for one for the classes, as 1 and 0 for yes and no.  Some
    of its values may be missing.
    """
    both = values.notna() & answers.notna()
    if both.sum() < max(20, len(values) / 2):
        return False
    mine, theirs = comparable(values[both], data), comparable(answers[both], data)
    if mine.equals(theirs):
        return True
    distinct, part = theirs.nunique(), rf"(?i)(^|[\W_]){re.escape(str(answers.name))}($|[\W_])"
    if kind in ("number", "time") or distinct > CLASSES or not re.search(part, str(values.name)):
        return False
    return mine.nunique() == distinct == len(set(zip(mine, theirs, strict=True)))


def comparable(values: pd.Series, data: Data) -> pd.Series:
    """Numbers if all are, else text whatever its case."""
    found = numbers(values, data)
    words = found if found.notna().all() else as_text(values).astype("str").str.casefold()
    return words.rename(None)


def as_copy(column: Column, target: str) -> tuple[Column, str]:
    """The column of a copy of the target, which no model may see."""
    plain = {"role": "ignored", "range": None, "categories": None}
    return column.model_copy(update=plain), f"a copy of the target {target}"


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


def written(contract: Contract) -> str:
    """The text of `contract.toml`."""
    text = tomlkit.document()
    for line in HEADER.splitlines():
        text.add(tomlkit.comment(line))
    text.add("reviewed", contract.reviewed)
    text.add("columns", contract.model_dump(exclude_defaults=True)["columns"])
    return tomlkit.dumps(text)


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
            write_synced(parts[path], text)
        for path in filter(Path.exists, changed):
            olds[path] = set_aside(path)
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        for path, old in olds.items():
            old.replace(path)
        for part in filter(Path.is_file, parts.values()):
            part.unlink()
        name = error.filename or " and ".join(map(str, changed))
        said = f"{name}: cannot be written: {error.strerror}; nothing is changed"
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


def understood(options: argparse.Namespace) -> tuple[Data, pd.DataFrame, str]:
    """How the file is read, its rows, and the target.  ProjectError if the names are not right."""
    data, raw = look(options.data, options.encoding)
    why, text = "", not is_parquet(files(data.path)[0])
    if text:
        check_names(raw, data.path)
        why = explain_missing(raw, options.target, data.separator)
    target = resolve(options.target, list(raw.columns), why)
    data, frame = interpreted(data, raw, target, options.decimal)
    if text:
        check_units(raw, data.path, data)
    return data, frame, target


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
    data, frame, target = understood(options)
    contract, problem, remarks = infer(frame, data, target, options.problem)
    for name, column in contract.columns.items():
        if column.kind in ("text", "category"):
            remarks[name] += other_marks(frame[name], data)
    column = contract.columns[target]
    answers = (as_boolean if column.kind == "boolean" else as_text)(frame[target], column)
    config = configured(data, target, problem, answers.nunique())
    replace({CONFIG: config, CONTRACT: written(contract)})
    for renew in get_implementations("after_contract_change"):
        replace(renew(load(), frame) or {})
    print(f"\n{len(frame):,} rows of {data.path}, read {described(data)}")
    print(summary(frame, contract, remarks))
    print(told(contract, problem, frame[target], options.problem))
    print(f"Next: read {CONTRACT} and set reviewed = true; then `make train`.")


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
