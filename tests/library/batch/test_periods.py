"""Periods: split, subtracted, and the rows that are in them."""

from datetime import datetime, timedelta, UTC
from functools import partial
from itertools import pairwise
from random import Random

import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.batch.periods import (
    parse_period,
    Period,
    PeriodFilter,
    split_period,
    STEPS,
    subtract_periods,
)
from mlops_ladder.data.contract import Column, Contract

CLOCKLESS = partial(datetime, tzinfo=UTC)
SEEDS = range(20)


def draw_periods(random: Random, count: int) -> list[Period]:
    """Periods of whole hours within some years."""
    pairs = [sorted(random.sample(range(24 * 800), 2)) for _ in range(count)]
    first = datetime(2023, 1, 1)
    return [Period(first + timedelta(hours=a), first + timedelta(hours=b)) for a, b in pairs]


@pytest.mark.parametrize("by", STEPS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_parts_of_a_period_are_the_period(seed: int, by: str) -> None:
    """They follow each other without a gap, and none is empty."""
    (period,) = draw_periods(Random(seed), 1)
    parts = split_period(period, by)
    assert (parts[0].start, parts[-1].end) == (period.start, period.end)
    assert all(one.end == other.start for one, other in pairwise(parts))
    assert all(part.start < part.end for part in parts)


def test_months_begin_on_the_first() -> None:
    """A period that begins within a month has a shorter first part."""
    parts = split_period(parse_period("2024-01-31", "2024-03-02"), "month")
    assert list(map(str, parts)) == [
        "2024-01-31_2024-02-01",
        "2024-02-01_2024-03-01",
        "2024-03-01_2024-03-02",
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_left_of_a_period_is_in_no_other(seed: int) -> None:
    """Each hour of the period is in one part that is left, or in another period, never in both."""
    period, *others = draw_periods(Random(seed), 1 + seed % 6)
    left = subtract_periods(period, others)
    for hour in pd.date_range(period.start, period.end, freq="13h", inclusive="left"):
        inside = [part for part in left if part.start <= hour < part.end]
        assert len(inside) == (not any(other.start <= hour < other.end for other in others))


def test_rows_of_a_period_are_chosen_by_the_clock_of_their_column() -> None:
    """A time with an offset counts on the column's clock; its end belongs to the next period."""
    column = Column(kind="time", role="time", timezone="Europe/Berlin")
    contract = Contract(columns={"at": column, "y": Column(kind="number", role="target")})
    times = ["2024-01-31 23:59", "2024-01-31T23:30:00Z", "2024-02-29 23:59", "2024-03-01", None]
    chosen = PeriodFilter(contract, parse_period("2024-02-01", "2024-03-01"))
    frames = list(chosen.choose([pd.DataFrame({"at": times[:2]}), pd.DataFrame({"at": times[2:]})]))
    assert pd.concat(frames)["at"].to_dict() == {0: times[1], 1: times[2]}
    assert (chosen.without_time, chosen.newest) == (1, datetime(2024, 2, 29, 23, 59))


def test_a_contract_without_a_time_has_no_periods() -> None:
    """There is nothing to tell the rows of a period by."""
    contract = Contract(columns={"y": Column(kind="number", role="target")})
    with pytest.raises(ProjectError, match="no column has role = 'time'"):
        PeriodFilter(contract, parse_period("2024-02-01", "2024-03-01"))
