"""Who answers for what: owners, decisions, risks."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from mlops_ladder.maturity import sign, use
from mlops_ladder.maturity.monitoring import alerts, without
from mlops_ladder.maturity.repo import changes
from mlops_ladder.maturity.repository import Repository

CLASSES = ("minimal", "limited", "high", "unacceptable")
OWNER = re.compile(r"@[\w./-]+|[^@\s]+@[^@\s]+\.\w+")
Facts = dict[str, Any]


@sign("gov.ownership", "every file has an owner, and decisions are recorded")
def owned(repository: Repository) -> Iterator[str]:
    """A rule for all, or one for each folder at the top; at home decision records and guides."""
    files = repository.glob("CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS")
    lines = [line.split() for name in files for line in repository.text(name).splitlines()]
    known = {words[0] for words in lines if len(words) > 1 and OWNER.fullmatch(words[1])}
    if "*" not in known:
        tops = {f"/{name.split('/')[0]}" for name in repository.files}
        if lacking := sorted(tops - {it.rstrip("/") for it in known}):
            yield f"CODEOWNERS: nobody owns {', '.join(lacking[:5])}"
    if repository.ours:
        for name in ("CONTRIBUTING.md", "docs/modelling.md"):
            if "\n## " not in repository.text(name) and "\n1. " not in repository.text(name):
                yield f"{name}: says nothing on how the project is changed"
        decisions = [repository.text(name) for name in repository.glob("docs/adr/*.md")]
        if not any("**Decision.**" in text for text in decisions):
            yield "docs/adr: no decision is recorded"


@sign("gov.risk", "each high risk names a test, a gate or an alert that is there")
def risks(repository: Repository) -> Iterator[str]:
    """The register has a class with its reason, misuse and risks, each with controls."""
    register = repository.parsed("governance/risk.toml") or {}
    if register.get("class") not in CLASSES or not register.get("reason"):
        yield "governance/risk.toml: no class of the risk, or no reason for it"
    if not register.get("misuse") or not register.get("risk"):
        yield "governance/risk.toml: names no misuse, or no risk"
    for risk in register.get("risk", []):
        controls = risk.get("controls", [])
        if risk.get("level") == "high" and not controls:
            yield f"governance/risk.toml: {risk.get('what')}: high, and nothing stands against it"
        for control in map(str, controls):
            if not there(repository, *split(control)):
                yield f"governance/risk.toml: {risk.get('what')}: there is no {control}"


def split(control: str) -> tuple[str, str]:
    """The kind and the name of a control, as in `alert: Name`."""
    kind, _, name = control.partition(":")
    return kind.strip(), name.strip()


def there(repository: Repository, kind: str, name: str) -> bool:
    """Is the control in the repository?"""
    if kind == "test":
        path, _, function = name.partition("::")
        return f"def {function}(" in repository.text(path)
    if kind == "alert":
        return name in {rule["alert"] for rule in alerts(repository)}
    section, _, key = name.partition(".")
    if section == "questions":
        told = repository.parsed(f"config/{key}.toml")
        here = (
            repository.glob(f"src/*/checks/{key}.py")
            or f"registry/checks/{key}.py" in repository.library
        )
        return bool(here and told)
    settings: Facts = repository.parsed(f"config/{section}.toml") or {}
    return kind == "gate" and key in settings.get(section, {})


@sign("gov.lineage", "a logged prediction can be followed back to run, commit, data and lock")
def lineage(repository: Repository) -> Iterator[str]:
    """It asks the log, the registry, MLflow and git."""
    yield from without(
        repository, "governance/lineage.py", "Archive", "decided", "get_run", "git", "checksum"
    )


@use("gov.ownership")
def records(repository: Repository) -> list[datetime]:
    """Commits that record a decision or change who owns what."""
    return changes(repository, "CODEOWNERS", "docs/adr")


@use("gov.risk")
def registers(repository: Repository) -> list[datetime]:
    """Commits that change the register."""
    return changes(repository, "governance/risk.toml")
