"""Starting: an event is judged, the decision is logged, and a run begins or a person is notified.

The run is a process of its own, so that it outlives the process that has started it.
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
from mlops_ladder.monitoring.push import push_gauges, Series
from mlops_ladder.pipeline import command, TAGS
from mlops_ladder.pipeline.retraining import data_guard, ledger
from mlops_ladder.pipeline.retraining.decision import decide_on_event, Entry, Event
from mlops_ladder.pipeline.schedule import post_to_webhook
from mlops_ladder.registry.decisions import registry_lock
from mlops_ladder.settings import Settings

JOB = "trigger"
Clock = Callable[[], datetime]


def get_time() -> datetime:
    """Return the present time."""
    return datetime.now(UTC)


def judge_event(
    event: Event, settings: Settings, now: datetime, by: str, approved: bool = False
) -> Entry:
    """Decide on an event and log the decision; notify the webhook of a veto.

    Args:
        event: The event.
        settings: The project's settings.
        now: The time of the decision.
        by: The person or program that has reported the event.
        approved: Whether a person has let this training begin.

    Raises:
        ProjectError: The ledger cannot be read.
    """
    triggers = settings.triggers.model_copy(update={"automatic": True} if approved else {})
    with registry_lock(ledger.LOCK, ledger.LOCK_TIMEOUT_S):
        history = ledger.recover_ledger(now)

        def find_faults() -> list[str]:
            return data_guard.find_data_faults(settings, event.kind, now)

        word, reason = decide_on_event(event, history, triggers, now, find_faults)
        name = uuid4().hex[:12]
        entry = Entry(id=name, time=now, event=event, decision=word, reason=reason, by=by)
        ledger.append_decision(entry)
    if word in ("veto", "approval"):
        title = "No training, the data look broken" if word == "veto" else "A training waits"
        announce(settings, f"{title}: {event.cause}: {reason}", entry)
    push_decision(settings, entry)
    return entry


def announce(settings: Settings, text: str, entry: Entry) -> None:
    """Notify the webhook of the schedule."""
    event = {"text": text, "cause": entry.event.cause, "id": entry.id}
    post_to_webhook(settings.schedule.webhook, event)


def push_decision(settings: Settings, entry: Entry) -> None:
    """Push the last decision to the Pushgateway, if one is set; print an error."""
    series: Series = [
        ("trigger_vetoed", {}, entry.decision == "veto"),
        ("trigger_waits", {}, entry.decision == "approval"),
        ("trigger_failed", {}, entry.result == "failed"),
        ("trigger_last_event_timestamp_seconds", {}, time.time()),
    ]
    try:
        push_gauges(settings.drift, series, JOB)
    except ProjectError as error:  # the decision stands
        print(error, file=sys.stderr)


def start_run(entry: Entry, **options: Any) -> "subprocess.Popen[bytes]":
    """Start the process that runs the pipeline for a decision."""
    arguments = [sys.executable, "-m", "mlops_ladder", "trigger", "--run", entry.id]
    return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, **options)


def run_training(name: str, settings: Settings, clock: Clock = get_time) -> None:
    """Run the pipeline for a decision, with its cause as tags of Prefect and MLflow; log its end.

    Raises ProjectError if this decision cannot begin a run, another run is under way, or it fails.
    """
    try:
        with ledger.run_lock():
            entry = get_startable_entry(name)
            cause = {"id": name, "kind": entry.event.kind, "cause": entry.event.cause}
            tags = {f"trigger.{key}": value for key, value in (cause | {"by": entry.by}).items()}
            os.environ[TAGS] = json.dumps(tags)
            failure = "it was ended"
            try:
                command.main()
                failure = ""
            except Exception as error:
                is_known = isinstance(error, ProjectError)
                failure = str(error) if is_known else f"{type(error).__name__}: {error}"
                raise
            finally:
                record_end(entry, settings, clock, failure)
    except Timeout as error:
        raise ProjectError(f"run {name}: another run is under way; {ledger.RUNNING}") from error


def get_startable_entry(name: str) -> Entry:
    """Return the decision of this id.  Raise ProjectError if it is no run, or has ended."""
    entry = next((entry for entry in ledger.read_ledger() if entry.id == name), None)
    if entry is None or not entry.is_running:
        state = f"{entry.decision}, ended or not run" if entry else "no decision has this id"
        raise ProjectError(f"run {name}: {state}; {ledger.LEDGER} lists them")
    return entry


def record_end(entry: Entry, settings: Settings, clock: Clock, failure: str) -> None:
    """Log the end of a run, push it, and notify the webhook of a failure."""
    result = "failed" if failure else "completed"
    with registry_lock(ledger.LOCK, ledger.LOCK_TIMEOUT_S):
        ledger.append_end(entry.id, clock(), "failed" if failure else "completed", failure)
    if failure:
        announce(settings, f"A training failed: {entry.event.cause}: {failure}", entry)
    push_decision(settings, entry.model_copy(update={"result": result}))
