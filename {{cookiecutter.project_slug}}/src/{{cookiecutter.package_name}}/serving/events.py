"""What observers of the service are told: the prediction log is one of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from .schema import Answer, Row

Record = dict[str, Any]  # a row of the prediction log, by the names of its columns


class Served(NamedTuple):
    """A request to `/predict`, answered in `seconds`; refused where `status` is not 200.

    Rows are as they were validated; those of a refused request are not kept.
    """

    request_id: str
    time: datetime
    status: int
    seconds: float
    model_version: str
    rows: Sequence[Row] = ()
    answers: Sequence[Answer] = ()


class Observer(Protocol):
    """Is told of each request before its answer is sent, so it must be quick."""

    name: str

    def __call__(self, event: Served) -> None:
        """Take note of a request."""

    def counts(self) -> dict[str, int]:
        """What `/health` shows of it."""

    def close(self) -> None:
        """Finish: the last request was answered."""
