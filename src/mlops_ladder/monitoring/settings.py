"""Settings of monitoring: drift, age, live quality, objectives and costs."""

from typing import Annotated

from pydantic import Field

from mlops_ladder.project import get_project
from mlops_ladder.strict_model import StrictModel

MAX_HOURS = 87_600  # ten years


class Drift(StrictModel):
    """When the logged inputs count as drifted from those that the champion learned from.

    The newest `rows` of the last `hours` are looked at, unless they are fewer than `fewest`.
    `false_alarms`: the share of reports that may name a column though nothing has changed; it is
    shared out among the columns, unless `columns` sets the largest p-value that is drift in one.
    A difference that is smaller than `effect` is none: 0.2 is what Cohen calls small.
    `pushgateway` gets the metrics of each report, in this `namespace`.
    """

    hours: float = Field(default=168, gt=0, le=MAX_HOURS)
    rows: int = Field(default=50_000, ge=1)
    fewest: int = Field(default=200, ge=2)
    false_alarms: float = Field(default=0.01, gt=0, lt=1)
    effect: float = Field(default=0.2, ge=0)
    columns: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    pushgateway: str = ""
    namespace: str = Field(
        default_factory=lambda: f"{get_project().namespace}-production", min_length=1
    )


class Staleness(StrictModel):
    """At which age the champion is too old, in days; `make staleness` derives it from the data."""

    max_age_days: float = Field(default=90, gt=0)


class Quality(StrictModel):
    """When the live quality is worse than what the gate has promised.

    The newest `rows` are looked at whose outcome became known in the last `hours`; fewer than
    `fewest` say nothing.  `false_alarms`: the share of reports that may say "degraded" though
    nothing is worse.  A score that is worse by less than `allowed`, a share of the promised one, is
    no loss; nor is a bias below `effect` on Cohen's scale.
    """

    hours: float = Field(default=720, gt=0)
    rows: int = Field(default=50_000, ge=1)
    fewest: int = Field(default=200, ge=2)
    false_alarms: float = Field(default=0.01, gt=0, lt=1)
    allowed: float = Field(default=0.05, ge=0)
    effect: float = Field(default=0.2, ge=0)


class Objectives(StrictModel):
    """What is promised over 30 days: shares of the requests, and of the time.

    `availability`: answered without an error.  `latency`: answered within `latency_ms`, an edge of
    the service's histogram.  `quality`: the live quality is as promised.  `freshness`: the champion
    is no older than allowed.
    """

    availability: float = Field(default=0.995, gt=0, lt=1)
    latency: float = Field(default=0.95, gt=0, lt=1)
    latency_ms: float = Field(default=250, gt=0)
    quality: float = Field(default=0.95, gt=0, lt=1)
    freshness: float = Field(default=0.95, gt=0, lt=1)


class Costs(StrictModel):
    """What an hour of a machine costs: of one that serves, of one that trains."""

    currency: str = "EUR"
    serving_hour: float = Field(default=0.05, ge=0)
    replicas: int = Field(default=1, ge=1)
    training_hour: float = Field(default=0.20, ge=0)
