"""Arithmetic: the workers, the storage and the cost of so many predictions a day.

What was measured comes in, what is assumed stands here: docs/scale.md says which is which.
"""

from dataclasses import dataclass
from math import ceil

from ..improvement import Costs

DAY, HOUR, MILLION, GB = 86_400, 3600, 1e6, 1e9


@dataclass(frozen=True)
class Measured:
    """Rows a second of one processor in a batch, and the bytes that are kept of a prediction."""

    rows: float
    bytes: float


@dataclass(frozen=True)
class Assumed:
    """What nobody has measured; prices as of November 2026, in the currency of `[costs]`."""

    predictions: float = 1e9  # a day
    peak: float = 3  # the busiest second beside the mean one
    use: float = 0.6  # of a processor, so that a worker may die and its work be taken over
    window: float = 4  # hours that a batch may take
    processors: int = 2  # of the machine that an hour of `[costs] serving_hour` pays for
    kept_days: int = 30
    storage_month: float = 0.025  # a GB, as object storage is sold


@dataclass(frozen=True)
class Plan:
    """What is needed: rates a second, workers of one processor each, GB, and money a day."""

    mean: float
    peak: float
    batch_rate: float
    batch_workers: int
    log_gb: float
    kept_gb: float
    batch_cost: float
    storage_cost: float

    @property
    def million(self) -> float:
        """What a million predictions cost, the storage of a day included."""
        return self.batch_cost + self.storage_cost

    def online(self, answers: float, use: float = Assumed.use) -> int:
        """The workers that answer the peak, one row a request, each so many a second."""
        return ceil(self.peak / (answers * use))


def planned(seen: Measured, costs: Costs, given: Assumed = Assumed()) -> Plan:
    """What a day of predictions needs, as one batch within the window."""
    mean = given.predictions / DAY
    rate = given.predictions / (given.window * HOUR)
    workers = ceil(rate / (seen.rows * given.use))
    machines = ceil(workers / given.processors)
    log = given.predictions * seen.bytes / GB
    millions = given.predictions / MILLION
    storage = log * given.kept_days * given.storage_month / 30
    return Plan(
        mean=mean,
        peak=mean * given.peak,
        batch_rate=rate,
        batch_workers=workers,
        log_gb=log,
        kept_gb=log * given.kept_days,
        batch_cost=machines * given.window * costs.serving_hour / millions,
        storage_cost=storage / millions,
    )


def told(plan: Plan, seen: Measured, costs: Costs, given: Assumed = Assumed()) -> str:
    """The arithmetic, a line each, for a person who wants to put in other numbers."""
    window, money = f"{given.window:g} hours", costs.currency
    return "\n".join(
        [
            f"{given.predictions:,.0f} predictions a day, on paper (assumed: docs/scale.md)",
            f"  {plan.mean:,.0f} a second on the mean, {plan.peak:,.0f} at the peak"
            f" ({given.peak:g} times the mean, assumed)",
            f"  in a batch of {window}: {plan.batch_rate:,.0f} rows a second; at"
            f" {seen.rows:,.0f} a processor (measured), {given.use:.0%} of it used:"
            f" {plan.batch_workers:,} workers",
            f"  stored: {seen.bytes:,.0f} bytes each (measured) are {plan.log_gb:,.0f} GB a day,"
            f" {plan.kept_gb:,.0f} GB in {given.kept_days} days",
            f"  a million: {plan.batch_cost:.4f} {money} to compute, {plan.storage_cost:.4f}"
            f" {money} to store; a day: {plan.million * given.predictions / MILLION:,.2f} {money}",
        ]
    )
