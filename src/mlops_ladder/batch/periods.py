"""Periods: the rows of a time, each scored once, in the past or as they arrive."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import CASTS
from mlops_ladder.data.contract import Contract

END = datetime.max  # of a period that has no end yet
STEPS = {"hour": "h", "day": "D", "week": "W-MON", "month": "MS", "quarter": "QS", "year": "YS"}


@dataclass(frozen=True, order=True)
class Period:
    """The times from a start to before an end, on the clock of the column that has them."""

    start: datetime
    end: datetime

    def __str__(self) -> str:
        ends = self.start, self.end
        whole = all(time == time.replace(hour=0, minute=0, second=0) for time in ends)
        form = "%Y-%m-%d" if whole else "%Y-%m-%dT%H%M%S"
        return "_".join(time.strftime(form) for time in ends)


def parse_period(start: str, end: str) -> Period:
    """Return a period from its ends as text.  Raise ProjectError if one is no time."""
    times = []
    for name, text in (("FROM", start), ("TO", end)):
        try:
            times.append(pd.Timestamp(text).to_pydatetime())
        except ValueError as error:
            raise ProjectError(f"{name}={text}: no time; write one as 2024-01-31") from error
        if pd.isna(times[-1]) or times[-1].tzinfo:
            reason = "write it without an offset, on the clock of the column"
            raise ProjectError(f"{name}={text}: {reason}, such as 2024-01-31T06:00")
    if times[0] >= times[1]:
        raise ProjectError(f"FROM={start} TO={end}: the end comes after the start")
    return Period(times[0], times[1])


def split_period(period: Period, by: str) -> list[Period]:
    """Return the hours, days, weeks, months, quarters or years of a period.

    Raises ProjectError for another word.
    """
    if by not in STEPS:
        raise ProjectError(f"BY={by}: no such step; there are {', '.join(STEPS)}")
    cuts = pd.date_range(period.start, period.end, freq=STEPS[by], normalize=by != "hour")
    inner = [cut.to_pydatetime() for cut in cuts if period.start < cut < period.end]
    return [Period(*pair) for pair in pairwise([period.start, *inner, period.end])]


def subtract_periods(period: Period, others: Iterable[Period]) -> list[Period]:
    """Return the parts of a period that are in none of the others, in their order."""
    left, start = [], period.start
    for other in sorted(others):
        if start < other.start < period.end:
            left.append(Period(start, other.start))
        start = max(start, other.end)
    return left + ([Period(start, period.end)] if start < period.end else [])


class PeriodFilter:
    """Chooses the rows of a period; counts those without a time, which are in no period.

    `newest` is the latest time that was chosen.  Raises ProjectError without a column of times.
    """

    def __init__(self, contract: Contract, period: Period) -> None:
        if not (names := contract.names("time")):
            fault = "no column has role = 'time'; a period of rows needs one"
            raise ProjectError(f"contract.toml: {fault}")
        self.name = names[0]
        self.column, self.period = contract.columns[self.name], period
        self.without_time = 0
        self.newest: datetime | None = None

    def narrow(self, source: Any) -> Any:
        """Return a source of at least these rows: of a table, those that the database chooses."""
        times = self.name, self.period.start, self.period.end
        return replace(source, times=times) if hasattr(source, "times") else source

    def choose(self, frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Yield the rows of the period, numbered from 0.  Raise ProjectError without the column."""
        rows = 0
        for frame in frames:
            if self.name not in frame:
                others = ", ".join(map(str, frame))
                raise ProjectError(f"{self.name}: column is missing; there are {others}")
            times = CASTS["time"](frame[self.name], self.column)
            self.without_time += int(times.isna().sum())
            inside = frame[(times >= self.period.start) & (times < self.period.end)]
            if len(inside):
                newest = times[inside.index].max().to_pydatetime()
                self.newest = max(newest, self.newest or newest)
                inside.index = pd.RangeIndex(rows, rows + len(inside))
                rows += len(inside)
                yield inside

    def describe(self) -> dict[str, datetime]:
        """Return the period for the log: if it has no end, it ends after its newest row."""
        end = self.period.end
        if end == END and self.newest:
            end = self.newest + timedelta(microseconds=1)
        return {"period_start": self.period.start, "period_end": end}
