"""Data: origin, contract, versions, splits, privacy, labels, and promises of other owners."""

import json
import re
from collections.abc import Iterator
from datetime import date, datetime, UTC
from pathlib import Path
from typing import Any

from mlops_ladder.maturity import record, sign, Unknown, use
from mlops_ladder.maturity.code import without_library
from mlops_ladder.maturity.grading import own_data
from mlops_ladder.maturity.monitoring import without
from mlops_ladder.maturity.repo import changes
from mlops_ladder.maturity.repository import digest, hint, read_text, Repository

ROLES = {"feature", "target", "id", "time", "group", "personal", "ignored"}
RULES = "governance/privacy.toml"
SAID = ("origin", "licence", "owner", "files")

Facts = dict[str, Any]
SOURCES, GUIDE = "data/sources.toml", "docs/labelling.md"
ACCEPTED = "governance/contracts/accepted.json"
HEADINGS = ("What each label means", "When in doubt", "Who decides")
TABLE = "data/labelling/labels.csv"


def own_runs(repository: Repository, holds: Any) -> list[datetime]:
    """When runs on own data took place of which this holds."""
    runs = [run for run in repository.runs if own_data(run) and holds(run)]
    return [datetime.fromtimestamp(run["started"], UTC) for run in runs]


def artifact(run: Facts, name: str) -> str:
    """The text of a file that a run logged on this machine.  Unknown where it lies elsewhere."""
    place = Path(run["artifacts"].removeprefix("file://"))
    found = sorted(place.glob(name)) if place.is_dir() else []
    if not found:
        raise Unknown(f"run {run['id'][:8]}: {name} is not on this machine")
    return read_text(found[0])


def columns(repository: Repository) -> dict[str, Facts]:
    """The columns of contract.toml, by name."""
    known = repository.parsed("contract.toml") or {}
    return {name: it for name, it in known.get("columns", {}).items() if isinstance(it, dict)}


def by_role(repository: Repository, *roles: str) -> list[str]:
    """The names of the columns of these roles."""
    return [name for name, it in columns(repository).items() if it.get("role") in roles]


@sign("data.source", "origin, licence, owner and sha256 of every data file")
def sourced(repository: Repository) -> Iterator[str]:
    """Every source says where it comes from, and what its files hold."""
    name = "data/sources.toml"
    if name not in repository.files:
        return
    known = repository.parsed(name) or {}
    entries = {key: it for key, it in known.items() if isinstance(it, dict)}
    if not entries:
        yield f"{name}: names no source"
    for key, entry in entries.items():
        lacking = [word for word in SAID if entry.get(word) in (None, "", {}, "unknown")]
        if lacking:
            yield f"{name}: [{key}] does not say {', '.join(lacking)}"
        for file, facts in (entry.get("files") or {}).items():
            if (
                not re.fullmatch("[0-9a-f]{64}", str(facts.get("sha256", "")))
                or "rows" not in facts
            ):
                yield f"{name}: {file} has no sha256, or no rows"


@record("data.source", "each data file that is here has the sha256 that is declared")
def unchanged(repository: Repository) -> Iterator[str]:
    """Compute every sha256 again."""
    for entry in (repository.parsed("data/sources.toml") or {}).values():
        for file, known in (entry.get("files") or {}).items() if isinstance(entry, dict) else ():
            path = repository.root / file
            if path.is_file() and digest(path) != known.get("sha256"):
                yield f"{file}: its sha256 is not the one in data/sources.toml; run: make data"


@use("data.source")
def declared(repository: Repository) -> list[datetime]:
    """Commits that declare data."""
    return changes(repository, "data/sources.toml")


@sign("repo.entrypoint", "one contract that says kind and role of every column")
def contracted(repository: Repository) -> Iterator[str]:
    """The contract is there, and has a target."""
    if not repository.ours:
        return
    if not by_role(repository, "target"):
        yield "contract.toml: no column is the target"
    for name, column in columns(repository).items():
        if column.get("role") not in ROLES:
            yield f"contract.toml: {name}: role {column.get('role')!r} is none of {sorted(ROLES)}"


