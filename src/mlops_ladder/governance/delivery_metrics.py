"""Delivery: the four key metrics of DORA, from what git and the logs have written down.

Lead time for changes, deployment frequency, change failure rate, and time to restore service:
Forsgren, Humble and Kim, Accelerate, 2018, chapter 2, and https://dora.dev.

A change is a model that was promoted, or got a share of the clients, or an image in production.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, UTC
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from mlops_ladder import ProjectError
from mlops_ladder.data.provenance import git, UNKNOWN
from mlops_ladder.governance.incidents import CHANGES, Incident, incidents
from mlops_ladder.governance.lineage import DEPLOYMENTS
from mlops_ladder.registry import history
from mlops_ladder.serving.rollout import decisions
from mlops_ladder.settings import Settings

DAYS = 90
FEWEST = 3  # of fewer, a median or a share says more about chance than about the team
SOURCE = "DORA's four key metrics: Forsgren, Humble, Kim, Accelerate (2018); https://dora.dev"


@dataclass(frozen=True)
class Change:
    """Something that reached clients: of which kind, which one, when, from which commit.

    `failed` says why it had to be taken back or put right; "" where it had not.
    """

    kind: str
    name: str
    time: datetime
    commit: str
    failed: str = ""

    def __str__(self) -> str:
        why = f"  FAILED: {self.failed}" if self.failed else ""
        return f"{self.time:%Y-%m-%d %H:%M}  {self.kind:6}  {self.name[:24]:24}{why}"


def promotions(entries: Iterable[history.Entry]) -> list[Change]:
    """The models that became champion by the gate; one failed that a rollback still keeps down."""
    known = list(entries)
    found = []
    for it in known:
        if it.action == "promote":
            back = history.rolled_back(known, str(it.version))
            why = f"rolled back on {back.time:%Y-%m-%d}" if back and back.time > it.time else ""
            found.append(Change("model", f"v{it.version}", it.time, it.commit, why))
    return found


def aborted(found: Iterable[decisions.Decision], entries: Iterable[history.Entry]) -> list[Change]:
    """The rollouts that were taken back after some clients had got the new model.

    One of which only the shadow was asked has reached nobody.
    """
    commits = {it.version: it.commit for it in entries}
    shared: dict[str, decisions.Decision] = {}
    changes = []
    for it in found:
        if it.plan and not it.plan.shadow and it.plan.share:
            shared.setdefault(it.rollout, it)
        elif it.action == "abort" and (first := shared.get(it.rollout)):
            commit = commits.get(it.version, UNKNOWN)
            why = f"aborted: {'; '.join(it.reasons)}"
            changes.append(Change("model", f"v{it.version}", first.time, commit, why))
    return changes


def deployments(path: Path = DEPLOYMENTS) -> list[Change]:
    """The images that got into production.  ProjectError that names a line that is none."""
    found = []
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, start=1):
        try:
            it: dict[str, Any] = json.loads(line)
            if (it["environment"], it["result"]) == ("production", "deployed"):
                time = datetime.fromisoformat(it["time"])
                time = time if time.tzinfo else time.replace(tzinfo=UTC)
                found.append(Change("image", str(it["image"]), time, str(it["commit"])))
        except (ValueError, KeyError, TypeError) as error:
            told = f"line {number} is no deployment: {error!r}; correct it, or take it out"
            raise ProjectError(f"{path}: {told}") from error
    return found


def blamed(changes: list[Change], known: Mapping[Path, Incident]) -> list[Change]:
    """The same, in order, with those as failed that an incident names as its cause.

    Of kind `model` it is the newest change to the incident's version, of kind `deploy` the newest
    image; each at the time when it started.
    """
    found = sorted(changes, key=lambda it: it.time)
    kinds = {"model": "model", "deploy": "image"}
    for path, incident in known.items():
        for place in reversed(range(len(found))):
            it = found[place]
            meant = incident.cause != "model" or it.name == f"v{incident.version}"
            if it.kind == kinds.get(incident.cause) and it.time <= incident.started and meant:
                found[place] = replace(it, failed=it.failed or f"incident {path.stem}")
                break
    return found


def happened() -> list[Change]:
    """Every change that is written down, in order, with those that failed.

    Raises ProjectError that names a file and a value that is wrong.
    """
    entries = list(history.logged().values())
    found = [*promotions(entries), *aborted(decisions.logged(), entries), *deployments()]
    return blamed(found, incidents())


@dataclass(frozen=True)
class Measure:
    """One of the four: its value in a unit, from `n` observations of `what`; None from too few."""

    name: str
    value: float | None
    unit: str
    n: int
    what: str

    def __str__(self) -> str:
        few = f"not enough data ({FEWEST} are needed)"
        said = few if self.value is None else f"{self.value:.3g} {self.unit}"
        return f"{self.name:22}  {said:32}  n = {self.n} {self.what}"


def lead_times(changes: Iterable[Change], since: datetime) -> tuple[list[float], int]:
    """Hours from each commit to the change that brought it to clients; how many changes have none.

    Commits that an earlier change of the same kind has brought are not new: a model that was only
    trained again has no lead time, nor has a change of a commit that git does not hold here, or
    that is older than its commit, as somebody's clock is wrong.
    """
    hours: list[float] = []
    before: dict[str, str] = {}
    without = 0
    for it in changes:
        new = [f"^{before[it.kind]}"] if it.kind in before else ["--max-count=1"]
        asked = ("log", "--format=%cI", it.commit, *new, "--")
        said = None if it.commit == UNKNOWN else git(*asked)
        times = [datetime.fromisoformat(line) for line in (said or "").splitlines()]
        waited = [(it.time - time) / timedelta(hours=1) for time in times if time <= it.time]
        if it.time >= since:
            hours += waited
            without += not waited
        if said is not None:
            before[it.kind] = it.commit
    return hours, without


def measures(
    changes: list[Change], known: Iterable[Incident], now: datetime, days: int = DAYS
) -> list[Measure]:
    """The four, over so many days up to now; the rate since the first change, or for a week."""
    since = now - timedelta(days=days)
    recent = [it for it in changes if since <= it.time <= now]
    failed = sum(bool(it.failed) for it in recent)
    hours = [it.hours for it in known if it.hours is not None and since <= it.started <= now]
    waits, without = lead_times(changes, since)
    since = max(since, min((it.time for it in changes), default=since))
    brought = f"commits; {without} changes brought none"
    weeks, n = max((now - since) / timedelta(weeks=1), 1), len(recent)
    rate, share = (n / weeks, failed / n) if n >= FEWEST else (None, None)
    return [
        Measure("lead time", middle(waits), "hours (median)", len(waits), brought),
        Measure("deployment frequency", rate, "a week", n, f"changes in {weeks:.1f} weeks"),
        Measure("change failure rate", share, "of changes", n, f"changes, {failed} failed"),
        Measure("time to restore", middle(hours), "hours (median)", len(hours), "incidents over"),
    ]


def middle(values: list[float]) -> float | None:
    """Their median; None of too few."""
    return median(values) if len(values) >= FEWEST else None


def evidence(_: Settings) -> dict[str, Any] | None:
    """The four, as of now; None where no change has reached clients yet."""
    changes, now = happened(), datetime.now(UTC)
    found = measures(changes, incidents().values(), now)
    told = {"days": DAYS, "until": now.isoformat(timespec="seconds")}
    return {"delivery": told | {"measures": list(map(asdict, found))}} if changes else None


def main(days: Annotated[int, typer.Option(help=f"over so many days ({DAYS})")] = DAYS) -> None:
    """Compute DORA's four key metrics from git, the logs and the incidents."""
    if days < 1:
        raise ProjectError(f"DAYS={days}: at least one day is needed")
    changes, known = happened(), incidents()
    print("\n".join(map(str, changes)) or "No change has reached clients yet: make pipeline")
    told = measures(changes, known.values(), datetime.now(UTC), days)
    print("\n" + "\n".join(map(str, told)))
    blames = {it.failed for it in changes}
    for path, it in known.items():
        if it.cause in CHANGES and f"incident {path.stem}" not in blames:
            print(f"{path}: cause = {it.cause!r}: no such change is known before it started")
    print(f"\nThe last {days} days.  {SOURCE}")
