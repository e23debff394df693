"""Which Python a repository is tested with, and what says so."""

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from mlops_ladder.adopt.facts import Facts

PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
USUAL = "3.11"  # the oldest Python that this template knows, where nothing is said


def choose_python(facts: Facts) -> tuple[str, str]:
    """The Python that tests run with, and what says so."""
    if found := re.match(r"(?:cpython@|python-)?(3\.\d+)", facts.text(".python-version").strip()):
        return found[1], ".python-version"
    fitting, said = list_allowed_pythons(facts)
    used = re.findall(r"python[-_]?version[\"']?\s*[:=][^\n]*", "\n".join(facts.pipelines.values()))
    tried = {it for line in used for it in re.findall(r"3\.\d+\b", line)} & set(fitting)
    if tried:
        return max(tried, key=PYTHONS.index), "what CI uses already"
    texts = facts.text("pyproject.toml") + facts.text("setup.py") + facts.text("setup.cfg")
    named = set(re.findall(r"Programming Language :: Python :: (3\.\d+)", texts)) & set(fitting)
    if named:
        return max(named, key=PYTHONS.index), "the newest of its classifiers"
    recent = [it for it in fitting if PYTHONS.index(it) >= PYTHONS.index(USUAL)]
    return (recent[0] if recent else fitting[-1]), said or "nothing: assumed"


def list_allowed_pythons(facts: Facts) -> tuple[tuple[str, ...], str]:
    """The Pythons that the project allows, and what says so; all where nothing does."""
    asked = re.search(r"python_requires\s*=\s*[\"']?([^\"'\n]+)", facts.text("setup.py"))
    places = (
        (facts.pyproject.get("project", {}).get("requires-python"), "requires-python"),
        (facts.tools.get("poetry", {}).get("dependencies", {}).get("python"), "[tool.poetry]"),
        (asked[1] if asked else None, "setup.py"),
        (facts.setup.get("options", "python_requires", fallback=None), "setup.cfg"),
    )
    for text, name in places:
        fitting = tuple(
            it for it in PYTHONS if isinstance(text, str) and meets_requirement(it, text)
        )
        if fitting:
            return fitting, name
    return PYTHONS, ""


def meets_requirement(python: str, asked: str) -> bool:
    """Does some release of this Python meet a requirement, also one of poetry (^3.9, ~3.9, 3.9)?"""
    parts = [part.strip() for part in asked.split(",")]
    for part in parts:
        if caret := re.fullmatch(r"\^(3[\d.]*)", part):
            part = f">={caret[1]},<4"
        elif tilde := re.fullmatch(r"~(3\.\d+)(?:\.\d+)?", part):
            part = f"=={tilde[1]}.*"
        elif re.fullmatch(r"3\.\d+", part):
            part = f"=={part}.*"
        try:
            rule = SpecifierSet(part)
        except InvalidSpecifier:
            return False
        if not any(f"{python}.{patch}" in rule for patch in range(0, 30)):
            return False
    return True
