"""Which capabilities a repository that we did not make can have, and what the others lack there."""

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from mlops_ladder.adopt.facts import Facts
from mlops_ladder.adopt.git import Refused
from mlops_ladder.adopt.install import find_install_command
from mlops_ladder.adopt.tables import TABLES

MANIFEST = Path(__file__).resolve().parents[1] / "maturity" / "capabilities.yml"


@dataclass(frozen=True)
class Offer:
    """A capability for this repository: what it still needs, and the file that shows it."""

    id: str
    level: int
    title: str
    missing: str = ""
    here: str = ""


def list_offers(facts: Facts, forge: str) -> dict[str, Offer]:
    """Return every capability of the template by id, in the order of the levels."""
    loaded: Any = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    entries = {k: v for k, v in loaded["capabilities"].items() if not v.get("planned")}
    return {name: make_offer(facts, forge, name, entry) for name, entry in entries.items()}


def make_offer(facts: Facts, forge: str, name: str, entry: dict[str, Any]) -> Offer:
    """Return one capability for this repository."""
    here = find_evidence(entry, facts)
    if name in ADOPTED:
        check, words = ADOPTED[name]
        return Offer(name, entry["level"], words, check(facts, forge), here)
    missing = ALONE.get(name, "comes with a generated project only")
    if entry.get("library"):
        missing = (
            "needs a generated project and its library, mlops-ladder: cookiecutter, then climb"
        )
    if "package" in facts.tools.get("mlops-ladder", {}):
        missing = "its library is here: bring back .cruft.json (git log -- .cruft.json), then climb"
    return Offer(name, entry["level"], entry["title"], missing, here)


def find_evidence(entry: dict[str, Any], facts: Facts) -> str:
    """Return their file that shows a capability, in its usual place; empty without one."""
    for name in facts.files:
        for place in entry.get("elsewhere", []):
            if fnmatch(name, place) or name.startswith(f"{place}/"):
                return name
    modules = "|".join(map(re.escape, entry.get("imports", []))) or "-"
    used = re.compile(rf"^\s*(?:import|from)\s+(?:{modules})\b", re.MULTILINE)
    return next((module for module in facts.modules if used.search(facts.text(module))), "")


def need_nothing(_: Facts, __: str) -> str:
    """Return an empty string: every repository has what is needed."""
    return ""


def need_forge(_: Facts, forge: str) -> str:
    """Return what reviews lack here: a forge; empty if there is one."""
    return "" if forge else "needs a remote on GitHub or GitLab; or say CI=github, CI=gitlab"


def need_tests(facts: Facts, forge: str) -> str:
    """Return what CI lacks here: a forge, tests, or a way to install them; empty if nothing."""
    if missing := need_forge(facts, forge):
        return missing
    if not facts.test_files:
        return "needs a test that pytest finds (test_*.py with a function test_…): there is none"
    if find_install_command(facts)[0]:
        return ""
    conda = [name for name in facts.files if name in ("environment.yml", "environment.yaml")]
    hint = f"{conda[0]} is conda's" if conda else "there is none"
    return f"needs pyproject.toml, setup.py, requirements.txt, Pipfile or a lock: {hint}"


# What can be adopted: what it needs, and what it brings here.
ADOPTED = {
    "repo.hygiene": (need_nothing, "entries in .gitignore: secrets, caches, environments, runs"),
    "repo.vcs": (
        need_nothing,
        "pre-commit hooks: formatter, pylint with a baseline, eight small checks",
    ),
    "ci.tests": (need_tests, "CI: your tests, and the hooks where they are adopted"),
    "ci.review": (need_forge, "a form for changes, branch rules as code, dependency updates"),
}
ALONE = TABLES["not_adopted"]


def choose_capabilities(offers: dict[str, Offer], text: str, level: int | None) -> list[str]:
    """Return the requested capabilities, in order.  Raise Refused if one is not available here."""
    if level is not None:
        return [offer.id for offer in offers.values() if offer.level <= level and not offer.missing]
    names = text.replace(",", " ").split()
    if unknown := [name for name in names if name not in offers]:
        raise Refused(f"{unknown[0]}: no such capability; there are: {', '.join(offers)}")
    lacking = [offers[name] for name in names if offers[name].missing]
    if lacking:
        rest = " ".join(name for name in names if not offers[name].missing)
        way = f'; without: CAPABILITIES="{rest}"' if rest else ""
        raise Refused("; ".join(f"{offer.id}: {offer.missing}" for offer in lacking) + way)
    return [name for name in offers if name in names]
