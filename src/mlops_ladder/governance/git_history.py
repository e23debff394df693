"""Changes: what reached clients, when, from which commit, and which of it failed.

A change is a model that was promoted, or got a share of the clients, or an image in production.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, UTC
from pathlib import Path
from typing import Any

from mlops_ladder import ProjectError
from mlops_ladder.data.provenance import UNKNOWN
from mlops_ladder.governance.incidents import Incident, incidents
from mlops_ladder.governance.lineage import DEPLOYMENTS
from mlops_ladder.registry import history
from mlops_ladder.registry.history import Entry
from mlops_ladder.serving.rollout import decisions
from mlops_ladder.serving.rollout.decisions import Decision


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


def promotions(entries: Iterable[Entry]) -> list[Change]:
    """The models that became champion by the gate; one failed that a rollback still keeps down."""
    known = list(entries)
    found = []
    for it in known:
        if it.action == "promote":
            back = history.rolled_back(known, str(it.version))
            why = f"rolled back on {back.time:%Y-%m-%d}" if back and back.time > it.time else ""
            found.append(Change("model", f"v{it.version}", it.time, it.commit, why))
    return found


def aborted(found: Iterable[Decision], entries: Iterable[Entry]) -> list[Change]:
    """The rollouts that were taken back after some clients had got the new model.

    One of which only the shadow was asked has reached nobody.
    """
    commits = {it.version: it.commit for it in entries}
    shared: dict[str, Decision] = {}
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
