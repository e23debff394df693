"""Lineage: from one logged prediction back to all that made it, each link looked up where it leads.

A link is broken where the two ends do not agree, or there is nothing at the other one.
"""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, UTC
from pathlib import Path
from typing import Annotated, Any

import typer

from mlops_ladder import ProjectError
from mlops_ladder.data import provenance
from mlops_ladder.data.provenance import git, LOCK
from mlops_ladder.data.reading import files
from mlops_ladder.data.sources import checksum
from mlops_ladder.governance.explaining import decided
from mlops_ladder.monitoring.archive import Archive
from mlops_ladder.registry import approval, history, versions
from mlops_ladder.settings import load, Settings
from mlops_ladder.tracking import runs

DEPLOYMENTS = Path("deployments.jsonl")


@dataclass(frozen=True)
class Link:
    """One step back: what it is called, what is there, and what is wrong with it, if so."""

    name: str
    found: str
    broken: str = ""


def trace(settings: Settings, request_id: str) -> Iterator[Link]:
    """Every link of a logged request.  ProjectError where there is no such request."""
    with Archive(settings.serving.prediction_log_url) as archive:
        request = archive.request(request_id)
    said = f"{request_id} of {request.time:%Y-%m-%d %H:%M:%S} UTC, {request.rows} rows"
    yield Link("prediction", f"{said}, model {request.model_version}")
    try:
        entry = decided(request.model_version)
    except ProjectError as error:
        yield Link("version", "unknown", str(error))
        return
    yield registered(entry)
    gate = versions.accepting(entry)
    yield judged(gate)
    yield approver(gate)
    run = recorded(entry)
    if run is None:
        yield Link("run", entry.run_id, "MLflow has no finished run of this id")
        return
    yield Link("run", f"{run.run_id} of {run.started:%Y-%m-%d %H:%M} UTC", differing(entry, run))
    yield committed(run)
    yield data(run, settings)
    yield locked(run)
    yield deployed(request)


def registered(entry: history.Entry) -> Link:
    """The version in the registry."""
    found = versions.versions().get(str(entry.version))
    wrong = "" if found == versions.of(entry) else f"the registry holds {found or 'none'}"
    return Link("version", f"v{entry.version}, model {entry.model_version}", wrong)


def judged(entry: history.Entry) -> Link:
    """The report of the gate, and who answers for it."""
    sound = entry.verdict is not None and history.digest(entry.verdict) == entry.proof
    wrong = "" if sound else "its report is not there, or was changed"
    return Link("gate", f"{entry}, report {entry.proof[:12]}", wrong)


def approver(entry: history.Entry) -> Link:
    """Who else has said yes to the report of the gate."""
    version, verdict = versions.of(entry), entry.verdict or {}
    known = [it for it, faults in approval.heard(version, verdict) if not faults]
    said = [f"{it.approver}, {it.way}, {it.time:%Y-%m-%d %H:%M} UTC" for it in known]
    if not approval.needed(approval.rule()):
        said.append("none is needed here")
        return Link("approver", said[0])
    wrong = "" if said else "; ".join(approval.waits(version, verdict))
    return Link("approver", said[0] if said else "none", wrong)


def recorded(entry: history.Entry) -> runs.Run | None:
    """The finished run of the version, or None."""
    mlflow = runs.connect()
    try:
        found = mlflow.get_run(entry.run_id)
    except mlflow.exceptions.MlflowException:
        return None
    return runs.as_run(found) if found.info.status == "FINISHED" else None


def differing(entry: history.Entry, run: runs.Run) -> str:
    """Where the run says something else than the decision."""
    wanted = {"model_version": entry.model_version, "git.commit": entry.commit}
    wanted |= {"data.sha256": entry.data_sha256}
    wrong = [name for name, value in wanted.items() if run.tags.get(name) != value]
    return f"{', '.join(wrong)}: not what the gate wrote down" if wrong else ""


def committed(run: runs.Run) -> Link:
    """The commit, which must be in this repository."""
    commit = run.tags.get("git.commit", provenance.UNKNOWN)
    about = git("show", "--no-patch", "--format=%h %cs %an: %s", commit)
    if about is None:
        return Link("commit", commit, "this repository does not hold it")
    changed = run.tags.get("git.dirty") == "true"
    return Link("commit", about, "files were changed and not committed" if changed else "")


def data(run: runs.Run, settings: Settings) -> Link:
    """The data: those that are here, or a commit that says where they come from."""
    wanted = run.tags.get("data.sha256", provenance.UNKNOWN)
    try:
        now = checksum(*files(settings.data.path))
    except ProjectError:
        now = ""
    said = f"{wanted[:12]}, {run.metrics.get('rows.train', 0):,.0f} rows to learn from"
    if now == wanted:
        return Link("data", f"{said}, {settings.data.path}")
    commit = run.tags.get("git.commit", provenance.UNKNOWN)
    if git("cat-file", "-e", f"{commit}:data/sources.toml") is None:
        return Link("data", said, "other data are here, and no commit says where these come from")
    return Link("data", f"{said}; not here now: git checkout {commit[:12]}, make data restore")


def locked(run: runs.Run) -> Link:
    """The lock, in the commit of the run."""
    wanted, commit = run.tags.get("env.lock_sha256", ""), run.tags.get("git.commit", "")
    told = subprocess.run(["git", "show", f"{commit}:{LOCK}"], capture_output=True, check=False)
    held = hashlib.sha256(told.stdout).hexdigest()
    same = not told.returncode and held == wanted
    wrong = "" if same else "the commit holds another one, or none"
    return Link("lock", f"{LOCK} {wanted[:12]}", wrong)


def deployed(request: Any) -> Link:
    """The image that was in production when it was asked, as the deployments were written down."""
    if not DEPLOYMENTS.exists():
        return Link("image", "none: the service ran from this folder")
    asked = request.time  # SQLite keeps no zone: it is UTC
    when = asked if asked.tzinfo else asked.replace(tzinfo=UTC)
    lines = map(json.loads, DEPLOYMENTS.read_text(encoding="utf-8").splitlines())
    done = [it for it in lines if (it["environment"], it["result"]) == ("production", "deployed")]
    before = [it for it in done if datetime.fromisoformat(it["time"]) <= when]
    if not before:
        return Link("image", "none: nothing was in production before it")
    last = before[-1]
    return Link("image", f"{last['image']}, in production since {last['time']}, by {last['who']}")


def main(
    prediction: Annotated[str, typer.Argument(help="the X-Request-ID of a logged prediction")],
) -> None:
    """Show the chain.  ProjectError that names each broken link."""
    found = list(trace(load(), prediction))
    for link in found:
        print(f"{link.name:10}  {link.found}" + (f"  BROKEN: {link.broken}" if link.broken else ""))
    if broken := [f"{link.name}: {link.broken}" for link in found if link.broken]:
        raise ProjectError("the chain is broken\n  " + "\n  ".join(broken))
    print("Every link holds.  Why it was answered so: make explain ID=…")
