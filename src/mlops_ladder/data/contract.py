"""The data contract: what `contract.toml` promises about each column."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, UTC
from pathlib import Path
from typing import Any, get_args, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from mlops_ladder import ProjectError
from mlops_ladder.strict_model import read_strict_model, StrictModel

CONTRACT = Path("contract.toml")
MIN_ROWS_FOR_SHARE = 100  # a share of missing values says little about fewer
ISO = "ISO8601"
# Steps in a second, since 1970 in UTC
EPOCHS = {f"epoch {unit}seconds": 1e3**n for n, unit in enumerate(["", "milli", "micro", "nano"])}
Kind = Literal["number", "integer", "boolean", "category", "text", "time"]
Role = Literal["feature", "target", "id", "time", "group", "personal", "ignored"]


class Column(StrictModel):
    """What one column holds, and what it is used for.

    A `time` orders the rows, and the model sees its weekday and hour.  A `group`
    (one patient, one machine) keeps its rows together and is no feature.  `missing` is the largest
    share of missing values that is still normal.  `range` and `categories` are expectations: a
    value outside of them is answered, marked and counted.  With `enforce`, and for a class of the
    target, its row is refused.

    `timezone` is the clock of a time, such as Europe/Berlin, and the model sees what it shows.  A
    time with an offset is turned to this clock; one without is read from it as it stands.  If
    there is no `timezone`, the clock is not known, and a time with an offset is refused.
    """

    kind: Kind
    role: Role
    nullable: bool = False
    missing: float | None = Field(default=None, ge=0, le=1)
    range: tuple[int | float, int | float] | None = None
    categories: list[str] | None = None
    enforce: bool = False
    format: str | None = None
    timezone: str | None = None

    @field_validator("timezone")
    @classmethod
    def validate_timezone(cls, name: str | None) -> str | None:
        """Return the name of a time zone.  Raise ValueError if there is no such zone."""
        try:
            return name and ZoneInfo(name).key
        except (KeyError, ValueError, OSError) as error:
            raise ValueError("no time zone; write one such as Europe/Berlin or UTC") from error

    def to_wall_clock(self, when: datetime) -> datetime:
        """Return the time on the column's clock, without a zone.

        A time that the clock skips in spring moves ahead with it; one that it shows twice in autumn
        is one time.  Raises ValueError if the time has an offset and the clock is not known.
        """
        if self.timezone is None:
            if when.tzinfo:
                raise ValueError("it has an offset; contract.toml sets no timezone for its column")
            return when
        zone = ZoneInfo(self.timezone)
        other = when.replace(fold=1 - when.fold)
        if not when.tzinfo and zone.utcoffset(when) == zone.utcoffset(other):
            return when  # as nearly all: it is shown once
        instant = when if when.tzinfo else when.replace(tzinfo=zone)
        return instant.astimezone(UTC).astimezone(zone).replace(tzinfo=None)


class Contract(StrictModel):
    """Every column by its name, in the order of the file.  `reviewed`: a person has read it."""

    reviewed: bool = False
    columns: dict[str, Column]

    def names(self, *roles: Role) -> list[str]:
        """Return the columns of these roles."""
        return [name for name, column in self.columns.items() if column.role in roles]

    @property
    def target(self) -> str:
        """Return the column to predict."""
        return self.names("target")[0]

    def inputs(self, *kinds: Kind) -> list[str]:
        """Return the columns that the model sees: of these kinds, or all."""
        kinds = kinds or get_args(Kind)
        return [name for name in self.names("feature", "time") if self.columns[name].kind in kinds]


@dataclass(frozen=True)
class Violation:
    """A rule that some values of a column break: how many of how many rows, and the first of them.

    `rows` counts from 1.  Without a `total` it is the column as a whole that is wrong.  `wrong`
    says of each row of the frame that was judged whether it breaks the rule.  What is only
    `expected` is reported, and a share up to `most` is normal.
    """

    column: str
    rule: str
    count: int = 0
    total: int = 0
    rows: tuple[int, ...] = ()
    example: str = ""
    mask: Any = field(default=None, compare=False, repr=False)
    is_expectation: bool = False
    max_share: float | None = None

    @property
    def is_refused(self) -> bool:
        """Return whether these values are refused; a share only of 100 rows or more."""
        if self.max_share is None:
            return not self.is_expectation
        return self.total >= MIN_ROWS_FOR_SHARE and self.count > self.max_share * self.total

    def is_of_column(self, known: dict[str, float]) -> bool:
        """Return whether this is about the column, and not about some of its known values."""
        if not self.total or self.max_share is not None:
            return True
        return self.count >= max(known.get(self.column, 0), MIN_ROWS_FOR_SHARE)

    def __add__(self, later: "Violation") -> "Violation":
        rows = (self.rows + later.rows)[:3]
        return replace(self, count=self.count + later.count, rows=rows, mask=None)

    def with_total(self, total: int) -> "Violation":
        """Return the same violation, of so many rows."""
        return replace(self, total=total) if self.total else self

    def __str__(self) -> str:
        if not self.total:
            return f"{self.column}: {self.rule}"
        where = f" (rows {', '.join(map(str, self.rows))})" if self.rows else ""
        shown = f": {self.example}" if self.example else ""
        return f"{self.column}: {self.count:,} of {self.total:,} rows {self.rule}{shown}{where}"


def merge_violations(breaches: Iterable[Violation]) -> list[Violation]:
    """Return one violation for each column and rule, from those of parts of the same rows."""
    merged: dict[tuple[str, str], Violation] = {}
    for breach in breaches:
        first = merged.get((breach.column, breach.rule))
        merged[breach.column, breach.rule] = first + breach if first else breach
    return list(merged.values())


def raise_for_violations(breaches: list[Violation]) -> None:
    """Print unexpected values.  Raise ProjectError that lists the refused ones."""
    for breach in breaches:
        if breach.is_expectation:
            print(f"outside, not refused: {breach}")
    if wrong := [breach for breach in breaches if breach.is_refused]:
        lines = "\n  ".join(map(str, wrong))
        way_out = "Correct the data; where they are right, widen contract.toml, or make contract"
        raise ProjectError(f"the data break the contract\n  {lines}\n  {way_out}")


def read_contract(path: Path = CONTRACT) -> Contract:
    """Return the contract in this file.  Raise ProjectError that names each wrong key."""
    if not path.exists():
        raise ProjectError(f"{path}: not here; make it: `make contract DATA=file TARGET=column`")
    contract = read_strict_model(Contract, path)
    targets, inputs = contract.names("target"), contract.inputs()
    if len(targets) != 1 or not inputs:
        counts = f"{len(targets)} columns of role target and {len(inputs)} of role feature or time"
        rule = "exactly one target and at least one feature are needed"
        raise ProjectError(f"{path}: {counts}; {rule}")
    return contract
