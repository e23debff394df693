"""The contract inferred from a file, so that own data need no Python."""

import re
from collections.abc import Callable
from typing import Any

import pandas as pd
from pandas.api import types

from . import ProjectError
from .casting import ADDRESS, TIMES, as_text, as_time, moment_format, numbers, time_format, times
from .casting import zone_of
from .contract import Column, Contract, Kind, Role
from .settings import Data, Problem

WHO = (  # or what has a number, in some languages
    r"kunden?|kd|clients?|clientes?|klanten?|klient\w*|customer|patient\w*|user|account|konto"
    r"|member|mitglieds?|employee|personal|mitarbeiter|order|bestell|auftrags?|rechnungs?|invoice"
    r"|ticket|policy|vertrags?|contract|articles?|artikel|serial|serien|receipt|facture|factura"
    r"|pedido"
)
NUMBER = r"nr|no|nro|num|nummer|number|numer\w*|numero|numéro|número|code|codice|c[oó]digo|kod"
ID_NAME = re.compile(
    r"(?i:(?:^|[\W_])(?:ids?|uuid|guid)$)|[a-z](?:Id|ID)$|^Unnamed: \d+$"
    r"|(?i:^ids?[\W_])|^[iI][dD][A-Z]"
    rf"|(?i:(?:^|[\W_])(?:{WHO})[\W_]*(?:{NUMBER})\.?$)"
    rf"|(?i:^(?:n|{NUMBER})[\W_]+(?:de[\W_]+)?(?:{WHO})$)"
    r"|(?i:^(?:identifiant|identificador|identificativo|identyfikator|kennung)$)"
    r"|(?i:^(?:matricule|matricola)$)"
)
COUNTED = re.compile(
    rf"(?i:(?:^|[\W_])(?:key|index|idx|ref|n°|nº|{NUMBER})\.?$|(?:number|nummer|[a-zäöü]nr\.?)$)"
    r"|[a-z](?:Key|No|Num)$"
)
CODE = r"0\d+|\d{16,}|\+\d{7,}"  # zip codes, what is too long for a float, phone numbers
LISTED = 200
CLASSES = 100
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
    coded = text and bool(unique.str.fullmatch(CODE).any() or unique.str.fullmatch(ADDRESS).all())
    if len(unique) and found.notna().all() and not coded:
        whole = (found % 1 == 0).all() and found.abs().max() < 2**53
        if form := moment_format(unique, found) if whole else None:
            return "time", form
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
        n: as_copy(found[n][0], target) for n in names if n != target and same(frame[n], answers)
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


def same(values: pd.Series, answers: pd.Series) -> bool:
    """Does a column repeat the target in every row, of rows enough to tell?"""
    return len(values) >= 20 and comparable(values).equals(comparable(answers))


def comparable(values: pd.Series) -> pd.Series:
    """Values as text, whatever their case; a missing one is empty."""
    return as_text(values).fillna("").astype("str").str.casefold().rename(None)


def as_copy(column: Column, target: str) -> tuple[Column, str]:
    """The column of a copy of the target, which no model may see."""
    plain = {"role": "ignored", "range": None, "categories": None}
    return column.model_copy(update=plain), f"a copy of the target {target}"
