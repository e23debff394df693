"""The command `schedule`: runs the pipeline at its times, and notifies a webhook of failures."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any
from urllib.request import Request, urlopen

import typer
from filelock import FileLock, Timeout

from mlops_ladder import project, ProjectError
from mlops_ladder.pipeline.server import start_server
from mlops_ladder.settings import load_settings

LOCK = Path("models/schedule.lock")
TRIES = 3
SERVICES = ("CANCELLATION_CLEANUP", "LATE_RUNS", "SCHEDULER")  # off in a server for one run


def main(now: Annotated[bool, typer.Option("--now", help="and once now")] = False) -> None:
    """Serve the schedule until this process ends; first report runs that an earlier one has lost.

    Raises ProjectError if another process serves it here, or cron or time zone are invalid.
    """
    settings = load_settings().schedule
    for name in SERVICES:
        os.environ.setdefault(f"PREFECT_SERVER_SERVICES_{name}_ENABLED", "true")
    with schedule_lock():
        wait_until_ready = start_server()
        try:  # Prefect reads its settings when it is imported
            deployment = import_module(".deployment", __package__)
        except ImportError as error:
            raise ProjectError(f"{error}: not all is installed; run `make setup`") from error
        wait_until_ready()
        if not settings.webhook:
            print(f"No webhook: set {webhook_variable()} to be notified of failures", flush=True)
        deployment.serve_schedule(settings, now)


def webhook_variable() -> str:
    """Return the environment variable for the webhook."""
    return f"{project.get_project().prefix}SCHEDULE__WEBHOOK"


@contextmanager
def schedule_lock() -> Iterator[None]:
    """Hold the lock of the schedule.  Raise ProjectError if another process holds it."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(LOCK, timeout=0):
            yield
    except Timeout as error:
        raise ProjectError(f"{LOCK}: the schedule is served already; end that process") from error


def post_to_webhook(address: str, event: dict[str, Any]) -> bool:
    """Print the event's `text` and post it as JSON; return whether it was received.

    It is tried three times.  An error is printed, and raises nothing.
    """
    print(event["text"], file=sys.stderr, flush=True)
    headers = {"Content-Type": "application/json"}
    for delay in range(TRIES if address else 0):
        time.sleep(delay)
        try:
            with urlopen(Request(address, json.dumps(event).encode(), headers), timeout=10):
                return True
        except (OSError, ValueError, HTTPException) as error:
            text = f"{webhook_variable()}: nobody was notified: {error}"
            print(text, file=sys.stderr, flush=True)
    return False
