"""The receiver: a small service for alerts, reports and outcomes; each request needs an API key.

It is a process of its own: it answers no predictions, and if it ends the service goes on.
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
from mlops_ladder.monitoring.outcomes import import_outcomes, Outcomes
from mlops_ladder.pipeline.retraining import causes, ledger, starting
from mlops_ladder.pipeline.retraining.decision import Entry, Event
from mlops_ladder.serving.access import Guard, Shield
from mlops_ladder.serving.keys import KeyRing
from mlops_ladder.settings import load_settings, Settings

LOG = logging.getLogger(__name__)
Finder = Callable[[Settings, datetime, Any], Event | None]
BY = "receiver"
KEY_REFRESH_S = 1.0


class Report(BaseModel):
    """A report of an event: the receiver looks for it itself."""

    cause: Literal["drift", "quality", "data"]


class Alerts(BaseModel):
    """The used part of a request by Alertmanager."""

    alerts: list[dict[str, Any]]


def create_app(
    settings: Settings, start: Callable[[Entry], object] = starting.start_run
) -> FastAPI:
    """Return the receiver of these settings; `start` runs what was decided.

    Raises ProjectError if there is no key: then anybody could start a training.
    """
    guard, contract = create_guard(settings), read_contract()
    app = FastAPI(title="Receiver", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Shield, max_bytes=settings.receiver.body_bytes)
    with_key = [Depends(guard)]

    async def decide(find: Finder, subject: Any) -> dict[str, str]:
        find_event = partial(find, settings, starting.get_time(), subject)
        return await asyncio.to_thread(answer_event, find_event, settings, start)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "alive"}

    @app.post("/events", dependencies=with_key)
    async def events(report: Report) -> dict[str, str]:
        return await decide(causes.find_event, report.cause)

    @app.post("/alerts", dependencies=with_key)
    async def alerts(body: Alerts) -> list[dict[str, str]]:
        return [await decide(causes.find_alert_event, alert) for alert in body.alerts]

    @app.post("/outcomes", dependencies=with_key)
    async def outcomes(request: Request) -> dict[str, int]:
        rows = parse_outcomes(await request.body())
        return await asyncio.to_thread(store_outcomes, rows, settings, contract)

    return app


def create_guard(settings: Settings) -> Guard:
    """Return the check of the receiver's keys.  Raise ProjectError if there is no key."""
    receiver = settings.receiver
    ring = KeyRing(Path(receiver.key_file), KEY_REFRESH_S)
    if not ring.is_locked:
        message = "holds no key, so anybody could start a training; make receiver-key NAME=…"
        raise ProjectError(f"receiver.key_file: {receiver.key_file} {message}")
    limit = {"requests_per_minute": receiver.requests_per_minute}
    access = settings.access.model_copy(update=limit)
    return Guard(settings.model_copy(update={"access": access}), ring)


def answer_event(
    find_event: Callable[[], Event | None], settings: Settings, start: Callable[[Entry], object]
) -> dict[str, str]:
    """Decide on an event and start its run.  Raise HTTPException 409 if it cannot be judged."""
    try:
        event = find_event()
        if event is None:
            return {"decision": "nothing", "reason": "nothing has happened that starts a training"}
        entry = starting.judge_event(event, settings, starting.get_time(), BY)
    except ProjectError as error:
        raise HTTPException(409, str(error)) from error
    if entry.decision == "run":
        start(entry)
    LOG.warning("%s: %s: %s", entry.decision, entry.event.cause, entry.reason)
    return {"decision": entry.decision, "reason": entry.reason, "id": entry.id}


def parse_outcomes(body: bytes) -> list[dict[str, Any]]:
    """Return the outcomes of a body.  Raise HTTPException 422 if it is no list of objects."""
    try:
        rows = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPException(422, f"no JSON: {error}") from error
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        message = "a list of objects is needed: request_id, the target; row, known_at"
        raise HTTPException(422, message)
    return rows


def store_outcomes(rows: list[dict[str, Any]], settings: Settings, contract: Any) -> dict[str, int]:
    """Store outcomes; return how many are new and known.  Raise HTTPException 422 for faults."""
    try:
        with Outcomes(settings.serving.prediction_log_url) as archive:
            stored = import_outcomes(pd.DataFrame(rows), archive, contract, starting.get_time())
    except ProjectError as error:
        raise HTTPException(422, str(error)) from error
    return {"new": stored.new, "known": stored.known}


def main() -> None:
    """Listen until SIGTERM or Ctrl-C; a run that has begun goes on."""
    settings = load_settings()
    ledger.read_ledger()  # fails here without a traceback
    address: Any = {"host": settings.receiver.host, "port": settings.receiver.port}
    quiet: Any = {"access_log": False, "server_header": False}
    uvicorn.run(create_app(settings), **address, **quiet)
