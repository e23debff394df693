"""Evidence: what runs, logs and reports have recorded, kept as files that a commit can hold.

Logs and databases stay on their machine and go on changing; what a document rests on must not.  So
`make techdoc` copies it to `docs/evidence/`, where everybody can look it up, and so can CI.
"""

import json
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mlops_ladder import ProjectError, write_whole
from mlops_ladder.monitoring.archive import Archive, NoLog
from mlops_ladder.monitoring.quality import History
from mlops_ladder.plugins import get_hooks
from mlops_ladder.registry import versions
from mlops_ladder.registry.gate import plain
from mlops_ladder.registry.history import Entry, moves, promoted
from mlops_ladder.settings import Settings
from mlops_ladder.tracking import runs

FOLDER = Path("docs/evidence")
TESTS = Path("reports/tests.xml")
Facts = dict[str, Any]
YEAR = timedelta(days=365)


def run(entry: Entry | None) -> Facts | None:
    """The run of the champion, or where there is none the newest one."""
    mlflow = runs.connect()
    found = runs.as_run(mlflow.get_run(entry.run_id)) if entry else runs.newest()
    if not found:
        return None
    tags = {k: v for k, v in found.tags.items() if not k.startswith(("mlflow.", "prefect."))}
    said = {"run_id": found.run_id, "started": found.started.isoformat(), "tags": tags}
    return said | {"params": found.params, "metrics": found.metrics}


def gate(entry: Entry | None) -> Facts | None:
    """The decision by which the champion was accepted, with the report of the gate."""
    entries = promoted(versions.held().entries) if entry else []
    found = [it for it in entries if entry and it.version == entry.version]
    return versions.whole(found[-1]).model_dump(mode="json") if found else None


def decisions(_: Settings) -> Facts | None:
    """Every decision that changed which model serves."""
    entries = moves(versions.held().entries)
    found = [it.model_dump(mode="json", exclude={"verdict"}) for it in entries]
    return {"decisions": found} if found else None


def tests(_: Settings) -> Facts | None:
    """How the tests ended that ran here last."""
    if not TESTS.exists():
        return None
    suites = list(ElementTree.fromstring(TESTS.read_text(encoding="utf-8")).iter("testsuite"))
    names = ("tests", "failures", "errors", "skipped")
    counts = {name: sum(int(it.get(name, 0)) for it in suites) for name in names}
    return counts | {"time": suites[0].get("timestamp", "") if suites else ""}


def made() -> dict[str, Facts]:
    """What does not change as long as the champion stays: its run, and the gate's report."""
    entry = versions.held().champion
    found = {"run": run(entry), "gate": gate(entry)}
    return {name: facts for name, facts in found.items() if facts}


def gathered(settings: Settings) -> dict[str, Facts]:
    """All that there is, by the name of its file; what nobody has recorded is not in it.

    Also what plugins give by the hook `collect_evidence`.
    """
    later = {"decisions": decisions(settings), "tests": tests(settings)}
    for facts in get_hooks().collect_evidence(settings=settings):
        later |= facts
    return made() | {name: facts for name, facts in later.items() if facts}


def text(facts: Facts) -> str:
    """The text of a file of evidence."""
    known = json.loads(json.dumps(facts, default=str))
    return json.dumps(plain(known), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def keep(found: dict[str, Facts]) -> None:
    """Have these files of evidence in the folder, and no older ones."""
    for name, facts in found.items():
        write_whole(FOLDER / f"{name}.json", text(facts))
    for path in FOLDER.glob("*.json"):
        if path.stem not in found:
            path.unlink()


def kept(name: str) -> Facts | None:
    """What a file of evidence says; None where there is none.  ProjectError where it is none."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return None
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ProjectError(f"{path}: cannot be read: {error}; run `make techdoc`") from error


def differing() -> list[str]:
    """Where what is kept of the champion is not what MLflow and the registry say, in words."""
    wrong = []
    for name, facts in made().items():
        path = FOLDER / f"{name}.json"
        there = path.read_text(encoding="utf-8") if path.exists() else ""
        if there != text(facts):
            where = "the run of the champion" if name == "run" else "the registry"
            wrong.append(f"{path}: is not what {where} says; run `make techdoc`")
    return wrong


def drift(settings: Settings) -> Facts | None:
    """The newest report on drift; None where there is none, or nothing was served."""
    try:
        with Archive(settings.serving.prediction_log_url) as archive:
            return newest("drift", archive.verdicts(datetime.now(UTC) - YEAR))
    except NoLog:
        return None


def quality(settings: Settings) -> Facts | None:
    """The newest report on the live quality; None where there is none, or nothing was served."""
    try:
        with History(settings.serving.prediction_log_url) as archive:
            return newest("quality", archive.reports(datetime.now(UTC) - YEAR))
    except NoLog:
        return None


def newest(name: str, found: list[Facts]) -> Facts | None:
    """Those of the last time that somebody looked, under the name of their file."""
    last = [it for it in found if it["time"] == found[-1]["time"]]
    return {name: {"found": last}} if last else None
