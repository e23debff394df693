"""The command `trigger`: has something happened that starts a training?  Without HTTP."""

from datetime import datetime, UTC
from typing import Annotated, Literal

import typer

from mlops_ladder import ProjectError
from mlops_ladder.pipeline.retraining import causes, ledger
from mlops_ladder.pipeline.retraining.decision import Entry, Event, Kind
from mlops_ladder.pipeline.retraining.starting import begin, judge, run
from mlops_ladder.registry.decisions import who
from mlops_ladder.settings import load_settings, Settings

SHOWN = 10
LOOK = typer.Option(help="what to look at")
ALERT = typer.Option(help="as if this alert fired", metavar="NAME")
APPROVE = typer.Option(help="let a training begin that waits", metavar="CAUSE")


def main(
    cause: Annotated[Literal["drift", "quality", "data"] | None, LOOK] = None,
    alert: Annotated[str | None, ALERT] = None,
    approve: Annotated[str | None, APPROVE] = None,
    decision: Annotated[str | None, typer.Option("--run", hidden=True, metavar="ID")] = None,
) -> None:
    """Judge what has happened, and run the pipeline where it is decided; or list the decisions."""
    settings, now = load_settings(), datetime.now(UTC)
    if decision:
        run(decision, settings)
    elif approve:
        finish(judge(waiting(approve), settings, now, who(), approved=True))
    elif cause or alert:
        happened = seen(settings, now, cause or "alert", alert)
        if happened is None:
            print(f"Nothing has happened: {cause or alert}")
            return
        finish(judge(happened, settings, now, who()))
    else:
        listing()


def seen(settings: Settings, now: datetime, cause: Kind, alert: str | None) -> Event | None:
    """The event of a cause, or of an alert.  ProjectError where the alert starts nothing."""
    if alert is None:
        return causes.of(settings, now, cause)
    if alert not in settings.triggers.alerts:
        known = ", ".join(settings.triggers.alerts) or "none"
        raise ProjectError(f"ALERT {alert!r}: starts nothing by triggers.alerts; those do: {known}")
    return causes.alert(settings, now, {"labels": {"alertname": alert}, "status": "firing"})


def waiting(fingerprint: str) -> Event:
    """The event of a training that waits.  ProjectError where none of this name does."""
    waits = [it.event for it in ledger.entries() if it.decision == "approval"]
    for it in reversed(waits):
        if it.fingerprint == fingerprint:
            return it
    known = ", ".join(sorted({it.fingerprint for it in waits})) or "none"
    raise ProjectError(f"APPROVE {fingerprint!r}: nothing of this name waits; there are: {known}")


def finish(entry: Entry) -> None:
    """Say what was decided; where that is a run, wait for it.  ProjectError where it fails."""
    print(f"{entry.decision}: {entry.event.cause}\n  {entry.reason}", flush=True)
    if entry.decision == "run" and begin(entry).wait():
        raise ProjectError(f"run {entry.id} failed; see above, and {ledger.LEDGER}")


def listing() -> None:
    """The last decisions, the newest last."""
    for it in ledger.entries()[-SHOWN:]:
        end = f", {it.result or 'under way'}" if it.decision == "run" else ""
        told = f"{it.event.kind:8} {it.decision}{end}"
        print(f"{it.time:%F %R}  {it.id}  {told}: {it.event.cause} ({it.reason})")
    print("To look whether something has happened: make trigger CAUSE=drift, quality or data")
