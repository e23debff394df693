"""Casting: the values of a column as its kind, from text or from any type of Parquet."""

import re
from zoneinfo import available_timezones

import numpy as np
import pandas as pd
from pandas.api import types

from .contract import EPOCHS, ISO, Column
from .settings import Data

TRUTH = {"true": 1.0, "yes": 1.0, "1": 1.0, "1.0": 1.0}
TRUTH |= {"false": 0.0, "no": 0.0, "0": 0.0, "0.0": 0.0}
SIGNS = r"(?:[A-Z]{0,2}[$]|[€£¥₹%]|EUR|USD|GBP|CHF|PLN|CZK|SEK|NOK|DKK|JPY|kr\.?|zł|Kč|Fr\.?)"
# Minus, sign and digits in any order, or the digits of a negative number in brackets or before it
AMOUNT = re.compile(
    rf"(?P<open>\()?(?P<minus>[-+−]?)\s*(?:{SIGNS}\s*)?(?P<inner>[-+−]?)(?P<digits>[\d.,'’].*?|)"
    rf"\s*(?:{SIGNS}\s*)?(?P<after>[-−]?)(?:\s*{SIGNS})?(?(open)\))"
)
SPACES = "\u00a0\u202f\u2009"  # each stands for a blank between thousands
ADDRESS = r"(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.|$)){4}"  # IP; groups of thousands look alike
OFFSET = r"[T ]\d.*(?:[Zz]|[+-]\d\d(?::?\d\d)?)$"
DAYS = (
    "%d.%m.%Y|%d/%m/%Y|%m/%d/%Y|%d-%m-%Y|%m-%d-%Y|%Y/%m/%d|%d.%m.%y|%d/%m/%y|%m/%d/%y|%d-%b-%Y"
    "|%d-%b-%y|%d %b %Y|%d %B %Y|%b %d, %Y|%B %d, %Y"
).split("|")
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
TIMES = (ISO, *(day + clock for day in DAYS for clock in CLOCKS))
MOMENT = re.compile(r"(?i)time|date|stamp|epoch|unix|zeit|datum|fecha|created|updated|(?:_at|ts)$")


def bare(text: str) -> str:
    """A number without signs of currency and percent, its minus in front; other text as it is."""
    text = text.strip().translate(dict.fromkeys(map(ord, SPACES), " ") | {ord("’"): "'"})
    parts = AMOUNT.fullmatch(text)
    if not parts or not parts["digits"]:
        return text
    signs = [parts["minus"], parts["inner"], parts["after"], "-" if parts["open"] else ""]
    minus = any(sign in ("-", "−") for sign in signs)
    return ("-" if minus else "") + parts["digits"]


def pattern_of(decimal: str, thousands: str) -> str:
    """The regular expression of a bare number that is written with these marks."""
    groups = rf"|[1-9]\d?\d?(?:{re.escape(thousands)}\d\d\d)+" if thousands else ""
    decimals = re.escape(decimal)
    return rf"[+-]?(?:(?:\d+{groups})(?:{decimals}\d*)?|{decimals}\d+)(?:[eE][+-]?\d+)?"


def numbers(values: pd.Series, data: Data) -> pd.Series:
    """float64, NaN where a value is no number that is written with the marks of the data.

    Signs of currency and percent are left out; a number in brackets is negative.
    """
    if types.is_numeric_dtype(values):
        return values.astype("float64").replace([np.inf, -np.inf], np.nan)
    thousands = data.thousands or ""
    text = values.astype("object").map(lambda it: bare(str(it)), na_action="ignore").astype("str")
    known = text.str.fullmatch(pattern_of(data.decimal, thousands), na=False)
    plain = text.str.replace(thousands, "", regex=False) if thousands else text
    plain = plain.str.replace(data.decimal, ".", regex=False)
    loose = text.where(~text.str.contains(thousands, regex=False, na=False)) if thousands else text
    found = pd.to_numeric(plain.where(known, loose), errors="coerce").astype("float64")
    return found.replace([np.inf, -np.inf], np.nan)


