"""Casting: the columns of a table as the kinds that the contract names."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
from pandas.api import types

from mlops_ladder.data.contract import (
    Column,
    Contract,
    EPOCHS,
    ISO,
    Kind,
    raise_for_violations,
    Violation,
)

RowCheck = Callable[[pd.DataFrame, Contract], list[Violation]]
BOOLEAN_WORDS = {1.0: ("true", "yes", "1", "1.0"), 0.0: ("false", "no", "0", "0.0")}
BOOLEAN_BY_WORD = {word: truth for truth, words in BOOLEAN_WORDS.items() for word in words}
OFFSET = r"[T ]\d.*(?:[Zz]|[+-]\d\d(?::?\d\d)?)$"


def cast_numbers(values: pd.Series, column: Column) -> pd.Series:
    """Return float64; int64 for an integer column in which no value may be missing."""
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    sure = column.role == "target" or not column.nullable
    whole = column.kind == "integer" and sure and (numbers % 1 == 0).all()
    return numbers.astype("int64") if whole else numbers


def cast_booleans(values: pd.Series, column: Column) -> pd.Series:
    """Return bool; float64 (1, 0, NaN) if values may be missing."""
    truth = values.astype("str").str.strip().str.lower().map(BOOLEAN_BY_WORD)
    sure = column.role == "target" or not column.nullable
    return truth.astype("bool") if sure and truth.notna().all() else truth


def cast_text(values: pd.Series, column: Column | None = None) -> pd.Series:
    """Return str without blanks around it; whole numbers without a decimal point.

    A class of the target is spelled as the contract lists it, in any case.
    """
    if types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    words = values.astype("string").str.strip().astype("object").where(values.notna(), np.nan)
    listed = (column.categories or []) if column and column.role == "target" else []
    spelled = {word.casefold(): word for word in listed}
    if not listed or len(spelled) < len(listed):
        return words
    return words.map(lambda word: spelled.get(word.casefold(), word), na_action="ignore")


def cast_times(values: pd.Series, column: Column) -> pd.Series:
    """Return datetime64[us] without a zone: the time on the column's clock, see `Column`.

    NaT if a value has another format, or an offset although the column has no time zone.
    """
    form = column.format or ISO
    times, exact = parse_timestamps(values, form), has_offset(values, form)
    if (zone := column.timezone) is None:
        return times.mask(exact)
    sure = times.dt.year.between(2, 9998)  # in the first and the last year a clock may show none
    moved = times.where(sure).dt.tz_localize("UTC").dt.tz_convert(zone).dt.tz_localize(None)
    shown = times.mask(exact, moved)
    zoned = shown.where(sure).dt.tz_localize(zone, ambiguous=sure.to_numpy(), nonexistent="NaT")
    skipped = zoned.isna() & shown.notna()
    shown[skipped] = [column.to_wall_clock(when.to_pydatetime()) for when in shown[skipped]]
    return shown


def parse_timestamps(values: pd.Series, form: str) -> pd.Series:
    """Return datetime64[us], in UTC if a value has an offset; NaT if its format differs."""
    if form in EPOCHS:
        seconds = pd.to_numeric(values, errors="coerce") / EPOCHS[form]
        times = pd.to_datetime(seconds, unit="s", errors="coerce", utc=True)
    else:
        text = cast_text(values) if types.is_numeric_dtype(values) else values
        times = pd.to_datetime(text, format=form, errors="coerce", utc=True)
    return times.dt.tz_localize(None).astype("datetime64[us]")


def are_times(values: pd.Series, form: str) -> bool:
    """Return whether all values are times of this format."""
    return bool(parse_timestamps(values, form).notna().all())


def has_offset(values: pd.Series, form: str) -> pd.Series:
    """Return, for each time, whether it has an offset from UTC."""
    if isinstance(values.dtype, pd.DatetimeTZDtype) or form in EPOCHS or "%z" in form:
        return values.notna()
    return values.astype("str").str.contains(OFFSET)


CASTS: dict[Kind, Callable[[pd.Series, Column], pd.Series]] = {
    "number": cast_numbers,
    "integer": cast_numbers,
    "boolean": cast_booleans,
    "category": cast_text,
    "text": cast_text,
    "time": cast_times,
}


def cast_columns(
    frame: pd.DataFrame, contract: Contract, names: Iterable[str]
) -> tuple[pd.DataFrame, list[Violation]]:
    """Return these columns cast to their kinds, and the violations.

    A column becomes float64 or int64, bool, str, or datetime64; a missing value is NaN.  A column
    that is missing, or holds a value of another kind, is a violation and is left out.
    """
    columns, breaches = {}, []
    for name in names:
        if name not in frame.columns:
            others = ", ".join(map(str, frame.columns))
            breaches.append(Violation(name, f"column is missing; there are {others}"))
            continue
        column = contract.columns[name]
        values = (cast_text if column.role == "id" else CASTS[column.kind])(frame[name], column)
        wrong = (values.isna() & frame[name].notna()).to_numpy()
        if wrong.any():
            breaches.append(make_violation(frame[name], wrong, f"hold no {column.kind}"))
        else:
            columns[name] = values
    return pd.DataFrame(columns, index=frame.index), breaches


def make_violation(values: pd.Series, wrong: np.ndarray, rule: str) -> Violation:
    """Return the violation of a rule by the values that `wrong` marks, (rows,)."""
    places = np.flatnonzero(wrong)
    rows = tuple(int(values.index[place]) + 1 for place in places[:3])
    first = values.iloc[places[0]]
    shown = "" if pd.isna(first) else repr(getattr(first, "item", lambda: first)())
    return Violation(str(values.name), rule, len(places), len(values), rows, shown, wrong)


def validate_and_cast(
    frame: pd.DataFrame, contract: Contract, names: Iterable[str], checks: Iterable[RowCheck] = ()
) -> pd.DataFrame:
    """Return these columns cast to their kinds.  Raise ProjectError that lists each violation."""
    rows, breaches = cast_columns(frame, contract, names)
    breaches += [breach for check in checks for breach in check(rows, contract)]
    raise_for_violations(breaches)
    return rows
