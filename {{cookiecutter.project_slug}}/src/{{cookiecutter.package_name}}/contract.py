"""The data contract: what `contract.toml` promises about each column."""

import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import pandas as pd
import tomlkit
from pydantic import BaseModel, ConfigDict, ValidationError

from . import ProjectError

CONTRACT = Path("contract.toml")
Kind = Literal["number", "integer", "boolean", "category", "text", "time"]
Role = Literal["feature", "target", "id", "time", "group", "personal", "ignored"]
TRUTH = {"true": 1.0, "yes": 1.0, "1": 1.0, "1.0": 1.0, "false": 0.0, "no": 0.0, "0": 0.0}
TRUTH["0.0"] = 0.0
DAYS = (
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%Y/%m/%d",
    "%d.%m.%y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%d-%b-%Y",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
)
CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
TIMES = ("ISO8601", *(day + clock for day in DAYS for clock in CLOCKS))
HEADER = """\
What the data hold, column by column; training, prediction and checks read it.
Made by `make contract DATA=file TARGET=column`.  Read it, correct it, then set reviewed = true.
kind: number integer boolean category text time
role: feature target id time group personal ignored"""


class Column(BaseModel):
    """What one column holds, and what it is used for.

    A `time` orders the rows, and the model sees its weekday and hour.  A `group`
    (one patient, one machine) keeps its rows together and is no feature.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    role: Role
    nullable: bool = False
    range: tuple[int | float, int | float] | None = None
    categories: list[str] | None = None
    format: str | None = None


class Contract(BaseModel):
    """Every column by its name, in the order of the file.  `reviewed`: a person has read it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reviewed: bool = False
    columns: dict[str, Column]

    def names(self, *roles: Role) -> list[str]:
        """The columns of these roles."""
        return [name for name, column in self.columns.items() if column.role in roles]

    @property
    def target(self) -> str:
        """The column to predict."""
        return self.names("target")[0]

    def inputs(self, *kinds: Kind) -> list[str]:
        """The columns that the model sees: of these kinds, or all."""
        wanted = kinds or get_args(Kind)
        return [name for name in self.names("feature", "time") if self.columns[name].kind in wanted]


def read_contract(path: Path = CONTRACT) -> Contract:
    """The contract in this file.  Raises ProjectError naming each column and key that is wrong."""
    try:
        contract = Contract(**tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ProjectError(
            f"{path}: not here; make it: `make contract DATA=file TARGET=column`"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        lines = [
            f"{'.'.join(map(str, e['loc']))} = {e['input']!r}: {e['msg']}" for e in error.errors()
        ]
        raise ProjectError(f"{path}: " + "\n  ".join(lines)) from error
    targets, inputs = contract.names("target"), contract.inputs()
    if len(targets) != 1 or not inputs:
        found = f"{len(targets)} columns of role target and {len(inputs)} of role feature or time"
        raise ProjectError(
            f"{path}: {found}; exactly one target and at least one feature are needed"
        )
    return contract


def written(contract: Contract) -> str:
    """The text of `contract.toml`."""
    text = tomlkit.document()
    for line in HEADER.splitlines():
        text.add(tomlkit.comment(line))
    text.add("reviewed", contract.reviewed)
    text.add("columns", contract.model_dump(exclude_defaults=True)["columns"])
    return tomlkit.dumps(text)


def conform(frame: pd.DataFrame, contract: Contract, names: Iterable[str]) -> pd.DataFrame:
    """These columns, each as its kind: float64 or int64, bool, str, datetime64; NaN where missing.

    Raises ProjectError that lists every breach by column: a missing column, a value that is not of
    its kind, with how many rows and the first of them.
    """
    columns: dict[str, pd.Series] = {}
    breaches = []
    for name in names:
        if name not in frame.columns:
            breaches.append(
                f"{name}: column is missing; there are {', '.join(map(str, frame.columns))}"
            )
            continue
        kind = contract.columns[name].kind
        convert = as_text if contract.columns[name].role == "id" else CONVERSIONS[kind]
        columns[name] = convert(frame[name], contract.columns[name])
        wrong = frame[name][columns[name].isna() & frame[name].notna()]
        if len(wrong):
            rows = ", ".join(
                str(row + 1) for row in np.flatnonzero(frame.index.isin(wrong.index))[:3]
            )
            breaches.append(
                f"{name}: {len(wrong)} of {len(frame)} rows hold no {kind}:"
                f" {wrong.iloc[0]!r} (rows {rows})"
            )
    if breaches:
        raise ProjectError("the data break the contract\n  " + "\n  ".join(breaches))
    return pd.DataFrame(columns, index=frame.index)


def as_number(values: pd.Series, column: Column) -> pd.Series:
    """float64; int64 for an integer column in which nothing may be missing."""
    numbers = pd.to_numeric(values, errors="coerce").astype("float64")
    sure = column.role == "target" or not column.nullable
    whole = column.kind == "integer" and sure and (numbers % 1 == 0).all()
    return numbers.astype("int64") if whole else numbers


def as_boolean(values: pd.Series, column: Column) -> pd.Series:
    """bool; float64 (1, 0, NaN) where values may be missing."""
    truth = values.astype("str").str.strip().str.lower().map(TRUTH)
    sure = column.role == "target" or not column.nullable
    return truth.astype("bool") if sure and truth.notna().all() else truth


def as_text(values: pd.Series, _column: Column) -> pd.Series:
    """str, without blanks around it; whole numbers without a decimal point."""
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype("string").str.strip().astype("object").where(values.notna(), np.nan)


def as_time(values: pd.Series, column: Column) -> pd.Series:
    """datetime64 without a zone: a zone in the data is turned to UTC."""
    return times(values, column.format or "ISO8601")


def times(values: pd.Series, form: str) -> pd.Series:
    """datetime64 in UTC, NaT where a value is not of this format."""
    return pd.to_datetime(values, format=form, errors="coerce", utc=True).dt.tz_localize(None)


def time_format(words: pd.Series) -> str | None:
    """The format in which all of these texts are times, or None."""
    if words.empty or not words.str.contains(r"\d.*\d").all():
        return None
    for form in TIMES:
        parts = (words.head(1), words.head(100), words)
        if all(times(part, form).notna().all() for part in parts):
            return form
    return None


CONVERSIONS: dict[Kind, Callable[[pd.Series, Column], pd.Series]] = {
    "number": as_number,
    "integer": as_number,
    "boolean": as_boolean,
    "category": as_text,
    "text": as_text,
    "time": as_time,
}