@sign("data.schema", "something holds rows against a schema")
def validated(repository: Repository) -> Iterator[str]:
    """A library of validation is imported by what should use it."""
    yield from without_library(repository, "data.schema")


@record("data.schema", "the contract covers every input of the model")
def covers(repository: Repository) -> Iterator[str]:
    """Compare the model's signature with the contract."""
    inputs = repository.records["newest"].get("inputs", []) if repository.runs else []
    for name in sorted(set(inputs) - set(columns(repository))):
        yield f"contract.toml: lacks {name}, which the newest model asks for"


@use("data.schema")
@use("data.split")
@use("feature.shared")
@use("pipeline.flow")
def piped(repository: Repository) -> list[datetime]:
    """Runs of the pipeline, which checks, splits and exports, each time."""
    return own_runs(repository, lambda run: "prefect.flow_run_id" in run["tags"])


@sign("data.version", "a remote for data, and only versions that can be named")
def versioned(repository: Repository) -> Iterator[str]:
    """DVC is set up, and each of its files names a hash."""
    config = repository.text(".dvc/config")
    if repository.ours and not re.search(r"^\s*url\s*=\s*\S", config, re.MULTILINE):
        yield ".dvc/config: names no remote"
    for name in repository.files:
        if name.endswith(".dvc") and not re.search("md5: [0-9a-f]{32}", repository.text(name)):
            yield f"{name}: names no version{hint(repository, 'make snapshot')}"


@use("data.version")
def snapshots(repository: Repository) -> list[datetime]:
    """Commits that give data a version."""
    path = (repository.parsed("config.toml") or {}).get("data", {}).get("path", "")
    return changes(repository, "*.dvc", *([path] if path and not path.startswith("/") else []))


@record("data.split", "the rows held out are none that training has seen")
def disjoint(repository: Repository) -> Iterator[str]:
    """Read the ids that the newest run of the pipeline has saved."""
    runs = [run for run in repository.runs if "prefect.flow_run_id" in run["tags"]]
    if not runs:
        raise Unknown("no run of the pipeline is recorded here: make pipeline")
    lines = artifact(runs[0], "split/*.csv").splitlines()
    rows = [line.rsplit(",", 1) for line in lines[1:]]
    parts: dict[str, set[str]] = {}
    for row, part in rows:
        parts.setdefault(part, set()).add(row)
    held = parts.get("holdout") or parts.get("test") or set()
    others = set().union(*(rows for part, rows in parts.items() if rows is not held))
    if not held or not others:
        yield f"run {runs[0]['id'][:8]}: its split has no rows held out, or none to learn from"
    if both := held & others:
        yield f"run {runs[0]['id'][:8]}: {len(both)} rows are both held out and learned from"


@sign(
    "data.privacy", "personal columns are banned by name, reach nothing, and requests are not kept"
)
def private(repository: Repository) -> Iterator[str]:
    """The rules are there, and no column that is an input or an id is against them."""
    if not repository.ours:
        raise Unknown("what others call personal is not known")
    rules = repository.parsed(RULES) or {}
    banned = {key: rules.get("banned", {}).get(key) or [] for key in ("names", "words")}
    yield from (f"{RULES}: [banned] {key} is empty" for key, it in banned.items() if not it)
    if not rules.get("retention", {}).get("log_days"):
        yield f"{RULES}: [retention] does not say how long requests are kept"
    known = {bare(rule) for rule in banned["names"]}
    for name in by_role(repository, "feature", "time", "id"):
        if rules.get("classes", {}).get(name) == "personal":
            yield f"contract.toml: {name} is personal by {RULES}, and reaches the model"
        elif bare(name) in known and name not in rules.get("allowed", {}):
            if columns(repository)[name].get("kind") not in ("boolean", "number"):
                yield f"contract.toml: {name} is banned by {RULES}, and reaches the model"
    yield from without(repository, "privacy/erasure.py", "without", "changes", "carry_out")
    yield from without(repository, "privacy/erasure_log.py", "mark", "back", "breaches")


def bare(name: str) -> str:
    """A name without case and marks."""
    return re.sub(r"[\W_]+", "", name).casefold()


