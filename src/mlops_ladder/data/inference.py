"""The contract of rows that nobody has described: kinds, roles, ranges, and the problem."""

import re
from collections.abc import Callable
from typing import Any
from zoneinfo import available_timezones

import pandas as pd
from pandas.api import types

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import as_text, as_time, has_offset, times
from mlops_ladder.data.contract import Column, Contract, EPOCHS, ISO, Kind, Role
from mlops_ladder.data.dialect import ADDRESS, CODE, time_format, TIMES
from mlops_ladder.data.reading import numbers
from mlops_ladder.settings import Data, Problem

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
LISTED = 200
CLASSES = 100
COUNTER = "numbers the rows"
TYPED: dict[Kind, Callable[[Any], bool]] = {
    "boolean": types.is_bool_dtype,
    "time": types.is_datetime64_any_dtype,
}


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
        told = f"{distinct:,} different values in {rows:,} rows, of kind {column.kind}"
        way_out = f"neither a number nor at most {CLASSES} classes; choose another TARGET"
        raise ProjectError(f"{target}: {told}: {way_out}")
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
    found = {n: column_of(frame[n], data, "target" if n == target else None) for n in names}
    kind, others = found[target][0].kind, [n for n in names if n != target]
    copies = (n for n in others if same(frame[n], frame[target], data, kind))
    found |= {n: as_copy(found[n][0], target) for n in copies}
    columns = {name: column for name, (column, _) in found.items()}
    remarks = {name: remark for name, (_, remark) in found.items()}
    problem = problem_of(target, frame[target].dropna(), columns[target], asked)
    if problem == "classification" and columns[target].kind == "number":
        labels = {"kind": "category", "range": None}
        columns[target] = columns[target].model_copy(update=labels)
    hold_latest_out(columns, remarks)
    contract = Contract(columns=columns)
    for name in [] if contract.inputs() else [n for n in names if remarks[n] == COUNTER]:
        contract.columns[name], remarks[name] = column_of(frame[name], data, "feature")
    if not contract.inputs():
        raise ProjectError(f"{data.path}: no column can serve as a feature beside {target!r}")
    return contract, problem, remarks


def hold_latest_out(columns: dict[str, Column], remarks: dict[str, str]) -> None:
    """Let the first time among the features order the rows."""
    for name, column in columns.items():
        if (column.kind, column.role) == ("time", "feature"):
            columns[name] = column.model_copy(update={"role": "time"})
            remarks[name] += "; orders the rows: the latest are held out"
            return


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
