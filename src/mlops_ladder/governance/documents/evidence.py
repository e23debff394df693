"""Evidence: what runs, logs and reports have recorded, as files that a commit can hold.

Logs and databases stay on their machine and keep changing.  A document must rest on something that
does not, so `make techdoc` copies it to `docs/evidence/`, where people and CI can look it up.
"""

import json
from contextlib import suppress
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mlops_ladder import ProjectError, read_text_if_exists, write_file_atomically
from mlops_ladder.monitoring.archive import Archive, DRIFT, NoLog
from mlops_ladder.monitoring.quality import QUALITY
from mlops_ladder.plugins import get_hooks
from mlops_ladder.registry import versions
from mlops_ladder.registry.gate import to_json_safe
from mlops_ladder.registry.history import Entry, list_moves
from mlops_ladder.settings import Settings
from mlops_ladder.tracking import runs

FOLDER = Path("docs/evidence")
TESTS = Path("reports/tests.xml")
Facts = dict[str, Any]
YEAR = timedelta(days=365)


def collect_run(entry: Entry | None) -> Facts | None:
    """Return the run of the champion, or without a champion the newest run."""
    run = versions.find_champion_run() if entry else runs.find_newest_run()
    if not run:
        return None
    tags = {k: v for k, v in run.tags.items() if not k.startswith(("mlflow.", "prefect."))}
    facts = {"run_id": run.run_id, "started": run.started.isoformat(), "tags": tags}
    return facts | {"params": run.params, "metrics": run.metrics}


def collect_decisions() -> Facts | None:
    """Return every decision that changed which model serves."""
    entries = list_moves(versions.read_state().entries)
    decisions = [entry.model_dump(mode="json", exclude={"verdict"}) for entry in entries]
    return {"decisions": decisions} if decisions else None


def count_tests() -> Facts | None:
    """Return how the last tests of this machine ended."""
    if not TESTS.exists():
        return None
    suites = list(ElementTree.fromstring(TESTS.read_text(encoding="utf-8")).iter("testsuite"))
    names = ("tests", "failures", "errors", "skipped")
    counts = {name: sum(int(suite.get(name, 0)) for suite in suites) for name in names}
    return counts | {"time": suites[0].get("timestamp", "") if suites else ""}


def collect_champion_evidence() -> dict[str, Facts]:
    """Return what does not change while the champion stays: its run, and the gate's report."""
    entry = versions.read_state().champion
    decision = versions.find_acceptance(entry).model_dump(mode="json") if entry else None
    evidence = {"run": collect_run(entry), "gate": decision}
    return {name: facts for name, facts in evidence.items() if facts}


def collect_all_evidence(settings: Settings) -> dict[str, Facts]:
    """Return all evidence by file name, with what plugins return for `collect_evidence`."""
    evidence = {"decisions": collect_decisions(), "tests": count_tests()}
    for facts in get_hooks().collect_evidence(settings=settings):
        evidence |= facts
    recorded = {name: facts for name, facts in evidence.items() if facts}
    return collect_champion_evidence() | recorded


def to_evidence_text(facts: Facts) -> str:
    """Return the text of a file of evidence."""
    values = to_json_safe(json.loads(json.dumps(facts, default=str)))
    return json.dumps(values, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


def replace_evidence_files(evidence: dict[str, Facts]) -> None:
    """Write these files of evidence, and delete all others."""
    for name, facts in evidence.items():
        write_file_atomically(FOLDER / f"{name}.json", to_evidence_text(facts))
    for path in FOLDER.glob("*.json"):
        if path.stem not in evidence:
            path.unlink()


def read_evidence_file(name: str) -> Facts | None:
    """Return a file of evidence, None if it is missing.  Raise ProjectError if it is damaged."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return None
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ProjectError(f"{path}: cannot be read: {error}; run `make techdoc`") from error


def list_sources(name: str) -> list[str | Path]:
    """Return the sources of a file of evidence: the file, and the run that it is about."""
    run_id = (read_evidence_file(name) or {}).get("run_id")
    return [FOLDER / f"{name}.json", *([str(run_id)] if run_id else [])]


def find_stale_evidence() -> list[str]:
    """Return the evidence on the champion that differs from MLflow or the registry, in words."""
    stale = []
    for name, facts in collect_champion_evidence().items():
        path = FOLDER / f"{name}.json"
        if read_text_if_exists(path) != to_evidence_text(facts):
            where = "the run of the champion" if name == "run" else "the registry"
            stale.append(f"{path}: is not what {where} says; run `make techdoc`")
    return stale


def collect_report_evidence(settings: Settings) -> dict[str, Facts]:
    """Return the newest reports on drift and on live quality, by the name of their file.

    Without a report, or without a prediction log, there is none.
    """
    evidence: dict[str, Facts] = {}
    with suppress(NoLog), Archive(settings.serving.prediction_log_url) as archive:
        for table in (DRIFT, QUALITY):
            reports = archive.read_verdicts(datetime.now(UTC) - YEAR, table)
            newest = [report for report in reports if report["time"] == reports[-1]["time"]]
            evidence |= {table.name: {"found": newest}} if newest else {}
    return evidence