@record("data.privacy", "who was forgotten is named by no record, and no old file is back")
def remembered(repository: Repository) -> Iterator[str]:
    """Read forgotten.jsonl, and compute the sha256 of the files that it names."""
    for number, line in enumerate(repository.text("forgotten.jsonl").splitlines(), 1):
        try:
            entry: Facts = json.loads(line)
            marks, files = list(entry["ids"].values()), dict(entry["files"])
        except (ValueError, KeyError, AttributeError):
            yield f"forgotten.jsonl: line {number} cannot be read"
            continue
        if not all(re.fullmatch("[0-9a-f]{64}", str(it)) for it in marks):
            yield f"forgotten.jsonl: line {number} names somebody"
        for name, known in files.items():
            path = repository.root / name
            if path.is_file() and digest(path) == known.get("before"):
                yield f"{name}: as it was before somebody was forgotten; run: make privacy"


@use("data.privacy")
def rules_kept(repository: Repository) -> list[datetime]:
    """Commits that change the rules, or record that somebody was forgotten."""
    return changes(repository, RULES, "forgotten.jsonl")


def sources(repository: Repository) -> dict[str, Facts]:
    """The sources of the data, by name."""
    known = repository.parsed(SOURCES)
    entries = known.items() if isinstance(known, dict) else ()
    return {name: it for name, it in entries if isinstance(it, dict)}


@sign("data.labels", "a guide, and each label to learn from has source, annotator and time")
def labelled(repository: Repository) -> Iterator[str]:
    """The guide says what decides; a source says who labelled it, or the table of labels does."""
    for heading in HEADINGS:
        if not re.search(rf"^#+ {heading}$", repository.text(GUIDE), re.MULTILINE):
            yield f"{GUIDE}: does not say {heading[0].lower()}{heading[1:]}"
    for name, entry in sources(repository).items():
        known = entry.get("labels")
        said = known if isinstance(known, dict) else {}
        lacking = [
            word
            for word in ("annotator", "time")
            if str(said.get(word, "")).strip() in ("", "unknown")
        ]
        if lacking and said.get("table") != TABLE:
            yield f"{SOURCES}: [{name}] does not say its labels' {', '.join(lacking)}"
    yield from without(repository, "labelling/agreement.py", "cohen_kappa_score", "judge")
    yield from without(repository, "labelling/merging.py", "conform", "originals")


def contracts(repository: Repository) -> dict[str, Facts]:
    """The contracts with owners of data, by file."""
    found = {
        name: repository.parsed(name) for name in repository.glob("governance/contracts/*.toml")
    }
    return {name: it if isinstance(it, dict) else {} for name, it in found.items()}


@sign("data.contract", "each source of others has an owner, a version, an age and a notice")
def promised(repository: Repository) -> Iterator[str]:
    """A contract for each, of which somebody has accepted the version."""
    known, accepted = contracts(repository), repository.parsed(ACCEPTED)
    covered = {str(it.get("source")) for it in known.values()}
    for name, entry in sources(repository).items():
        if entry.get("upstream", True) and name not in covered:
            yield f"governance/contracts: none about [{name}], nor upstream = false in {SOURCES}"
    for file, it in known.items():
        yield from (f"{file}: {wrong}" for wrong in unsaid(it))
        terms = (accepted if isinstance(accepted, dict) else {}).get(it.get("source"), {})
        if isinstance(terms, dict) and terms.get("terms", {}).get("version") != it.get("version"):
            yield f"{file}: nobody has accepted version {it.get('version')}: make contracts"
    yield from without(repository, "governance/data_agreements.py", "tell", "aged", "unaccepted")


def unsaid(contract: Facts) -> Iterator[str]:
    """What a contract does not say."""
    for word in ("source", "owner", "contact", "version"):
        if str(contract.get(word, "")).strip() in ("", "unknown"):
            yield f"says no {word}"
    fresh = contract.get("freshness")
    age = fresh.get("max_age_days") if isinstance(fresh, dict) else None
    if not isinstance(age, int | float) or age <= 0:
        yield "says no [freshness] max_age_days"
    elif not isinstance(fresh, dict) or not isinstance(fresh.get("until", date.min), date):
        yield "[freshness] until is no date"
    if not isinstance(contract.get("notice_days"), int):
        yield "says no notice_days"
