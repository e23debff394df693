"""What observers of the service are told: the prediction log is one of them."""

import re
from collections.abc import Sequence
from datetime import datetime
from random import getrandbits
from typing import Any, NamedTuple, Protocol

from starlette.requests import Request

from mlops_ladder.data.columns import Answer, Row

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
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


def request_id(request: Request) -> str:
    """The client's own id of a request where it is fit to be one, else a new one."""
    given = request.headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else f"{getrandbits(128):032x}"
