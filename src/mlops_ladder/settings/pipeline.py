"""Settings of level 2: how the pipeline searches and judges, how the service serves."""

import re

from pydantic import Field, field_validator

from mlops_ladder.settings.section import StrictModel


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


class Gate(StrictModel):
    """What a candidate has to reach: a gain over the champion, and a floor for each metric.

    `replace_uncompared`: the version that may be replaced though it cannot be compared.
    """

    min_gain: float = Field(default=0, ge=0)
    replace_uncompared: int | None = None
    floors: dict[str, float] = {}


class Leaks(StrictModel):
    """How much of the target one column alone may tell, and the columns that may tell it all.

    0.9: a copy tells 1.00, one with 5 % of noise 0.93; of honest columns the petals of irises tell
    0.89 of their kind, the distance of a journey 0.86 of how long it lasts.
    """

    threshold: float = Field(default=0.9, gt=0, le=1)
    allowed: list[str] = []


class Repro(StrictModel):
    """How far the predictions of two trainings may be apart."""

    epsilon: float = Field(default=0, ge=0)


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
