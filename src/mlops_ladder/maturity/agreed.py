"""What people agree on: labels, and promises about the data."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from mlops_ladder.maturity import sign
from mlops_ladder.maturity.monitoring import without
from mlops_ladder.maturity.repository import Repository

SOURCES, GUIDE = "data/sources.toml", "docs/labelling.md"
ACCEPTED = "governance/contracts/accepted.json"
HEADINGS = ("What each label means", "When in doubt", "Who decides")
TABLE = "data/labelling/labels.csv"
Facts = dict[str, Any]


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
            yield f"contracts: none about [{name}] of {SOURCES}, nor upstream = false there"
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
