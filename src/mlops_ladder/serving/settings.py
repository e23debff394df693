"""Settings of the service: how it listens, logs, is protected, and changes its model."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mlops_ladder.strict_model import StrictModel


class Serving(StrictModel):
    """The service: where it listens, where it logs, how often it looks for another champion.

    `root_path`: the prefix of its address, such as /late, that a proxy in front takes off.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, lt=65536)
    root_path: str = Field(default="", pattern="^(/[^/]+)*$")
    commit: str = "unknown"
    poll_seconds: float = Field(default=0.5, gt=0)
    max_rows_per_request: int = Field(default=10_000, ge=1)
    prediction_log_url: str = "sqlite:///predictions.db"
    prediction_log_queue_size: int = Field(default=50_000, ge=1)

    @field_validator("prediction_log_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        if not re.match(r"\w+(\+\w+)?://", url):
            raise ValueError("no address of a database; such as sqlite:///predictions.db")
        return url


class Access(StrictModel):
    """Who may call the service, how much at once, and how often.

    `key_file`: hashed keys.  If it holds none, everybody may call; with `open = false` the service
    then starts only if no other machine reaches it.  `requests_per_minute`: of a key, or of an
    address if there are no keys, at each worker; 0 for no limit.
    """

    key_file: str = "models/serving/keys.json"
    open: bool = True
    body_bytes: int = Field(default=5_000_000, ge=1)
    requests_per_minute: int = Field(default=0, ge=0)


class Fallback(StrictModel):
    """The answer if no model can answer: the most frequent class, or the median, of training.

    `enabled = false`: such a request is refused, as without this section.  `abstain`: mark a row
    with an input that training did not see.  A number counts as not seen if it is further from the
    range of training than `margin` of its width.  While the file `switch` exists, no model answers.
    """

    enabled: bool = True
    switch: str = "models/serving/off"
    abstain: bool = True
    margin: float = Field(default=0, ge=0)


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


class Rollout(StrictModel):
    """How an accepted version comes into use: shadow, then shares of the clients, then all.

    `enabled`: the pipeline begins a rollout instead of promoting at once.  Clients are told apart
    by `key_header`.  A step takes until each model has answered `units` of them, and `minutes`.
    The candidate counts as worse if it fails in a share of `failures` more, or takes more than
    `latency` times as long.  It also does if it differs by `shift` or loses by `loss` standard
    deviations.  `false_aborts` is the share of harmless rollouts that may be aborted.  The service
    looks for the plan in `plans`; `cluster` names the environment whose pods get it.
    """

    enabled: bool = False
    shadow: bool = True
    shares: list[float] = Field(default=[0.05, 0.25, 0.5], min_length=1)
    key_header: str = Field(default="X-Key", pattern=r"^[A-Za-z0-9-]+$")
    units: int = Field(default=500, ge=20)
    minutes: float = Field(default=10, ge=0)
    false_aborts: float = Field(default=0.05, gt=0, lt=1)
    failures: float = Field(default=0.01, ge=0, lt=1)
    latency: float = Field(default=1.5, ge=1)
    shift: float = Field(default=0.3, ge=0)
    loss: float = Field(default=0.2, ge=0)
    capacity: int = Field(default=5_000, ge=1)
    plans: Path = Path("models/serving")
    cluster: Literal["", "staging", "production"] = ""

    @property
    def steps(self) -> int:
        """The number of steps of the whole rollout."""
        return len(self.shares) + self.shadow

    @field_validator("shares")
    @classmethod
    def growing(cls, shares: list[float]) -> list[float]:
        """Return the shares.  Raise ValueError unless they grow, and leave clients to compare."""
        if not all(0 < low < high < 1 for low, high in pairwise([*shares, (1 + shares[-1]) / 2])):
            raise ValueError("shares grow, and lie between 0 and 1: [0.05, 0.25, 0.5]")
        return shares

    @model_validator(mode="after")
    def packed(self) -> Self:
        """Raise ValueError for automatic rollouts in pods: the image needs the candidate first."""
        if self.cluster and self.enabled:
            text = "begin it by hand, after `make stage promote CANDIDATE=n`"
            raise ValueError(f"cluster: not with enabled = true; {text}")
        return self
