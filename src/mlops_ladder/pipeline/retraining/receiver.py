"""The receiver: a small service that is told of alerts, reports and outcomes, by who has a key.

A process of its own: it is not asked for predictions, and where it ends the service goes on.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import orjson
import pandas as pd
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from pydantic import BaseModel

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import read_contract
from mlops_ladder.monitoring.outcomes import Outcomes, take
from mlops_ladder.pipeline.retraining import causes, ledger, starting
from mlops_ladder.pipeline.retraining.decision import Entry, Event
from mlops_ladder.serving.access import Guard, Shield
from mlops_ladder.serving.keys import KeyRing
from mlops_ladder.settings import load_settings, Settings

LOG = logging.getLogger(__name__)
Look = Callable[[Settings, datetime, Any], Event | None]
BY = "receiver"
SECONDS = 1.0  # after which another file of keys is seen


class Told(BaseModel):
    """What is to be looked at."""

    cause: Literal["drift", "quality", "data"]


class Alerts(BaseModel):
    """What Alertmanager posts, as far as it matters here."""

    alerts: list[dict[str, Any]]


def create_app(settings: Settings, start: Callable[[Entry], object] = starting.begin) -> FastAPI:
    """The receiver of these settings; `start` runs what was decided.

    Raises ProjectError where nobody has a key: then anybody could start a training.
    """
    guard, contract = guarded(settings), read_contract()
    app = FastAPI(title="Receiver", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Shield, max_bytes=settings.receiver.body_bytes)
    keyed = [Depends(guard)]

    async def heard(look: Look, about: Any) -> dict[str, str]:
        looked = partial(look, settings, starting.now(), about)
        return await asyncio.to_thread(decided, looked, settings, start)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.post("/events", dependencies=keyed)
    async def events(told: Told) -> dict[str, str]:
        return await heard(causes.of, told.cause)

    @app.post("/alerts", dependencies=keyed)
    async def alerts(told: Alerts) -> list[dict[str, str]]:
        return [await heard(causes.alert, it) for it in told.alerts]

    @app.post("/outcomes", dependencies=keyed)
    async def outcomes(request: Request) -> dict[str, int]:
        rows = listed(await request.body())
        return await asyncio.to_thread(taken, rows, settings, contract)

    return app


def guarded(settings: Settings) -> Guard:
    """Who lets in those with a key of the receiver, and nobody else.  ProjectError without one."""
    receiver = settings.receiver
    ring = KeyRing(Path(receiver.key_file), SECONDS)
    if not ring.is_locked:
        told = "holds no key, so anybody could start a training; make receiver-key NAME=…"
        raise ProjectError(f"receiver.key_file: {receiver.key_file} {told}")
    limit = {"requests_per_minute": receiver.requests_per_minute}
    access = settings.access.model_copy(update=limit)
    return Guard(settings.model_copy(update={"access": access}), ring)


def decided(
    look: Callable[[], Event | None], settings: Settings, start: Callable[[Entry], object]
) -> dict[str, str]:
    """What came of an event.  HTTPException 409 where it cannot be judged, with the way out."""
    try:
        happened = look()
        if happened is None:
            return {"decision": "nothing", "reason": "nothing has happened that starts a training"}
        entry = starting.judge(happened, settings, starting.now(), BY)
    except ProjectError as error:
        raise HTTPException(409, str(error)) from error
    if entry.decision == "run":
        start(entry)
    LOG.warning("%s: %s: %s", entry.decision, entry.event.cause, entry.reason)
    return {"decision": entry.decision, "reason": entry.reason, "id": entry.id}


def listed(body: bytes) -> list[dict[str, Any]]:
    """The outcomes of a body.  HTTPException 422 where it is no list of objects."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPException(422, f"no JSON: {error}") from error
    if not isinstance(found, list) or not found or not all(isinstance(it, dict) for it in found):
        told = "a list of objects is needed: request_id, the target; row, known_at"
        raise HTTPException(422, told)
    return found


def taken(rows: list[dict[str, Any]], settings: Settings, contract: Any) -> dict[str, int]:
    """Keep outcomes.  HTTPException 422 that lists what is wrong with them."""
    try:
        with Outcomes(settings.serving.prediction_log_url) as archive:
            found = take(pd.DataFrame(rows), archive, contract, starting.now())
    except ProjectError as error:
        raise HTTPException(422, str(error)) from error
    return {"new": found.new, "known": found.known}


def build() -> FastAPI:
    """The receiver of this folder."""
    return create_app(load_settings())


def main() -> None:
    """Listen until SIGTERM or Ctrl-C; a run that has begun goes on."""
    settings = load_settings()
    guarded(settings)  # told now, without a traceback
    ledger.entries()
    where: Any = {"host": settings.receiver.host, "port": settings.receiver.port}
    quiet: Any = {"access_log": False, "server_header": False}
    uvicorn.run(f"{__name__}:build", factory=True, **where, **quiet)
