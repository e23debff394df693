"""Casting: the values of a column as its kind, from text or from any type of Parquet."""

import re

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


def has_offset(values: pd.Series, form: str) -> pd.Series:
    """Which times say how far they are from UTC?"""
    if isinstance(values.dtype, pd.DatetimeTZDtype) or form in EPOCHS or "%z" in form:
        return values.notna()
    return values.astype("str").str.contains(OFFSET)
