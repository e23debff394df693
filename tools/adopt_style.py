"""Which formatter and linter a repository uses, how long its lines are, and what says so."""

import re

from adopt_facts import Facts

LENGTH = re.compile(r"^\s*(?:max[-_]line[-_]length|line[-_]length|column_limit)\s*=\s*(\d+)", re.M)
# How a tool is called where it is in use.
FORMATTERS = {
    "black": r"\bblack(-jupyter)?\b",
    "ruff": r"\bruff-format\b|\bruff format\b",
    "yapf": r"\byapf\b",
    "autopep8": r"\bautopep8\b",
}
LINTERS = {
    "pylint": r"\bpylint\b",
    "ruff": r"\bruff(-check)?\b(?!-format| format)",
    "flake8": r"\bflake8\b",
}
OWN_FILES = {
    "ruff": ("ruff.toml", ".ruff.toml"),
    "yapf": (".style.yapf",),
    "pylint": (".pylintrc", "pylintrc", ".pylintrc.toml"),
    "flake8": (".flake8",),
}
SECTIONS = {"yapf": "yapf", "flake8": "flake8", "pylint": "pylint", "pycodestyle": "pycodestyle"}


Tools = dict[str, str]


def configured(facts: Facts, tools: Tools) -> tuple[str, str]:
    """Which of these tools is in use here, and what says so; nothing where none is."""
    for name in tools:
        if name in facts.tools and means(facts, name, tools):
            return name, f"[tool.{name}] in pyproject.toml"
        if own := [it for it in OWN_FILES.get(name, ()) if it in facts.files]:
            return name, own[0]
        if any(it.startswith(SECTIONS.get(name, "-")) for it in facts.setup.sections()):
            return name, "setup.cfg or tox.ini"
    for name, pattern in tools.items():
        if re.search(pattern, facts.commands):
            return name, "what CI, make or the hooks call"
    return "", ""


def means(facts: Facts, name: str, tools: Tools) -> bool:
    """Does a table stand for this use of a tool?  Ruff has one table for two uses."""
    if name != "ruff" or tools is LINTERS:
        return True
    return not ("black" in facts.tools or re.search(r"\bblack\b", facts.commands))


def formatter(facts: Facts) -> tuple[str, str]:
    """The formatter in use, and what says so."""
    return configured(facts, FORMATTERS)


def linter(facts: Facts) -> tuple[str, str]:
    """The linter in use, and what says so."""
    return configured(facts, LINTERS)


def line_length(facts: Facts) -> tuple[str, str]:
    """The longest line that is allowed, and what says so; nothing where none is."""
    for name in ("pyproject.toml", "setup.cfg", "tox.ini", ".flake8", ".pylintrc", "pylintrc"):
        if found := LENGTH.search(facts.text(name)):
            return found[1], name
    for name in ("ruff.toml", ".ruff.toml", ".editorconfig", ".style.yapf"):
        if found := LENGTH.search(facts.text(name)):
            return found[1], name
    return "", ""


def called_length(facts: Facts) -> str:
    """The length of lines that black is called with; empty where it is called without one."""
    found = re.search(r"\bblack\b[^\n]*?(?:-l|--line-length)[ =](\d+)", facts.commands)
    return found[1] if found else ""
