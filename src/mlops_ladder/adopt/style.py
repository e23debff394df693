"""Which formatter and linter a repository uses, how long its lines are, and what says so."""

import re

from mlops_ladder.adopt.facts import Facts
from mlops_ladder.adopt.tables import TABLES

LENGTH = re.compile(r"^\s*(?:max[-_]line[-_]length|line[-_]length|column_limit)\s*=\s*(\d+)", re.M)
FORMATTERS = TABLES["formatters"]
LINTERS = TABLES["linters"]
OWN_FILES = TABLES["own_files"]
SECTIONS = TABLES["sections"]


Tools = dict[str, str]


def find_tool(facts: Facts, tools: Tools) -> tuple[str, str]:
    """Which of these tools is in use here, and what says so; nothing where none is."""
    for name in tools:
        if name == "ruff" and tools is FORMATTERS and not is_ruff_formatting(facts):
            continue  # its table, or its file, is there for the linter
        if name in facts.tools:
            return name, f"[tool.{name}] in pyproject.toml"
        if own := [it for it in OWN_FILES.get(name, ()) if it in facts.files]:
            return name, own[0]
        if any(it.startswith(SECTIONS.get(name, "-")) for it in facts.setup.sections()):
            return name, "setup.cfg or tox.ini"
    for name, pattern in tools.items():
        if re.search(pattern, facts.commands):
            return name, "what CI, make or the hooks call"
    return "", ""


def is_ruff_formatting(facts: Facts) -> bool:
    """Do settings of ruff speak of its formatter?  A table alone says only that ruff lints."""
    own = "".join(map(facts.text, OWN_FILES["ruff"]))
    return "format" in facts.tools.get("ruff", {}) or bool(re.search(r"^\[format\]", own, re.M))


def find_formatter(facts: Facts) -> tuple[str, str]:
    """The formatter in use, and what says so."""
    return find_tool(facts, FORMATTERS)


def find_linter(facts: Facts) -> tuple[str, str]:
    """The linter in use, and what says so."""
    return find_tool(facts, LINTERS)


def find_line_length(facts: Facts) -> tuple[str, str]:
    """The longest line that is allowed, and what says so; nothing where none is."""
    for name in ("pyproject.toml", "setup.cfg", "tox.ini", ".flake8", ".pylintrc", "pylintrc"):
        if found := LENGTH.search(facts.text(name)):
            return found[1], name
    for name in ("ruff.toml", ".ruff.toml", ".editorconfig", ".style.yapf"):
        if found := LENGTH.search(facts.text(name)):
            return found[1], name
    return "", ""


def find_called_length(facts: Facts) -> str:
    """The length of lines that black is called with; empty where it is called without one."""
    found = re.search(r"\bblack\b[^\n]*?(?:-l|--line-length)[ =](\d+)", facts.commands)
    return found[1] if found else ""


# ---- How their linter is called, where a hook of ours calls it from now on

OPTIONS = re.compile(
    r"--(?:select|ignore|extend-ignore|extend-select|max-line-length|line-length|max-complexity"
    r"|per-file-ignores|exclude|extend-exclude|max-doc-length|config)"
)
PLUGIN = re.compile(
    r"(?<![\w-])((?:flake8-[a-z][a-z0-9-]*|pep8-naming|darglint|pydoclint|dlint|hacking)"
    r"(?:\[[\w,]+\])?(?:==[\w.]+)?)(?![\w-])"
)


def read_declarations(facts: Facts) -> str:
    """Return the text of the files that name what work on the project needs."""
    kinds = ".txt .in .lock Pipfile pyproject.toml setup.py setup.cfg tox.ini"
    names = (*kinds.split(), "environment.yml", "pixi.toml", "noxfile.py")
    named = [it for it in facts.files if it.endswith(names) and it.count("/") <= 1]
    return "\n".join([*map(facts.text, named), facts.commands])


def find_pins(facts: Facts, name: str) -> list[str]:
    """Return the versions of a tool that their files pin."""
    locked = rf'^name = "{name}"\nversion = "([\d.]+)"'
    pinned = rf"(?<![\w-]){name}(?:\[[\w,]+\])? *== *[\"']?([\d.]+\d)"
    found = re.findall(rf"{locked}|{pinned}", read_declarations(facts), re.MULTILINE)
    return [one or other for one, other in found]


def find_plugins(facts: Facts) -> list[str]:
    """Return the plugins of flake8 that their files name, pinned as they pin them."""
    found: dict[str, str] = {}
    for text in PLUGIN.findall(read_declarations(facts).replace('"', " ").replace("'", " ")):
        name = re.split(r"[\[=]", text)[0]
        found[name] = max(found.get(name, ""), text, key=len)
    return [found[name] for name in sorted(found) if name != "flake8-mypy"]


def find_call(facts: Facts, name: str) -> tuple[list[str], list[str]]:
    """Return the options of the first call of a linter that can fail, and the paths it is given."""
    for found in re.findall(rf"(?<![\w./-]){name}(?: check)? ([^\n|&;#]*)", facts.commands):
        words = re.sub(r"=[\"']?([^\"' ]*)[\"']?", r"=\1", found).split()
        if "--exit-zero" in words or "==" in found or not words:
            continue
        options, paths = [], []
        for word, after in zip(words, [*words[1:], ""]):
            option, sign, value = word.partition("=")
            if OPTIONS.fullmatch(option) and re.fullmatch(r"[\w.,:/*-]+", value if sign else after):
                options.append(f"{option}={value if sign else after}")
            path = word.strip("\"'").removeprefix("./").rstrip("/")
            if any(it == path or it.startswith(f"{path}/") for it in facts.files):
                paths.append(path)
        if options or paths or words == ["."]:
            return options, sorted(set(paths))
    return [], []


def describe_linter(facts: Facts, name: str) -> dict[str, str]:
    """Return how a hook calls a linter of theirs: as they do, on the paths that they give it."""
    if name not in ("flake8", "ruff"):
        return {"linter_plugins": "", "linter_args": "", "linter_files": ""}
    options, paths = find_call(facts, name)
    section = [it for it in ("setup.cfg", "tox.ini", ".flake8") if "[flake8]" in facts.text(it)]
    if name == "flake8" and facts.prefix and section and "--config" not in " ".join(options):
        options.append(f"--config={facts.prefix}{section[-1]}")
    ends = "|".join(re.escape(it) + ("$" if it in facts.files else "/") for it in paths)
    return {
        "linter_plugins": "".join(f", {it}" for it in find_plugins(facts) if name == "flake8"),
        "linter_args": ", ".join(f"'{it}'" for it in options),
        "linter_files": f"({ends})" if ends else "",
    }
