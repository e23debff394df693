"""The command `schedule`: the pipeline at its times, and somebody is told where a run fails."""

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
from mlops_ladder.pipeline.server import start
from mlops_ladder.settings import load_settings

LOCK = Path("models/schedule.lock")
TRIES = 3  # to tell somebody
NEEDED = ("CANCELLATION_CLEANUP", "LATE_RUNS", "SCHEDULER")  # a server for one run lacks these


def main(now: Annotated[bool, typer.Option("--now", help="and once now")] = False) -> None:
    """Serve the schedule until this is ended; runs that an earlier one has lost are told first.

    ProjectError where another one serves it here, or cron or time zone are none.
    """
    settings = load_settings().schedule
    for name in NEEDED:
        os.environ.setdefault(f"PREFECT_SERVER_SERVICES_{name}_ENABLED", "true")
    with alone():
        ready = start()
        try:  # Prefect reads its settings when it is imported
            deployment = import_module(".deployment", __package__)
        except ImportError as error:
            raise ProjectError(f"{error}: not all is installed; run `make setup`") from error
        ready()
        if not settings.webhook:
            name = f"{project.get_project().prefix}SCHEDULE__WEBHOOK"
            print(f"Nobody is told where a run fails: set {name} to an address", flush=True)
        deployment.serve(settings, now)


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else on this machine serves the schedule.  ProjectError where somebody does."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(LOCK, timeout=0):
            yield
    except Timeout as error:
        raise ProjectError(f"{LOCK}: the schedule is served already; end that process") from error


def tell(address: str, told: dict[str, Any]) -> bool:
    """Post what happened, as JSON with a line of `text`; whether somebody took it.

    It is tried three times.  Whatever goes wrong then stands in the log, and ends nothing.
    """
    print(told["text"], file=sys.stderr, flush=True)
    kind = {"Content-Type": "application/json"}
    for pause in range(TRIES if address else 0):
        time.sleep(pause)
        try:
            with urlopen(Request(address, json.dumps(told).encode(), kind), timeout=10):
                return True
        except (OSError, ValueError, HTTPException) as error:
            name = f"{project.get_project().prefix}SCHEDULE__WEBHOOK"
            print(f"{name}: nobody was told: {error}", file=sys.stderr, flush=True)
    return False
