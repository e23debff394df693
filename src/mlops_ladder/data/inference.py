"""The contract of rows that nobody has described: kinds, roles, ranges, and the problem."""

import re
from typing import Any
from zoneinfo import available_timezones

import pandas as pd
from pandas.api import types

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import are_times, cast_text, cast_times, has_offset
from mlops_ladder.data.contract import Column, Contract, EPOCHS, ISO, Kind, Role
from mlops_ladder.data.dialect import ADDRESS, CODE, detect_time_format, TIME_FORMATS, VOCABULARY
from mlops_ladder.data.reading import parse_numbers
from mlops_ladder.settings import Data, Problem

DIGIT_FORMATS = {12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}  # times without a mark, by their length
TIME_NAME = re.compile("(?i)" + VOCABULARY["time_name"])
ID_WORDS = {name: "|".join(words) for name, words in VOCABULARY["id_name"].items()}
MAX_CATEGORIES = 200
MAX_CLASSES = 100
ROW_NUMBER = "numbers the rows"


def compile_names(patterns: str) -> re.Pattern[str]:
    """Return a regular expression of names of ids: `{owner}` and `{number}` stand for words."""
    filled = patterns.replace("{owner}", ID_WORDS["owner"])
    return re.compile(filled.replace("{number}", ID_WORDS["number"]))


ID_NAME = compile_names(ID_WORDS["patterns"])
ROW_NUMBER_NAME = compile_names(ID_WORDS["row_number_patterns"])


def detect_numeric_time_format(unique: pd.Series, numbers: pd.Series) -> str | None:
    """Return the format in which numbers are times, such as 20240131 or seconds since 1970."""
    has_time_name, words = bool(TIME_NAME.search(str(unique.name))), cast_text(unique)
    if numbers.between(19000101, 21001231).all() and (has_time_name or len(unique) >= 10):
        return ISO if are_times(words, ISO) else None
    form = DIGIT_FORMATS.get(len(str(words.iloc[0])), "")
    if form and words.str.fullmatch("(?:19|20).*").all() and are_times(words, form):
        return form
    for form, steps in EPOCHS.items():
        if has_time_name and numbers.between(1e8 * steps, 4e9 * steps).all():
            return form
    return None


def detect_timezone(unique: pd.Series, form: str | None) -> str | None:
    """Return the zone of a column's type, UTC if some times have an offset, None if none has."""
    if not has_offset(unique, form or ISO).any():
        return None
    zone = str(getattr(unique.dtype, "tz", ""))
    return zone if zone in available_timezones() else "UTC"


def is_written_boolean(unique: pd.Series) -> bool:
    """Return whether the values are the words true and false, in any case."""
    words = unique.astype("str").str.strip().str.lower()
    return len(words) > 0 and bool(words.isin(["true", "false"]).all())


def infer_kind(unique: pd.Series, rows: int, data: Data) -> tuple[Kind, str | None]:
    """Return the kind of these different values of so many rows, and the format of times."""
    if types.is_bool_dtype(unique) or is_written_boolean(unique):
        return "boolean", None
    if types.is_datetime64_any_dtype(unique):
        return "time", None
    numbers, is_text = parse_numbers(unique, data), not types.is_numeric_dtype(unique)
    is_code = is_text and (unique.str.fullmatch(CODE).any() or unique.str.fullmatch(ADDRESS).all())
    if len(unique) and numbers.notna().all():
        if form := detect_numeric_time_format(unique, numbers):
            return "time", form
        if not is_code:
            is_whole = (numbers % 1 == 0).all() and numbers.abs().max() < 2**53
            return "integer" if is_whole else "number", None
    words = unique.astype("str")
    if form := None if is_code else detect_time_format(words):  # a code such as 01067 is no time
        return "time", form
    return ("category" if 0 < len(words) <= max(20, rows / 2) else "text"), None


def infer_role(name: str, values: pd.Series, kind: Kind) -> tuple[Role, str]:
    """Return the role of a column that is not the target, and the reason if it is no feature."""
    rows, distinct = len(values), values.nunique()
    if distinct < 2:
        return "ignored", "the same in all rows" if distinct else "empty"
    if kind in ("time", "number", "boolean"):
        return "feature", ""
    is_unique, has_id_name = distinct == rows, bool(ID_NAME.search(name))
    if is_unique and (has_id_name or ROW_NUMBER_NAME.search(name)):
        return "id", "different in every row"
    if is_row_number(values, kind):
        return "id", ROW_NUMBER
    if has_id_name and distinct > max(20, rows / 20):
        return "group", f"an id of {distinct:,} that repeats: rows of one stay together"
    is_useless = kind == "text" or (kind == "category" and is_unique and rows >= 20)
    return ("ignored", f"text, {distinct:,} different") if is_useless else ("feature", "")


