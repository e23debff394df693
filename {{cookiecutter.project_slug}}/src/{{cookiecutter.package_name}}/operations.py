"""The sections of `operations.toml`: how the running service is watched and protected."""

from pydantic import Field

from .contract import Section


class Drift(Section):
    """When the logged inputs count as drifted from those that the champion learned from.

    The newest `rows` of the last `hours` are looked at, unless they are fewer than `fewest`.
    `false_alarms`: the share of reports that may name a column though nothing has changed; it is
    shared out among the columns, unless `columns` sets the largest p-value that is drift in one.
    A difference that is smaller than `effect` is none: 0.2 is what Cohen calls small.
    """

    hours: float = Field(default=168, gt=0)
    rows: int = Field(default=50_000, ge=1)
    fewest: int = Field(default=200, ge=2)
    false_alarms: float = Field(default=0.01, gt=0, lt=1)
    effect: float = Field(default=0.2, ge=0)
    columns: dict[str, float] = {}
    pushgateway: str = ""


class Access(Section):
    """Who may ask the service, how much at once, and how often.

    `keys`: a file of hashed keys; without one in it, anybody may ask.
    """

    keys: str = "keys.json"
    body_bytes: int = Field(default=1_000_000, ge=1)
    requests_per_minute: int = Field(default=0, ge=0)


class Fallback(Section):
    """What answers where no model does: the most frequent class, or the median, of training.

    `enabled = false`: then such a request is refused, as without this section.
    """

    enabled: bool = True


class Staleness(Section):
    """At which age the champion is too old, in days; `make staleness` derives it from the data."""

    max_age_days: float = Field(default=90, gt=0)
