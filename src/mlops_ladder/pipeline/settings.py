"""Settings of the pipeline: the search, checks of the data, the schedule and its triggers."""

from typing import Literal

from pydantic import Field

from mlops_ladder.strict_model import StrictModel


class Space(StrictModel):
    """The values that a parameter of the model may take: from low to high, or one of a list."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    choices: list[str | int | float | bool] | None = None


class Tuning(StrictModel):
    """The search for the model's parameters: how many trials, and where."""

    trials: int = Field(default=8, ge=1)
    space: dict[str, Space] = {}


class Leaks(StrictModel):
    """How well one column alone may predict the target, and the columns that may do so perfectly.

    0.9 was chosen by examples: a copy of the target scores 1.00, and one with 5 % of noise 0.93.
    Of honest columns, the petals of irises score 0.89, the distance of a journey 0.86.
    """

    threshold: float = Field(default=0.9, gt=0, le=1)
    allowed: list[str] = []


class Repro(StrictModel):
    """The largest allowed difference between the predictions of two trainings."""

    epsilon: float = Field(default=0, ge=0)


class Schedule(StrictModel):
    """When the pipeline runs by itself: cron in a time zone; how often a failed run is repeated.

    `watch`: when the log is checked, or "" for never.  `score`: when new rows are looked for.
    `webhook`: gets a message if a run fails, crashes or is cancelled.  Set it in the environment:
    such an address is a secret.  `poll_seconds`: the seconds between two looks for due runs.
    """

    cron: str = "0 3 * * 1"
    watch: str = "0 5 * * *"
    score: str = "0 * * * *"
    timezone: str = "UTC"
    retries: int = Field(default=1, ge=0)
    retry_seconds: float = Field(default=300, ge=0)
    webhook: str = ""
    poll_seconds: float = Field(default=10, gt=0)


class Triggers(StrictModel):
    """When an event starts a training, and what prevents it.

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
    """The address of the receiver, and its keys: every request needs one."""

    host: str = "127.0.0.1"
    port: int = Field(default=8090, ge=0, lt=65536)
    key_file: str = "models/receiver_keys.json"
    body_bytes: int = Field(default=5_000_000, ge=1)
    requests_per_minute: int = Field(default=60, ge=0)
