"""The results of a deep run, kept in `.maturity/` until the repository changes or they are too old.

They hold for one commit, one champion, one state of the data, and only in the repository in which
they were found.  They never raise a level: they spare the reader another deep run.
"""

import json
from datetime import datetime, timedelta, UTC
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.grading import Assessment
from mlops_ladder.maturity.repository import read_text, Repository

FILE = ".maturity/evidence.json"
VALID = timedelta(days=30)


def describe_state(repository: Repository) -> dict[str, Any]:
    """Return the state for which evidence holds.  Raise Unknown if files are not committed."""
    if repository.git("status", "--porcelain").strip():
        raise Unknown("files are not committed: what was found holds for no commit")
    state: dict[str, Any] = {
        "repository": repository.git("rev-list", "--max-parents=0", "HEAD").split(),
        "commit": repository.git("rev-parse", "HEAD").strip(),
    }
    try:
        data = repository.runs[0]["tags"].get("data.sha256")
        models = repository.records["registry"].values()
        return state | {"data": data, "champion": [model["aliases"] for model in models]}
    except Unknown:
        return state | {"data": None, "champion": []}


def write_evidence(repository: Repository, assessment: Assessment) -> None:
    """Write the exercised capabilities if all files are committed; else add a note."""
    try:
        state = describe_state(repository)
    except Unknown as reason:
        assessment.notes.append(f"not kept: {reason}")
        return
    exercised = {one.id for one in assessment.capabilities if one.grade == "exercised"}
    record = load_evidence(repository)
    if record and record.get("bond") == state:
        tried = {one.id for one in assessment.capabilities if one.tried}
        exercised |= set(record["exercised"]) - tried
    path = repository.root / FILE
    path.parent.mkdir(exist_ok=True)
    (path.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    facts = {"time": datetime.now(UTC).isoformat(), "bond": state, "exercised": sorted(exercised)}
    path.write_text(json.dumps(facts, indent=2), encoding="utf-8")


def load_evidence(repository: Repository) -> dict[str, Any] | None:
    """Return the evidence in the repository; None without valid evidence."""
    try:
        record: dict[str, Any] = json.loads(read_text(repository.root / FILE))
        record["time"] = datetime.fromisoformat(record["time"])
        record["exercised"] = list(record["exercised"])
    except (Unknown, ValueError, KeyError, TypeError, RecursionError):
        return None
    return record


def apply_evidence(repository: Repository, assessment: Assessment) -> None:
    """Grade as exercised the capabilities that an earlier deep run exercised in this very state."""
    record = load_evidence(repository)
    if record is None:
        return
    try:
        is_same = record.get("bond") == describe_state(repository)
    except Unknown:
        is_same = False
    if not is_same or not timedelta() <= datetime.now(UTC) - record["time"] <= VALID:
        note = f"{FILE}: is of another state, or older than {VALID.days} days: not used"
        assessment.notes.append(note)
        return
    for one in assessment.capabilities:
        if one.grade == "present" and one.id in record["exercised"]:
            one.grade = "exercised"
