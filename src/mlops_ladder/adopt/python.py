"""Which Python a repository is tested with, and what says so."""

import re

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from mlops_ladder.adopt.facts import Facts

PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
USUAL = "3.11"  # the oldest Python of this template; taken if nothing names another


def choose_python(facts: Facts) -> tuple[str, str]:
    """Return the Python version for the tests, and its source."""
    if match := re.match(r"(?:cpython@|python-)?(3\.\d+)", facts.text(".python-version").strip()):
        return match[1], ".python-version"
    fitting, source = list_allowed_pythons(facts)
    used = re.findall(r"python[-_]?version[\"']?\s*[:=][^\n]*", "\n".join(facts.pipelines.values()))
    tried = {version for line in used for version in re.findall(r"3\.\d+\b", line)} & set(fitting)
    if tried:
        return max(tried, key=PYTHONS.index), "what CI uses already"
    texts = facts.text("pyproject.toml") + facts.text("setup.py") + facts.text("setup.cfg")
    named = set(re.findall(r"Programming Language :: Python :: (3\.\d+)", texts)) & set(fitting)
    if named:
        return max(named, key=PYTHONS.index), "the newest of its classifiers"
    recent = [version for version in fitting if PYTHONS.index(version) >= PYTHONS.index(USUAL)]
    return (recent[0] if recent else fitting[-1]), source or "nothing: assumed"


def list_allowed_pythons(facts: Facts) -> tuple[tuple[str, ...], str]:
    """Return the Pythons that the project allows, and the source; all Pythons without one."""
    setup = re.search(r"python_requires\s*=\s*[\"']?([^\"'\n]+)", facts.text("setup.py"))
    places = (
        (facts.pyproject.get("project", {}).get("requires-python"), "requires-python"),
        (facts.tools.get("poetry", {}).get("dependencies", {}).get("python"), "[tool.poetry]"),
        (setup[1] if setup else None, "setup.py"),
        (facts.setup.get("options", "python_requires", fallback=None), "setup.cfg"),
    )
    for text, name in places:
        fitting = tuple(
            minor for minor in PYTHONS if isinstance(text, str) and meets_requirement(minor, text)
        )
        if fitting:
            return fitting, name
    return PYTHONS, ""


def meets_requirement(python: str, requirement: str) -> bool:
    """Return whether a release of this Python meets a requirement, in the form of pip or poetry."""
    parts = [part.strip() for part in requirement.split(",")]
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
