"""Data: origin, contract, versions, splits, privacy, labels, and agreements with other owners."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime, UTC
from pathlib import Path
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.repo import list_change_times
from mlops_ladder.maturity.repository import (
    format_hint,
    hash_files,
    is_own_data,
    read_text,
    Repository,
)

ROLES = {"feature", "target", "id", "time", "group", "personal", "ignored"}
RULES = "governance/privacy.toml"
SOURCES, GUIDE = "data/sources.toml", "docs/labelling.md"
ACCEPTED = "governance/contracts/accepted.json"
TABLE = "data/labelling/labels.csv"
SHA256 = re.compile("[0-9a-f]{64}")

Facts = dict[str, Any]


def list_own_runs(repository: Repository, holds: Callable[[Facts], bool]) -> list[datetime]:
    """Return the times of the runs on own data that fulfil this condition."""
    runs = [run for run in repository.runs if is_own_data(run) and holds(run)]
    return [datetime.fromtimestamp(run["started"], UTC) for run in runs]


def has_metric(run: Facts, name: str) -> bool:
    """Return whether a run has a metric whose name contains its deciding `metric`."""
    return name.format(metric=run["params"].get("metric")) in run["metrics"]


def read_artifact(run: Facts, name: str) -> str:
    """Return the text of a file that a run logged.  Raise Unknown if it is on no disk here."""
    folder = Path(run["artifacts"].removeprefix("file://"))
    paths = sorted(folder.glob(name)) if folder.is_dir() else []
    if not paths:
        raise Unknown(f"run {run['id'][:8]}: {name} is not on this machine")
    return read_text(paths[0])


def read_columns(repository: Repository) -> dict[str, Facts]:
    """Return the columns of contract.toml, by name."""
    columns = repository.table("contract.toml", "columns")
    return {name: column for name, column in columns.items() if isinstance(column, dict)}


def list_columns(repository: Repository, *roles: str) -> list[str]:
    """Return the names of the columns of these roles."""
    columns = read_columns(repository)
    return [name for name, column in columns.items() if column.get("role") in roles]


def is_filled(value: object) -> bool:
    """Return whether a setting says something; "unknown" does not."""
    return str("" if value is None else value).strip() not in ("", "unknown")


def read_declared_sources(repository: Repository) -> dict[str, Facts]:
    """Return the sources of the data, by name."""
    sources = repository.table(SOURCES)
    return {name: source for name, source in sources.items() if isinstance(source, dict)}


def find_source_faults(repository: Repository) -> Iterator[str]:
    """Yield each source that does not say where it comes from, or what its files hold."""
    if SOURCES not in repository.files:
        return
    sources = read_declared_sources(repository)
    if not sources:
        yield f"{SOURCES}: names no source"
    for name, source in sources.items():
        words = ("origin", "licence", "owner", "files")
        if lacking := [word for word in words if source.get(word) in (None, "", {}, "unknown")]:
            yield f"{SOURCES}: [{name}] does not say {', '.join(lacking)}"
        for file, facts in (source.get("files") or {}).items():
            if not SHA256.fullmatch(str(facts.get("sha256", ""))) or "rows" not in facts:
                yield f"{SOURCES}: {file} has no sha256, or no rows"


def find_changed_files(repository: Repository) -> Iterator[str]:
    """Yield each data file whose sha256 differs from the declared one."""
    for source in read_declared_sources(repository).values():
        for file, facts in (source.get("files") or {}).items():
            path = repository.root / file
            if path.is_file() and hash_files(path) != facts.get("sha256"):
                yield f"{file}: its sha256 is not the one in {SOURCES}; run: make data"


def find_contract_faults(repository: Repository) -> Iterator[str]:
    """Yield a contract without a target, and each column without a valid role."""
    if not list_columns(repository, "target"):
        yield "contract.toml: no column is the target"
    for name, column in read_columns(repository).items():
        if column.get("role") not in ROLES:
            yield f"contract.toml: {name}: role {column.get('role')!r} is none of {sorted(ROLES)}"


def find_uncovered_inputs(repository: Repository) -> Iterator[str]:
    """Yield each input of the newest model that the contract lacks."""
    inputs = repository.records["newest"].get("inputs", []) if repository.runs else []
    for name in sorted(set(inputs) - set(read_columns(repository))):
        yield f"contract.toml: lacks {name}, an input of the newest model"


def find_unnamed_versions(repository: Repository) -> Iterator[str]:
    """Yield each file of DVC without a hash."""
    for name in repository.files:
        if name.endswith(".dvc") and not re.search("md5: [0-9a-f]{32}", repository.text(name)):
            yield f"{name}: names no version{format_hint(repository, 'make data-version')}"


def list_data_versions(repository: Repository) -> list[datetime]:
    """Return the times of the commits that give data a version."""
    path = repository.table("config.toml", "data").get("path", "")
    own = [path] if path and not path.startswith("/") else []
    return list_change_times(repository, "*.dvc", *own)


def find_shared_rows(repository: Repository) -> Iterator[str]:
    """Yield a split without held-out rows, or with rows both held out and learned from."""
    runs = [run for run in repository.runs if "prefect.flow_run_id" in run["tags"]]
    if not runs:
        raise Unknown("no run of the pipeline is recorded here: make pipeline")
    parts: dict[str, set[str]] = {}
    for line in read_artifact(runs[0], "split/*.csv").splitlines()[1:]:
        row, part = line.rsplit(",", 1)
        parts.setdefault(part, set()).add(row)
    holdout = parts.get("holdout") or parts.get("test") or set()
    others = set().union(*(rows for rows in parts.values() if rows is not holdout))
    if not holdout or not others:
        yield f"run {runs[0]['id'][:8]}: its split has no rows held out, or none to learn from"
    if both := holdout & others:
        yield f"run {runs[0]['id'][:8]}: {len(both)} rows are both held out and learned from"


def find_personal_inputs(repository: Repository) -> Iterator[str]:
    """Yield each column that reaches the model against the rules of privacy."""
    rules, columns = repository.table(RULES), read_columns(repository)
    banned = {strip_marks(name) for name in rules.get("banned", {}).get("names") or []}
    for name in list_columns(repository, "feature", "time", "id"):
        if rules.get("classes", {}).get(name) == "personal":
            yield f"contract.toml: {name} is personal by {RULES}, and reaches the model"
        elif strip_marks(name) in banned and name not in rules.get("allowed", {}):
            if columns[name].get("kind") not in ("boolean", "number"):
                yield f"contract.toml: {name} is banned by {RULES}, and reaches the model"


def strip_marks(name: str) -> str:
    """Return a name without case and marks."""
    return re.sub(r"[\W_]+", "", name).casefold()


def find_remembered_people(repository: Repository) -> Iterator[str]:
    """Yield each record that names a person, and each file that was restored unchanged."""
    for number, line in enumerate(repository.text("forgotten.jsonl").splitlines(), 1):
        try:
            entry: Facts = json.loads(line)
            marks, files = list(entry["ids"].values()), dict(entry["files"])
        except (ValueError, KeyError, AttributeError):
            yield f"forgotten.jsonl: line {number} cannot be read"
            continue
        if not all(SHA256.fullmatch(str(mark)) for mark in marks):
            yield f"forgotten.jsonl: line {number} names a person"
        for name, facts in files.items():
            path = repository.root / name
            if path.is_file() and hash_files(path) == facts.get("before"):
                yield f"{name}: is back as it was before an erasure; run: make privacy"


def find_unlabelled_sources(repository: Repository) -> Iterator[str]:
    """Yield each source that does not say who labelled it and when, and has no table of labels."""
    for name in read_declared_sources(repository):
        labels = repository.table(SOURCES, name, "labels")
        lacking = [word for word in ("annotator", "time") if not is_filled(labels.get(word))]
        if lacking and labels.get("table") != TABLE:
            yield f"{SOURCES}: [{name}] does not say its labels' {', '.join(lacking)}"


def read_agreements(repository: Repository) -> dict[str, Facts]:
    """Return the agreements with owners of data, by file."""
    return {name: repository.table(name) for name in repository.glob("governance/contracts/*.toml")}


def find_agreement_faults(repository: Repository) -> Iterator[str]:
    """Yield sources without an agreement, and agreements that are incomplete or not accepted."""
    agreements, accepted = read_agreements(repository), repository.table(ACCEPTED)
    covered = {str(agreement.get("source")) for agreement in agreements.values()}
    for name, source in read_declared_sources(repository).items():
        if source.get("upstream", True) and name not in covered:
            problem = f"no agreement about [{name}], and no upstream = false in {SOURCES}"
            yield f"governance/contracts: {problem}"
    for file, agreement in agreements.items():
        yield from (f"{file}: {problem}" for problem in find_unsaid_terms(agreement))
        terms = accepted.get(str(agreement.get("source")), {})
        version = agreement.get("version")
        if isinstance(terms, dict) and terms.get("terms", {}).get("version") != version:
            yield f"{file}: nobody has accepted version {version}: make contracts"


def find_unsaid_terms(agreement: Facts) -> Iterator[str]:
    """Yield the terms that an agreement lacks."""
    for word in ("source", "owner", "contact", "version"):
        if not is_filled(agreement.get(word)):
            yield f"says no {word}"
    fresh = agreement.get("freshness")
    terms = fresh if isinstance(fresh, dict) else {}
    age = terms.get("max_age_days")
    if not isinstance(age, int | float) or age <= 0:
        yield "says no [freshness] max_age_days"
    elif not isinstance(terms.get("until", date.min), date):
        yield "[freshness] until is no date"
    if not isinstance(agreement.get("notice_days"), int):
        yield "says no notice_days"
