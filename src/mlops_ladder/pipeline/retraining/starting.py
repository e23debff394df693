"""Starting: an event is judged, the decision written down, and a run begins or somebody is told.

The run is a process of its own, so that it outlives whoever has started it.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, UTC
from typing import Any
from uuid import uuid4

from filelock import Timeout

from mlops_ladder import ProjectError
from mlops_ladder.pipeline import command, TAGS
from mlops_ladder.pipeline.retraining import data_guard, decision, ledger
from mlops_ladder.pipeline.schedule import tell
from mlops_ladder.settings import Settings

COMMAND = "import sys; from {package} import main; sys.exit(main())"


Clock = Callable[[], datetime]


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def judge(
    happened: decision.Event, settings: Settings, at: datetime, by: str, approved: bool = False
) -> decision.Entry:
    """The decision on an event, once it is in the ledger; of a veto somebody is told.

    Raises ProjectError where the ledger cannot be read.
    """
    wanted = settings.triggers.model_copy(update={"automatic": True} if approved else {})
    with ledger.alone():
        history = ledger.recovered(at)
        word, why = decision.decide(
            happened, history, wanted, at, lambda: data_guard.faults(settings, happened.kind, at)
        )
        told: dict[str, Any] = {"event": happened, "decision": word, "reason": why, "by": by}
        entry = decision.Entry(id=uuid4().hex[:12], time=at, **told)
        ledger.add(entry)
    if word in ("veto", "approval"):
        said = "No training, the data look broken" if word == "veto" else "A training waits"
        announce(settings, f"{said}: {happened.cause}: {why}", entry)
    push(settings, entry)
    return entry


def announce(settings: Settings, text: str, entry: decision.Entry) -> None:
    """Tell whoever is told of runs that fail."""
    tell(settings.schedule.webhook, {"text": text, "cause": entry.event.cause, "id": entry.id})


def push(settings: Settings, entry: decision.Entry) -> None:
    """Have Prometheus know of the last decision, where a Pushgateway is set."""
    if not settings.drift.pushgateway:
        return
    # pylint: disable=import-outside-toplevel  # seldom needed
    from mlops_ladder.monitoring import push as gateway
    from mlops_ladder.pipeline.retraining.gauges import gauges, JOB

    try:
        gateway.push(settings.drift, gauges(entry, time.time()), JOB)
    except ProjectError as error:  # what was decided stands
        print(error, file=sys.stderr)


def begin(entry: decision.Entry, **options: Any) -> "subprocess.Popen[bytes]":
    """The process that runs the pipeline for a decision."""
    script = COMMAND.format(package=__name__.partition(".")[0])
    words = [sys.executable, "-c", script, "trigger", "--run", entry.id]
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, **options)


def run(name: str, settings: Settings, clock: Clock = now) -> None:
    """The pipeline for a decision, once: its cause is on the runs of Prefect and MLflow.

    Raises ProjectError where there is no such run to begin, or it fails.
    """
    try:
        with ledger.running():
            entry = begun(name)
            tags = {"trigger.id": name, "trigger.kind": entry.event.kind}
            tags |= {"trigger.cause": entry.event.cause, "trigger.by": entry.by}
            os.environ[TAGS] = json.dumps(tags)
            carried_out(entry, settings, clock)
    except Timeout as error:
        raise ProjectError(f"run {name}: another run is under way; {ledger.RUNNING}") from error


def begun(name: str) -> decision.Entry:
    """The decision to run of this id.  ProjectError where it is none, or its run has ended."""
    found = next((it for it in ledger.entries() if it.id == name), None)
    if found is None or not ledger.lost(found):
        state = f"{found.decision}, ended or not run" if found else "no decision has this id"
        raise ProjectError(f"run {name}: {state}; {ledger.LEDGER} lists them")
    return found


def carried_out(entry: decision.Entry, settings: Settings, clock: Clock) -> None:
    """Run it, and have its end in the ledger, however it ends."""
    failed = "it was ended"
    try:
        command.main()
        failed = ""
    except ProjectError as error:
        failed = str(error)
        raise
    except Exception as error:
        failed = f"{type(error).__name__}: {error}"
        raise
    finally:
        with ledger.alone():
            ledger.end(entry.id, clock(), "failed" if failed else "completed", failed)
        if failed:
            announce(settings, f"A training failed: {entry.event.cause}: {failed}", entry)
        push(settings, entry.model_copy(update={"result": "failed" if failed else "completed"}))