def is_row_number(values: pd.Series, kind: Kind) -> bool:
    """Return whether the column numbers the rows, from 0 or 1."""
    if kind != "integer" or len(values) < 20 or values.index[-1] != len(values) - 1:
        return False
    numbers = pd.to_numeric(values, errors="coerce")
    return bool(numbers.iloc[0] in (0, 1) and (numbers.diff().iloc[1:] == 1).all())


def infer_problem(target: str, values: pd.Series, column: Column, hint: Problem | None) -> Problem:
    """Return whether the target is a class or a number; whole numbers that repeat are classes.

    Args:
        target: The name of the column to predict.
        values: Its values, without missing ones.
        column: The column as the contract describes it.
        hint: The problem that the user names, if any.

    Raises:
        ProjectError: The values are neither, or they do not fit the problem that is asked for.
    """
    distinct, rows, numeric = values.nunique(), len(values), column.kind in ("number", "integer")
    if distinct < 2:
        only = f"only {str(values.iloc[0])!r}" if distinct else "no value"
        raise ProjectError(f"{target}: {only} in all rows; two different ones are needed")
    if hint == "regression" and not numeric:
        raise ProjectError(f"{target}: a {column.kind}, so PROBLEM must be classification")
    is_amount = numeric and not hint and not looks_categorical(distinct, rows, column)
    if hint == "regression" or is_amount:
        return "regression"
    has_many = distinct > max(2, rows / 2) or (distinct > MAX_CLASSES and not hint)
    if column.kind == "time" or has_many:
        count = f"{distinct:,} different values in {rows:,} rows, of kind {column.kind}"
        way_out = f"neither a number nor at most {MAX_CLASSES} classes; choose another TARGET"
        raise ProjectError(f"{target}: {count}: {way_out}")
    return "classification"


def looks_categorical(distinct: int, rows: int, column: Column) -> bool:
    """Return whether whole numbers are classes: at most 5, or at most 20 close ones, repeated."""
    if column.kind != "integer" or column.range is None:
        return False
    is_dense = column.range[1] - column.range[0] < 2 * distinct
    is_few = distinct <= 5 or (distinct <= 20 and is_dense)
    return distinct == 2 or (rows >= 3 * distinct and is_few)


def infer_column(values: pd.Series, data: Data, role: Role | None) -> tuple[Column, str]:
    """Return the column for the contract, and a remark: the reason of its role, or its values."""
    present = values.dropna()
    unique = present.drop_duplicates()
    kind, form = infer_kind(unique, len(present), data)
    role, remark = (role, "") if role else infer_role(str(values.name), present, kind)
    zone = detect_timezone(unique, form) if kind == "time" else None
    nullable = len(present) < len(values)
    column = Column(kind=kind, role=role, nullable=nullable, format=form, timezone=zone)
    limits, summary = infer_limits(unique, column, data)
    if nullable:  # twice the share that is missing now, and 5 % more, is still normal
        limits["missing"] = round(min(1, 2 - 2 * len(present) / len(values) + 0.05), 2)
    is_used = role in ("feature", "target")
    return column.model_copy(update=limits if is_used else {}), remark or summary


def infer_limits(unique: pd.Series, column: Column, data: Data) -> tuple[dict[str, Any], str]:
    """Return the range or the categories of these different values, and a summary of them."""
    if column.kind in ("number", "integer"):
        low, high = parse_numbers(unique, data).agg(["min", "max"])
        limits = (int(low), int(high)) if column.kind == "integer" else (low, high)
        return {"range": limits}, f"{low:g} to {high:g}"
    if column.kind == "category":
        words, remark = list_categories(cast_text(unique), column.role)
        listed = words if len(words) <= MAX_CATEGORIES else None
        return {"categories": listed}, f"{len(words):,}: {', '.join(words[:4])}{remark}"
    if column.kind == "time":
        when = cast_times(unique, column)
        order = describe_day_order(unique, column.format or "")
        return {}, f"{order}{when.min():%Y-%m-%d} to {when.max():%Y-%m-%d}"
    return {}, ""


