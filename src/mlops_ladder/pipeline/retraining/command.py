"""The command `trigger`: decide whether an event starts a training, without HTTP."""

from typing import Annotated, Literal

import typer

from mlops_ladder import ProjectError
from mlops_ladder.pipeline.retraining import causes, ledger
from mlops_ladder.pipeline.retraining.decision import Entry, Event
from mlops_ladder.pipeline.retraining.starting import get_time, judge_event, run_training, start_run
from mlops_ladder.registry.decisions import get_actor
from mlops_ladder.settings import load_settings, Settings

MAX_LISTED = 10
CAUSE = typer.Option(help="what to look at")
ALERT = typer.Option(help="as if this alert fired", metavar="NAME")
APPROVE = typer.Option(help="start a training that waits", metavar="CAUSE")


def main(
    cause: Annotated[Literal["drift", "quality", "data"] | None, CAUSE] = None,
    alert: Annotated[str | None, ALERT] = None,
    approve: Annotated[str | None, APPROVE] = None,
    decision: Annotated[str | None, typer.Option("--run", hidden=True, metavar="ID")] = None,
) -> None:
    """Decide on an event and run the pipeline if it starts one; without options list decisions."""
    settings = load_settings()
    if decision:
        run_training(decision, settings)
    elif approve:
        event = get_waiting_event(approve)
        finish_decision(judge_event(event, settings, get_time(), get_actor(), approved=True))
    elif alert:
        finish_event(find_alert(settings, alert), alert, settings)
    elif cause:
        finish_event(causes.find_event(settings, get_time(), cause), cause, settings)
    else:
        print_decisions()


def finish_event(event: Event | None, name: str, settings: Settings) -> None:
    """Decide on an event and wait for its run; print if nothing has happened."""
    if event is None:
        print(f"Nothing has happened: {name}")
    else:
        finish_decision(judge_event(event, settings, get_time(), get_actor()))


def find_alert(settings: Settings, alert: str) -> Event | None:
    """Return the event of an alert.  Raise ProjectError if the alert starts nothing."""
    if alert not in settings.triggers.alerts:
        names = ", ".join(settings.triggers.alerts) or "none"
        raise ProjectError(f"ALERT {alert!r}: not in triggers.alerts, which has: {names}")
    firing = {"labels": {"alertname": alert}, "status": "firing"}
    return causes.find_alert_event(settings, get_time(), firing)


def get_waiting_event(fingerprint: str) -> Event:
    """Return the event of a training that waits.  Raise ProjectError if there is none."""
    entries = [entry for entry in ledger.read_ledger() if entry.decision == "approval"]
    waiting = {entry.event.fingerprint: entry.event for entry in entries}
    if fingerprint not in waiting:
        names = ", ".join(sorted(waiting)) or "none"
        message = f"nothing of this name waits; there are: {names}"
        raise ProjectError(f"APPROVE {fingerprint!r}: {message}")
    return waiting[fingerprint]


def finish_decision(entry: Entry) -> None:
    """Print the decision; wait for its run.  Raise ProjectError if that fails."""
    print(f"{entry.decision}: {entry.event.cause}\n  {entry.reason}", flush=True)
    if entry.decision == "run" and start_run(entry).wait():
        raise ProjectError(f"run {entry.id} failed; see above, and {ledger.LEDGER}")


def print_decisions() -> None:
    """Print the last decisions, the newest last."""
    for entry in ledger.read_ledger()[-MAX_LISTED:]:
        end = f", {entry.result or 'under way'}" if entry.decision == "run" else ""
        text = f"{entry.event.kind:8} {entry.decision}{end}: {entry.event.cause} ({entry.reason})"
        print(f"{entry.time:%F %R}  {entry.id}  {text}")
    print("To check for an event: make trigger CAUSE=drift, quality or data")
