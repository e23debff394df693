"""Settings of level 3: how the running service is watched and protected."""

from typing import Annotated, Literal

from pydantic import Field

from mlops_ladder import project
from mlops_ladder.settings.section import StrictModel

LONGEST = 87_600  # hours: ten years


class Drift(StrictModel):
    """When the logged inputs count as drifted from those that the champion learned from.

    The newest `rows` of the last `hours` are looked at, unless they are fewer than `fewest`.
    `false_alarms`: the share of reports that may name a column though nothing has changed; it is
    shared out among the columns, unless `columns` sets the largest p-value that is drift in one.
    A difference that is smaller than `effect` is none: 0.2 is what Cohen calls small.
    `pushgateway` is told of each report, as one of this `namespace`.
    """

    hours: float = Field(default=168, gt=0, le=LONGEST)
    rows: int = Field(default=50_000, ge=1)
    fewest: int = Field(default=200, ge=2)
    false_alarms: float = Field(default=0.01, gt=0, lt=1)
    effect: float = Field(default=0.2, ge=0)
    columns: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    pushgateway: str = ""
    namespace: str = Field(
        default_factory=lambda: f"{project.get_project().namespace}-production", min_length=1
    )


class Access(StrictModel):
    """Who may ask the service, how much at once, and how often.

    `key_file`: hashed keys.  Without one in it everybody may ask; with `open = false` the service
    then starts only where no other machine reaches it.  `requests_per_minute`: of a key, or of an
    address where there are no keys, at each worker; 0 for no limit.
    """

    key_file: str = "models/serving/keys.json"
    open: bool = True
    body_bytes: int = Field(default=5_000_000, ge=1)
    requests_per_minute: int = Field(default=0, ge=0)


class Fallback(StrictModel):
    """What answers where no model does: the most frequent class, or the median, of training.

    `enabled = false`: then such a request is refused, as without this section.  `abstain`: mark a
    row with an input that training did not see; a number where it is further from the range of
    training than `margin` of its width.  While the file `switch` is there, no model answers.
    """

    enabled: bool = True
    switch: str = "models/serving/off"
    abstain: bool = True
    margin: float = Field(default=0, ge=0)


class Labels(StrictModel):
    """Which logged rows people label, and when their labels are learned from.

    `rows` wait in the queue, of the last `hours`: the share `uncertain` those that the model was
    least sure of, the others at random.  Each is for so many `annotators`; what they agree on
    counts where their agreement beyond chance reaches `agreement` (Landis and Koch, 1977, call 0.61
    and more substantial).  Two numbers agree that are no more than `tolerance` standard deviations
    of the target apart.
    """

    hours: float = Field(default=168, gt=0)
    rows: int = Field(default=50, ge=1)
    uncertain: float = Field(default=0.5, ge=0, le=1)
    annotators: int = Field(default=2, ge=1)
    agreement: float = Field(default=0.61, ge=0, le=1)
    tolerance: float = Field(default=0.05, ge=0)


class Load(StrictModel):
    """The load that the service has to carry: so many connections for so many seconds.

    Each request has `rows` rows.  Then 95 of 100 answers come within `p95_ms`, no larger share than
    `error_share` is refused, and the process takes no more than `memory_mib`.
    """

    seconds: float = Field(default=10, gt=0, le=86_400)
    connections: int = Field(default=8, ge=1)
    rows: int = Field(default=1, ge=1)
    p95_ms: float = Field(default=100, gt=0)
    error_share: float = Field(default=0, ge=0, le=1)
    memory_mib: float = Field(default=400, gt=0)


class Staleness(StrictModel):
    """At which age the champion is too old, in days; `make staleness` derives it from the data."""

    max_age_days: float = Field(default=90, gt=0)


class Approval(StrictModel):
    """Who else has to say yes before an accepted version becomes champion.

    `needed`: in a registry that others use too, in any, or in none.  `way`: by name, by a signed
    commit, or by a review on the forge.  `approvers`: names or addresses; without any, anybody.
    """

    needed: Literal["shared", "always", "never"] = "shared"
    way: Literal["named", "signed", "reviewed"] = "named"
    approvers: list[str] = []


class Schedule(StrictModel):
    """When the pipeline runs by itself: cron in a time zone; how often a failed run is repeated.

    `watch`: when it is looked what the log says, or "" for never.
    `webhook`: who is told of a run that fails, crashes or is cancelled.  Set it in the environment:
    such an address is a secret.  `poll_seconds`: how often it is looked whether a run is due.
    """

    cron: str = "0 3 * * 1"
    watch: str = "0 5 * * *"
    timezone: str = "UTC"
    retries: int = Field(default=1, ge=0)
    retry_seconds: float = Field(default=300, ge=0)
    webhook: str = ""
    poll_seconds: float = Field(default=10, gt=0)