def list_categories(texts: pd.Series, role: Role) -> tuple[list[str], str]:
    """Return the different words, and a remark if classes of a target differ by case alone.

    Such classes are one, spelled as it first occurs, unless only one class would be left.
    """
    words = list(dict.fromkeys(texts))
    classes = {word.casefold(): word for word in reversed(words)}
    if role != "target" or not 1 < len(classes) < len(words):
        return sorted(words), ""
    others = ", ".join(word for word in words if word not in classes.values())
    remark = f"; {others}: the same but for case (two classes?  List both in contract.toml)"
    return sorted(classes.values()), remark


def describe_day_order(unique: pd.Series, form: str) -> str:
    """Return which comes first, the day or the month, and the other format if it fits as well."""
    first = {"%d": "day first", "%m": "month first"}.get(form[:2])
    if not first:
        return ""
    other = form.translate(str.maketrans("dm", "md"))
    fits = other in TIME_FORMATS and are_times(unique, other)
    return f'{first} (if not: format = "{other}" in contract.toml), ' if fits else f"{first}, "


def infer_contract(
    frame: pd.DataFrame, data: Data, target: str, hint: Problem | None = None
) -> tuple[Contract, Problem, dict[str, str]]:
    """Return the contract of these rows, the problem, and remarks by column.

    Args:
        frame: All rows, as `reading.read_table` gives them without a contract.
        data: How numbers are written in them.
        target: The column to predict.
        hint: The problem that the user names, if any.

    Raises:
        ProjectError: The target cannot be learned, or no column can be a feature.
    """
    names = list(map(str, frame))
    columns, remarks = {}, {}
    for name in names:
        role: Role | None = "target" if name == target else None
        columns[name], remarks[name] = infer_column(frame[name], data, role)
    for name in columns.keys() - {target}:
        if repeats_target(frame[name], frame[target], data, columns[target].kind):
            change = {"role": "ignored", "range": None, "categories": None}
            columns[name] = columns[name].model_copy(update=change)
            remarks[name] = f"a copy of the target {target}"
    problem = infer_problem(target, frame[target].dropna(), columns[target], hint)
    if problem == "classification" and columns[target].kind == "number":
        change = {"kind": "category", "range": None}
        columns[target] = columns[target].model_copy(update=change)
    assign_time_role(columns, remarks)
    contract = Contract(columns=columns)
    if not contract.inputs():  # then even a row number may serve
        for name in [name for name in names if remarks[name] == ROW_NUMBER]:
            contract.columns[name], remarks[name] = infer_column(frame[name], data, "feature")
    if not contract.inputs():
        raise ProjectError(f"{data.path}: no column can serve as a feature beside {target!r}")
    return contract, problem, remarks


def assign_time_role(columns: dict[str, Column], remarks: dict[str, str]) -> None:
    """Let the first time among the features order the rows."""
    for name, column in columns.items():
        if (column.kind, column.role) == ("time", "feature"):
            columns[name] = column.model_copy(update={"role": "time"})
            remarks[name] += "; orders the rows: the latest are held out"
            return


def repeats_target(values: pd.Series, target: pd.Series, data: Data, kind: Kind) -> bool:
    """Return whether a column is a copy of the target, if there are rows enough to tell.

    A copy has the same words or numbers, apart from case and trailing zeros.  A column whose name
    contains the target's is also a copy if its values map one to one to the classes, as 1 and 0 do
    to yes and no.  Some of its values may be missing.
    """
    both = values.notna() & target.notna()
    if both.sum() < max(20, len(values) / 2):
        return False
    copy, original = (normalize_for_comparison(column[both], data) for column in (values, target))
    if copy.equals(original):
        return True
    distinct, part = original.nunique(), rf"(?i)(^|[\W_]){re.escape(str(target.name))}($|[\W_])"
    is_named = kind not in ("number", "time") and re.search(part, str(values.name))
    if not is_named or distinct > MAX_CLASSES:
        return False
    return copy.nunique() == distinct == len(set(zip(copy, original, strict=True)))


def normalize_for_comparison(values: pd.Series, data: Data) -> pd.Series:
    """Return numbers if all values are numbers, else text in lower case."""
    numbers = parse_numbers(values, data)
    if numbers.notna().all():
        return numbers.rename(None)
    return cast_text(values).astype("str").str.casefold().rename(None)
