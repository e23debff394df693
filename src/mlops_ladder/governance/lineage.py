"""Lineage: from one logged prediction back to its version, run, commit, data and lock.

A link is broken if its two ends do not agree, or its other end is missing.
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

from mlops_ladder import ProjectError, raise_for_faults, read_text_if_exists
from mlops_ladder.data import provenance
from mlops_ladder.data.provenance import LOCK, run_git
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.data.sources import compute_sha256, SOURCES
from mlops_ladder.governance.explaining import find_promoting_decision
from mlops_ladder.monitoring.archive import Archive
from mlops_ladder.registry import approval, history, versions
from mlops_ladder.settings import load_settings, Settings
from mlops_ladder.tracking import runs

DEPLOYMENTS = Path("deployments.jsonl")


@dataclass(frozen=True)
class Link:
    """One step back: its name, what is there, and what is broken."""

    name: str
    target: str
    broken: str = ""


def trace_request(settings: Settings, request_id: str) -> Iterator[Link]:
    """Yield every link of a logged request.  Raise ProjectError if there is no such request."""
    with Archive(settings.serving.prediction_log_url) as archive:
        request = archive.read_request(request_id)
    about = f"{request_id} of {request.time:%Y-%m-%d %H:%M:%S} UTC, {request.rows} rows"
    yield Link("prediction", f"{about}, model {request.model_version}")
    try:
        entry = find_promoting_decision(request.model_version)
    except ProjectError as error:
        yield Link("version", "unknown", str(error))
        return
    yield link_version(entry)
    accepting = versions.find_acceptance(entry)
    yield link_gate(accepting)
    yield link_approver(accepting)
    run = find_finished_run(entry)
    if run is None:
        yield Link("run", entry.run_id, "MLflow has no finished run of this id")
        return
    differences = compare_with_run(entry, run)
    yield Link("run", f"{run.run_id} of {run.started:%Y-%m-%d %H:%M} UTC", differences)
    yield link_commit(run)
    yield link_data(run, settings)
    yield link_lock(run)
    yield link_image(request.time)


def link_version(entry: history.Entry) -> Link:
    """Return the link to the version in the registry."""
    registered = versions.list_versions().get(str(entry.version))
    is_same = registered == versions.version_from_entry(entry)
    broken = "" if is_same else f"the registry holds {registered or 'none'}"
    return Link("version", f"v{entry.version}, model {entry.model_version}", broken)


def link_gate(entry: history.Entry) -> Link:
    """Return the link to the report of the gate."""
    is_same = entry.verdict is not None and history.hash_verdict(entry.verdict) == entry.proof
    broken = "" if is_same else "its report is not there, or was changed"
    return Link("gate", f"{entry}, report {entry.proof[:12]}", broken)


def link_approver(entry: history.Entry) -> Link:
    """Return the link to the second person who approved the report of the gate."""
    version, verdict = versions.version_from_entry(entry), entry.verdict or {}
    for vote in (vote for vote, faults in approval.judge_approvals(version, verdict) if not faults):
        return Link("approver", f"{vote.approver}, {vote.way}, {vote.time:%Y-%m-%d %H:%M} UTC")
    faults = approval.find_unapproved(version, verdict)
    return Link("approver", "none" if faults else "none is needed here", "; ".join(faults))


def find_finished_run(entry: history.Entry) -> runs.Run | None:
    """Return the finished run of the version, or None."""
    mlflow = runs.connect_mlflow()
    try:
        run = mlflow.get_run(entry.run_id)
    except mlflow.exceptions.MlflowException:
        return None
    return runs.convert_run(run) if run.info.status == "FINISHED" else None


def compare_with_run(entry: history.Entry, run: runs.Run) -> str:
    """Return the tags of the run that differ from the decision, in words."""
    tags = {"model_version": entry.model_version, "git.commit": entry.commit}
    tags |= {"data.sha256": entry.data_sha256}
    differing = [name for name, value in tags.items() if run.tags.get(name) != value]
    return f"{', '.join(differing)}: not what the gate wrote down" if differing else ""


def link_commit(run: runs.Run) -> Link:
    """Return the link to the commit, which must be in this repository."""
    commit = run.tags.get("git.commit", provenance.UNKNOWN)
    about = run_git("show", "--no-patch", "--format=%h %cs %an: %s", commit)
    if about is None:
        return Link("commit", commit, "this repository does not hold it")
    is_dirty = run.tags.get("git.dirty") == "true"
    return Link("commit", about, "files were changed and not committed" if is_dirty else "")


def link_data(run: runs.Run, settings: Settings) -> Link:
    """Return the link to the data: the files here, or a commit that declares their source."""
    digest = run.tags.get("data.sha256", provenance.UNKNOWN)
    try:
        current = compute_sha256(*list_data_files(settings.data.path))
    except ProjectError:
        current = ""
    about = f"{digest[:12]}, {run.metrics.get('rows.train', 0):,.0f} rows to learn from"
    if current == digest:
        return Link("data", f"{about}, {settings.data.path}")
    commit = run.tags.get("git.commit", provenance.UNKNOWN)
    if run_git("cat-file", "-e", f"{commit}:{SOURCES.as_posix()}") is None:
        return Link("data", about, "other data are here, and no commit says where these come from")
    return Link("data", f"{about}; not here now: git checkout {commit[:12]}, make data restore")


def link_lock(run: runs.Run) -> Link:
    """Return the link to the lock in the commit of the run."""
    digest, commit = run.tags.get("env.lock_sha256", ""), run.tags.get("git.commit", "")
    done = subprocess.run(["git", "show", f"{commit}:{LOCK}"], capture_output=True, check=False)
    is_same = not done.returncode and hashlib.sha256(done.stdout).hexdigest() == digest
    broken = "" if is_same else "the commit holds another one, or none"
    return Link("lock", f"{LOCK} {digest[:12]}", broken)


def read_deployments() -> list[dict[str, Any]]:
    """Return the deployments to production, with their times.

    Raises ProjectError that names a line that is no deployment.
    """
    deployments = []
    for number, text in enumerate(read_text_if_exists(DEPLOYMENTS).splitlines(), start=1):
        try:
            line = json.loads(text)
            if (line["environment"], line["result"]) == ("production", "deployed"):
                time = datetime.fromisoformat(line["time"])
                time = time if time.tzinfo else time.replace(tzinfo=UTC)
                deployments.append(line | {"image": line["image"], "time": time})
        except (ValueError, KeyError, TypeError) as error:
            fault = f"line {number} is no deployment: {error!r}; correct it, or take it out"
            raise ProjectError(f"{DEPLOYMENTS}: {fault}") from error
    return deployments


def link_image(time: datetime) -> Link:
    """Return the link to the image that was in production at a time, UTC if it has no zone."""
    if not DEPLOYMENTS.exists():
        return Link("image", "none: the service ran from this folder")
    time = time if time.tzinfo else time.replace(tzinfo=UTC)  # SQLite keeps no zone
    before = [line for line in read_deployments() if line["time"] <= time]
    if not before:
        return Link("image", "none: nothing was in production before it")
    image, since, author = (before[-1][key] for key in ("image", "time", "who"))
    return Link("image", f"{image}, in production since {since.isoformat()}, by {author}")


def main(
    prediction: Annotated[str, typer.Argument(help="the X-Request-ID of a logged prediction")],
) -> None:
    """Show the chain.  Raise ProjectError that names each broken link."""
    faults = []
    for link in list(trace_request(load_settings(), prediction)):
        print(f"{link.name:10}  {link.target}{'  BROKEN: ' if link.broken else ''}{link.broken}")
        faults += [f"{link.name}: {link.broken}"] if link.broken else []
    raise_for_faults("the chain is broken", faults)
    print("Every link holds.  Why it was answered so: make explain ID=…")
