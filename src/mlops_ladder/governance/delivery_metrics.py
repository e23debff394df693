"""Delivery: the four key metrics of DORA, from git and the logs of promotions and deployments.

Lead time for changes, deployment frequency, change failure rate, and time to restore service:
Forsgren, Humble and Kim, Accelerate, 2018, chapter 2, and https://dora.dev.

A change is a promoted model, a model that got a share of the clients, or an image in production.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, UTC
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from mlops_ladder import ProjectError
from mlops_ladder.data.provenance import run_git, UNKNOWN
from mlops_ladder.governance.incidents import CHANGES, Incident, read_incidents
from mlops_ladder.governance.lineage import read_deployments
from mlops_ladder.registry import history
from mlops_ladder.serving.rollout import decisions
from mlops_ladder.settings import Settings

DAYS = 90
MIN_COUNT = 3  # a median or a share of fewer says more about chance than about the team
SOURCE = "DORA's four key metrics: Forsgren, Humble, Kim, Accelerate (2018); https://dora.dev"


@dataclass(frozen=True)
class Change:
    """Something that reached clients, from a commit.

    `failed` says why it was taken back or had to be fixed; "" if it was not.
    """

    kind: str
    name: str
    time: datetime
    commit: str
    failed: str = ""

    def __str__(self) -> str:
        why = f"  FAILED: {self.failed}" if self.failed else ""
        return f"{self.time:%Y-%m-%d %H:%M}  {self.kind:6}  {self.name[:24]:24}{why}"


def collect_promotions(entries: list[history.Entry]) -> list[Change]:
    """Return the models that the gate promoted; one failed if a rollback still keeps it down."""
    changes = []
    for entry in (entry for entry in entries if entry.action == "promote"):
        back = history.find_rollback(entries, str(entry.version))
        later = back and back.time > entry.time
        why = f"rolled back on {back.time:%Y-%m-%d}" if back and later else ""
        changes.append(Change("model", f"v{entry.version}", entry.time, entry.commit, why))
    return changes


def list_aborted_rollouts(
    steps: Iterable[decisions.Decision], entries: Iterable[history.Entry]
) -> list[Change]:
    """Return the rollouts that were aborted after some clients had got the new model.

    A rollout that was aborted in its shadow phase has reached nobody.
    """
    commits = {entry.version: entry.commit for entry in entries}
    shared: dict[str, decisions.Decision] = {}
    changes = []
    for step in steps:
        if step.plan and not step.plan.shadow and step.plan.share:
            shared.setdefault(step.rollout, step)
        elif step.action == "abort" and (first := shared.get(step.rollout)):
            commit = commits.get(step.version, UNKNOWN)
            why = f"aborted: {'; '.join(step.reasons)}"
            changes.append(Change("model", f"v{step.version}", first.time, commit, why))
    return changes


def list_deployments() -> list[Change]:
    """Return the images that got into production."""
    return [
        Change("image", str(line["image"]), line["time"], str(line.get("commit", UNKNOWN)))
        for line in read_deployments()
    ]


def blame_changes(changes: list[Change], incidents: Mapping[Path, Incident]) -> list[Change]:
    """Return the changes by time, with those as failed that an incident names as its cause.

    Cause `model` is the newest change to the incident's version, cause `deploy` the newest image;
    each before the incident started.
    """
    ordered = sorted(changes, key=lambda change: change.time)
    for path, incident in incidents.items():
        for place in reversed(range(len(ordered))):
            change, version = ordered[place], f"v{incident.version}"
            causes = {"model": "model" if change.name == version else "", "image": "deploy"}
            if incident.cause == causes[change.kind] and change.time <= incident.started:
                why = change.failed or f"incident {path.stem}"
                ordered[place] = replace(change, failed=why)
                break
    return ordered


def read_changes(incidents: Mapping[Path, Incident]) -> list[Change]:
    """Return every recorded change, by time, with those that failed."""
    entries = list(history.read_log().values())
    aborted = list_aborted_rollouts(decisions.read_rollout_log(), entries)
    return blame_changes([*collect_promotions(entries), *aborted, *list_deployments()], incidents)


@dataclass(frozen=True)
class Measure:
    """One of the four, from `n` observations of `what`; its value is None if they are too few."""

    name: str
    value: float | None
    unit: str
    n: int
    what: str

    def __str__(self) -> str:
        few = f"not enough data ({MIN_COUNT} are needed)"
        value = few if self.value is None else f"{self.value:.3g} {self.unit}"
        return f"{self.name:22}  {value:32}  n = {self.n} {self.what}"


def measure_lead_times(changes: Iterable[Change], since: datetime) -> tuple[list[float], int]:
    """Return the hours from each commit to its change, and the number of changes without any.

    Commits that an earlier change of the same kind has brought are not new: a model that was only
    trained again has no lead time.  Nor has a change whose commit is not in this repository, or is
    younger than the change because a clock is wrong.
    """
    hours: list[float] = []
    before: dict[str, str] = {}
    without = 0
    for change in changes:
        new = [f"^{before[change.kind]}"] if change.kind in before else ["--max-count=1"]
        command = ("log", "--format=%cI", change.commit, *new, "--")
        listed = None if change.commit == UNKNOWN else run_git(*command)
        times = [datetime.fromisoformat(line) for line in (listed or "").splitlines()]
        waits = [(change.time - time) / timedelta(hours=1) for time in times if time <= change.time]
        if change.time >= since:
            hours += waits
            without += not waits
        if listed is not None:
            before[change.kind] = change.commit
    return hours, without


def measure_delivery(
    changes: list[Change], incidents: Iterable[Incident], now: datetime, days: int = DAYS
) -> list[Measure]:
    """Return the four metrics over some days up to now.

    The rate is over the time since the first change, but at least over a week.
    """
    since = now - timedelta(days=days)
    recent = [change for change in changes if since <= change.time <= now]
    failed = sum(bool(change.failed) for change in recent)
    past = [incident for incident in incidents if since <= incident.started <= now]
    hours = [incident.hours for incident in past if incident.hours is not None]
    waits, without = measure_lead_times(changes, since)
    since = max(since, min((change.time for change in changes), default=since))
    brought = f"commits; {without} changes brought none"
    weeks, n = max((now - since) / timedelta(weeks=1), 1), len(recent)
    rate, share = (n / weeks, failed / n) if n >= MIN_COUNT else (None, None)
    wait, length = (median(v) if len(v) >= MIN_COUNT else None for v in (waits, hours))
    return [
        Measure("lead time", wait, "hours (median)", len(waits), brought),
        Measure("deployment frequency", rate, "a week", n, f"changes in {weeks:.1f} weeks"),
        Measure("change failure rate", share, "of changes", n, f"changes, {failed} failed"),
        Measure("time to restore", length, "hours (median)", len(hours), "incidents over"),
    ]


def collect_delivery_evidence(_: Settings) -> dict[str, Any] | None:
    """Return the four metrics as of now; None before the first change."""
    incidents, now = read_incidents(), datetime.now(UTC)
    if not (changes := read_changes(incidents)):
        return None
    measures = list(map(asdict, measure_delivery(changes, incidents.values(), now)))
    until = now.isoformat(timespec="seconds")
    return {"delivery": {"days": DAYS, "until": until, "measures": measures}}


def main(days: Annotated[int, typer.Option(help=f"over so many days ({DAYS})")] = DAYS) -> None:
    """Compute DORA's four key metrics from git, the logs and the incidents."""
    if days < 1:
        raise ProjectError(f"DAYS={days}: at least one day is needed")
    incidents = read_incidents()
    changes = read_changes(incidents)
    print("\n".join(map(str, changes)) or "No change has reached clients yet: make pipeline")
    measures = measure_delivery(changes, incidents.values(), datetime.now(UTC), days)
    print("\n" + "\n".join(map(str, measures)))
    blamed = {change.failed for change in changes}
    for path, incident in incidents.items():
        if incident.cause in CHANGES and f"incident {path.stem}" not in blamed:
            print(f"{path}: cause = {incident.cause!r}: no such change is known before it started")
    print(f"\nThe last {days} days.  {SOURCE}")
