"""The events that observers of the service get: the prediction log is one of them."""

import re
from collections.abc import Sequence
from datetime import datetime
from random import getrandbits
from typing import Any, NamedTuple, Protocol

from starlette.requests import Request

from mlops_ladder.data.columns import Answer, Row

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
Record = dict[str, Any]  # a row of the prediction log, by the names of its columns


class PredictionEvent(NamedTuple):
    """A request to `/predict`, answered in `seconds`; it was refused unless `status` is 200.

    The rows are the validated ones; a refused request has none.
    """

    request_id: str
    time: datetime
    status: int
    seconds: float
    model_version: str
    rows: Sequence[Row] = ()
    answers: Sequence[Answer] = ()


class Observer(Protocol):
    """Gets each request before its answer is sent, so it must be quick."""

    name: str

    def __call__(self, event: PredictionEvent) -> None:
        """Take note of a request."""

    def counts(self) -> dict[str, int]:
        """Return the counts that `/health` shows for this observer."""

    def close(self) -> None:
        """Finish after the last request."""


def get_request_id(request: Request) -> str:
    """Return the client's own id of a request if it is valid, else a new one."""
    own_id = request.headers.get("x-request-id", "")
    return own_id if REQUEST_ID.fullmatch(own_id) else f"{getrandbits(128):032x}"