def as_number(values: pd.Series, column: Column) -> pd.Series:
    """float64; int64 for an integer column in which nothing may be missing."""
    found = pd.to_numeric(values, errors="coerce").astype("float64")
    sure = column.role == "target" or not column.nullable
    whole = column.kind == "integer" and sure and (found % 1 == 0).all()
    return found.astype("int64") if whole else found


def as_boolean(values: pd.Series, column: Column) -> pd.Series:
    """bool; float64 (1, 0, NaN) where values may be missing."""
    truth = values.astype("str").str.strip().str.lower().map(TRUTH)
    sure = column.role == "target" or not column.nullable
    return truth.astype("bool") if sure and truth.notna().all() else truth


def as_text(values: pd.Series, column: Column | None = None) -> pd.Series:
    """str, without blanks around it; whole numbers without a decimal point.

    A class of the target is spelled as the contract lists it, whatever its case.
    """
    if types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    words = values.astype("string").str.strip().astype("object").where(values.notna(), np.nan)
    listed = (column.categories or []) if column and column.role == "target" else []
    spelled = {word.casefold(): word for word in listed}
    if not listed or len(spelled) < len(listed):
        return words
    return words.map(lambda it: spelled.get(it.casefold(), it), na_action="ignore")


def as_time(values: pd.Series, column: Column) -> pd.Series:
    """datetime64[us] without a zone: what the column's clock shows, see `Column`.

    NaT where a value is no time of its format, or has an offset though its clock is not known.
    """
    found, exact = times(values, column.format or ISO), has_offset(values, column.format or ISO)
    if column.timezone is None:
        return found.mask(exact)
    moved = found.dt.tz_localize("UTC").dt.tz_convert(column.timezone).dt.tz_localize(None)
    shown = found.mask(exact, moved)
    once = np.ones(len(shown), dtype="bool")
    zoned = shown.dt.tz_localize(column.timezone, ambiguous=once, nonexistent="NaT")
    skipped = zoned.isna() & shown.notna()
    shown[skipped] = [column.clock(it.to_pydatetime()) for it in shown[skipped]]
    return shown


def times(values: pd.Series, form: str) -> pd.Series:
    """datetime64[us], in UTC where a value has an offset; NaT where it is not of this format."""
    if form in EPOCHS:
        seconds = pd.to_numeric(values, errors="coerce") / EPOCHS[form]
        found = pd.to_datetime(seconds, unit="s", errors="coerce", utc=True)
    else:
        text = as_text(values) if types.is_numeric_dtype(values) else values
        found = pd.to_datetime(text, format=form, errors="coerce", utc=True)
    return found.dt.tz_localize(None).astype("datetime64[us]")


def time_format(words: pd.Series) -> str | None:
    """The format in which all of these different texts are times, or None.

    Of two that fit it is the one by which all are the same day of a month, or stand in order; else
    the first of `TIMES`, which has the day before the month.
    """
    if words.empty or not words.str.contains(r"\d.*\d").all():
        return None
    parts = (words.head(1), words.head(100), words)
    fitting = [form for form in TIMES if all(times(part, form).notna().all() for part in parts)]
    read = {form: times(words, form) for form in fitting if len(fitting) > 1}
    same_day = [form for form, found in read.items() if found.dt.day.nunique() == 1]
    in_order = [form for form, found in read.items() if found.is_monotonic_increasing]
    return next(iter([*same_day, *in_order, *fitting]), None)


def has_offset(values: pd.Series, form: str) -> pd.Series:
    """Which times say how far they are from UTC?"""
    if isinstance(values.dtype, pd.DatetimeTZDtype) or form in EPOCHS or "%z" in form:
        return values.notna()
    return values.astype("str").str.contains(OFFSET)


def moment_format(unique: pd.Series, found: pd.Series) -> str | None:
    """The format in which these whole numbers are times: 20240131, or seconds since 1970."""
    named = bool(MOMENT.search(str(unique.name)))
    if found.between(19000101, 21001231).all() and (named or len(unique) >= 10):
        return ISO if times(as_text(unique), ISO).notna().all() else None
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
