"""What a deep run has shown, kept in `.maturity/` until the repository changes or it is too old.

It holds for one commit, one champion, one state of the data, and only in the repository where it
was found.  It never raises a level: it spares the reader another deep run.
"""

import json
from datetime import datetime, timedelta, UTC
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.grading import Assessment
from mlops_ladder.maturity.repository import read_text, Repository

FILE = ".maturity/evidence.json"
VALID = timedelta(days=30)


def bond(repository: Repository) -> dict[str, Any]:
    """What evidence is bound to.  Unknown where the tree is not what a commit says."""
    if repository.git("status", "--porcelain").strip():
        raise Unknown("files are not committed: what was found holds for no commit")
    try:
        run = repository.runs[0]
        models = repository.records["registry"].values()
        made = {
            "data": run["tags"].get("data.sha256"),
            "champion": [it["aliases"] for it in models],
        }
    except Unknown:
        made = {"data": None, "champion": []}
    first = repository.git("rev-list", "--max-parents=0", "HEAD").split()
    return {"repository": first, "commit": repository.git("rev-parse", "HEAD").strip()} | made


def keep(repository: Repository, found: Assessment) -> None:
    """Write down which capabilities were exercised, where that holds for a commit."""
    try:
        bound = bond(repository)
    except Unknown as reason:
        found.notes.append(f"not kept: {reason}")
        return
    path, now = repository.root / FILE, datetime.now(UTC)
    exercised = [it.id for it in found.capabilities if it.grade == "exercised"]
    known = read(repository)
    if known and known.get("bond") == bound:
        tried = {it.id for it in found.capabilities if it.tried}
        exercised += [name for name in known["exercised"] if name not in tried]
    path.parent.mkdir(exist_ok=True)
    (path.parent / ".gitignore").write_text("*\n", encoding="utf-8")
    kept = {"time": now.isoformat(), "bond": bound, "exercised": sorted(set(exercised))}
    path.write_text(json.dumps(kept, indent=2), encoding="utf-8")


def read(repository: Repository) -> dict[str, Any] | None:
    """The evidence that lies here, or None."""
    try:
        kept: dict[str, Any] = json.loads(read_text(repository.root / FILE))
        kept["time"], kept["exercised"] = datetime.fromisoformat(kept["time"]), list(
            kept["exercised"]
        )
    except (Unknown, ValueError, KeyError, TypeError, RecursionError):
        return None
    return kept


def recall(repository: Repository, found: Assessment) -> None:
    """Grade as exercised what an earlier deep run has shown of exactly this."""
    kept = read(repository)
    if kept is None:
        return
    try:
        same = kept.get("bond") == bond(repository)
    except Unknown:
        same = False
    age = datetime.now(UTC) - kept["time"]
    if not same or not timedelta() <= age <= VALID:
        found.notes.append(
            f"{FILE}: is of another state, or older than {VALID.days} days: not used"
        )
        return
    for it in found.capabilities:
        if it.grade == "present" and it.id in kept["exercised"]:
            it.grade = "exercised"
