"""The contract inferred from a file, so that own data need no Python."""

import re
from collections.abc import Callable
from typing import Any

import pandas as pd
from pandas.api import types

from . import ProjectError
from .contract import CONTRACT, TIMES, Column, Contract, Kind, Role
from .reading import as_text, as_time, numbers, times
from .settings import Data, Problem

ID_NAME = re.compile(r"(?i:(?:^|[\W_])(?:ids?|uuid|guid)$)|[a-z](?:Id|ID)$|^Unnamed: \d+$")
COUNTED = re.compile(r"(?i:(?:^|[\W_])(?:key|index|idx|nr|no|num)\.?|number|nummer)$|[a-z]Key$")
CODE = r"0\d+|\d{16,}"  # zip codes, and what is too long for a float
LISTED = 200
CLASSES = 100
SHOWN = 50
COUNTER = "numbers the rows"

TYPED: dict[Kind, Callable[[Any], bool]] = {
    "boolean": types.is_bool_dtype,
    "time": types.is_datetime64_any_dtype,
}


def kind_of(unique: pd.Series, rows: int, data: Data) -> tuple[Kind, str | None]:
    """The kind of these different values of so many rows, and the format of times in text."""
    for kind, holds in TYPED.items():
        if holds(unique):
            return kind, None
    found, text = numbers(unique, data), not types.is_numeric_dtype(unique)
    coded = text and bool(unique.str.fullmatch(CODE).any())
    if len(unique) and found.notna().all() and not coded:
        whole = (found % 1 == 0).all() and found.abs().max() < 2**53
        return "integer" if whole else "number", None
    return kind_of_words(unique.astype("str"), rows, coded)


def kind_of_words(words: pd.Series, rows: int, coded: bool) -> tuple[Kind, str | None]:
    """The kind of words that are no numbers; codes such as 01067 are no times either."""
    if len(words) and set(words.str.lower()) <= {"true", "false"}:
        return "boolean", None
    if form := None if coded else time_format(words):
        return "time", form
    return ("category" if 0 < len(words) <= max(20, rows / 2) else "text"), None


def time_format(words: pd.Series) -> str | None:
    """The format in which all of these texts are times, or None."""
    if words.empty or not words.str.contains(r"\d.*\d").all():
        return None
    for form in TIMES:
        parts = (words.head(1), words.head(100), words)
        if all(times(part, form).notna().all() for part in parts):
            return form
    return None


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
    column = Column(kind=kind, role=found, nullable=len(known) < len(values), format=form)
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
        words = sorted(as_text(unique, column).unique())
        listed = words if len(words) <= LISTED else None
        return {"categories": listed}, f"{len(words):,}: {', '.join(words[:4])}"
    if column.kind == "time":
        when = as_time(unique, column)
        return {}, f"{when.min():%Y-%m-%d} to {when.max():%Y-%m-%d}"
    return {}, ""


def infer(
    frame: pd.DataFrame, data: Data, target: str, asked: Problem | None = None
) -> tuple[Contract, Problem, dict[str, str]]:
    """The contract of these rows, the problem, and remarks by column.

    Raises ProjectError where the target cannot be learned, or no feature is left.
    """
    names = list(map(str, frame))
    found = {n: column_of(frame[n], data, "target" if n == target else None) for n in names}
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


def summary(frame: pd.DataFrame, contract: Contract, remarks: dict[str, str]) -> str:
    """A line for each of the first columns: name, kind, role, what is missing, what it holds."""
    width = min(40, max(map(len, contract.columns)))
    lines = []
    for name, column in list(contract.columns.items())[:SHOWN]:
        lost = f"{frame[name].isna().mean():.1%} missing" if column.nullable else ""
        held = " ".join(remarks[name].split())
        shown = " ".join(name.split())[:width]
        line = f"  {shown:{width}} {column.kind:9} {column.role:8} {lost:14} {held[:70]}"
        lines.append(line.rstrip())
    if (more := len(contract.columns) - SHOWN) > 0:
        lines.append(f"  ... and {more:,} more columns: see {CONTRACT}")
    return "\n".join(lines)
