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
    """A capability for this repository: what it lacks, or nothing, and whether it is there."""

    id: str
    level: int
    title: str
    missing: str = ""
    here: str = ""


def list_offers(facts: Facts, forge: str) -> dict[str, Offer]:
    """Every capability that the template has, in the order of its levels."""
    loaded: Any = yaml.safe_load(MANIFEST.read_text(encoding="utf-8"))
    known = {k: it for k, it in loaded["capabilities"].items() if not it.get("planned")}
    return {name: make_offer(facts, forge, name, entry) for name, entry in known.items()}


def make_offer(facts: Facts, forge: str, name: str, entry: dict[str, Any]) -> Offer:
    """One capability for this repository."""
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
    """The file of theirs that shows a capability as it is usual elsewhere; empty without one."""
    for name in facts.files:
        for place in entry.get("elsewhere", []):
            if fnmatch(name, place) or name.startswith(f"{place}/"):
                return name
    wanted = "|".join(map(re.escape, entry.get("imports", []))) or "-"
    used = re.compile(rf"^\s*(?:import|from)\s+(?:{wanted})\b", re.MULTILINE)
    return next((it for it in facts.modules if used.search(facts.text(it))), "")


def need_nothing(_: Facts, __: str) -> str:
    """What every repository has."""
    return ""


def need_forge(_: Facts, forge: str) -> str:
    """What reviews need: a place that holds them."""
    return "" if forge else "needs a remote on GitHub or GitLab; or say CI=github, CI=gitlab"


def need_tests(facts: Facts, forge: str) -> str:
    """What CI needs: a forge, tests to run, and a way to install what they import."""
    if missing := need_forge(facts, forge):
        return missing
    if not facts.test_files:
        return "needs a test that pytest finds (test_*.py with a function test_…): there is none"
    if find_install_command(facts)[0]:
        return ""
    conda = [name for name in facts.files if name in ("environment.yml", "environment.yaml")]
    found = f"{conda[0]} is conda's" if conda else "there is none"
    return f"needs pyproject.toml, setup.py, requirements.txt, Pipfile or a lock: {found}"


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


def choose_capabilities(found: dict[str, Offer], asked: str, level: int | None) -> list[str]:
    """The capabilities that are asked for, in order.  Refused where one cannot be had here."""
    if level is not None:
        return [it.id for it in found.values() if it.level <= level and not it.missing]
    wanted = asked.replace(",", " ").split()
    if unknown := [name for name in wanted if name not in found]:
        raise Refused(f"{unknown[0]}: no such capability; there are: {', '.join(found)}")
    lacking = [found[name] for name in wanted if found[name].missing]
    if lacking:
        rest = " ".join(name for name in wanted if not found[name].missing)
        way = f'; without: CAPABILITIES="{rest}"' if rest else ""
        raise Refused("; ".join(f"{it.id}: {it.missing}" for it in lacking) + way)
    return [name for name in found if name in wanted]
