"""Settings of level 4: how the project sees that it got worse, and learns again."""

from itertools import pairwise
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from mlops_ladder.settings.section import StrictModel


class Rollout(StrictModel):
    """How an accepted version comes into use: shadow, then shares of the clients, then all.

    `enabled`: the pipeline begins a rollout instead of promoting at once.  Clients are told apart
    by `key_header`.  A step takes until each model has answered `units` of them, and `minutes`.
    The candidate may fail in a share of `failures` more, take `latency` times as long, and differ
    by `shift` or lose by `loss` standard deviations before it counts as worse; `false_aborts` is
    the share of harmless rollouts that may be aborted.  The service looks for the plan in `plans`;
    `cluster` names the environment whose pods are given it.
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

    @field_validator("shares")
    @classmethod
    def growing(cls, shares: list[float]) -> list[float]:
        """Each share of the clients is larger than the one before, and leaves some to compare."""
        if not all(0 < low < high < 1 for low, high in pairwise([*shares, (1 + shares[-1]) / 2])):
            raise ValueError("shares grow, and lie between 0 and 1: [0.05, 0.25, 0.5]")
        return shares

    @model_validator(mode="after")
    def packed(self) -> Self:
        """A pipeline cannot begin a rollout in pods: their image needs the candidate first."""
        if self.cluster and self.enabled:
            told = "begin it by hand, after `make stage promote CANDIDATE=n`"
            raise ValueError(f"cluster: not with enabled = true; {told}")
        return self


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


class Triggers(StrictModel):
    """When something that has happened starts a training, and what keeps it from doing so.

    No run begins within `cooldown_hours` of another one, nor after `runs_per_week`, or
    `minutes_per_week` of training, in the last seven days.  With `automatic = false` a person lets
    each run begin.  `alerts`: what a firing alert means; one that is not there starts nothing.
    """

    cooldown_hours: float = Field(default=24, ge=0)
    runs_per_week: int = Field(default=3, ge=0)
    minutes_per_week: float = Field(default=600, ge=0)
    automatic: bool = True
    alerts: dict[str, Literal["drift", "quality", "data", "alert"]] = {
        "ColumnDrifted": "drift",
        "ModelOld": "alert",
        "QualityDegraded": "quality",
    }


class Receiver(StrictModel):
    """Where the receiver listens, and who may tell it something: nobody without a key."""

    host: str = "127.0.0.1"
    port: int = Field(default=8090, ge=0, lt=65536)
    key_file: str = "models/receiver_keys.json"
    body_bytes: int = Field(default=5_000_000, ge=1)
    requests_per_minute: int = Field(default=60, ge=0)


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


class Signing(StrictModel):
    """Has what is served to be signed, by which key, and by whom (docs/supply.md).

    `key`: what the pipeline signs with by itself; it is set in the environment.  `signers`: a file
    with a line for each signer, as git's `gpg.ssh.allowedSignersFile`.
    """

    required: bool = False
    key: str = ""
    signers: str = ".signers"


class Costs(StrictModel):
    """What an hour of a machine costs: of one that serves, of one that trains."""

    currency: str = "EUR"
    serving_hour: float = Field(default=0.05, ge=0)
    replicas: int = Field(default=1, ge=1)
    training_hour: float = Field(default=0.20, ge=0)


class Scale(StrictModel):
    """Where searches, batches and backtests are worked out: here, or on a cluster of Dask.

    Without an `address` of a scheduler, `workers` processes of this machine are the cluster.
    `at_once`: trials of a search that are chosen before the first of them is scored, the same
    wherever they run.
    """

    backend: Literal["local", "dask"] = "local"
    workers: int = Field(default=2, ge=1)
    address: str = ""
    at_once: int = Field(default=1, ge=1)
