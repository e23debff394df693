"""The formatter, the linter and the line length of a repository, each with its source."""

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
    """Return the tool of these that is in use, and its source; empty strings without one."""
    for name in tools:
        if name == "ruff" and tools is FORMATTERS and not is_ruff_formatting(facts):
            continue  # ruff is configured as a linter only
        if name in facts.tools:
            return name, f"[tool.{name}] in pyproject.toml"
        if own := [file for file in OWN_FILES.get(name, ()) if file in facts.files]:
            return name, own[0]
        if any(section.startswith(SECTIONS.get(name, "-")) for section in facts.setup.sections()):
            return name, "setup.cfg or tox.ini"
    for name, pattern in tools.items():
        if re.search(pattern, facts.commands):
            return name, "what CI, make or the hooks call"
    return "", ""


def is_ruff_formatting(facts: Facts) -> bool:
    """Return whether ruff's formatter is configured; a table alone only shows that ruff lints."""
    own = "".join(map(facts.text, OWN_FILES["ruff"]))
    return "format" in facts.tools.get("ruff", {}) or bool(re.search(r"^\[format\]", own, re.M))


def find_formatter(facts: Facts) -> tuple[str, str]:
    """Return the formatter in use, and its source."""
    return find_tool(facts, FORMATTERS)


def find_linter(facts: Facts) -> tuple[str, str]:
    """Return the linter in use, and its source."""
    return find_tool(facts, LINTERS)


def find_line_length(facts: Facts) -> tuple[str, str]:
    """Return the longest allowed line in characters, and its source; empty without one."""
    for name in ("pyproject.toml", "setup.cfg", "tox.ini", ".flake8", ".pylintrc", "pylintrc"):
        if match := LENGTH.search(facts.text(name)):
            return match[1], name
    for name in ("ruff.toml", ".ruff.toml", ".editorconfig", ".style.yapf"):
        if match := LENGTH.search(facts.text(name)):
            return match[1], name
    return "", ""


def find_called_length(facts: Facts) -> str:
    """Return the line length in calls of black; empty if they name none."""
    match = re.search(r"\bblack\b[^\n]*?(?:-l|--line-length)[ =](\d+)", facts.commands)
    return match[1] if match else ""


# ---- How our hook calls their linter

OPTIONS = re.compile(
    r"--(?:select|ignore|extend-ignore|extend-select|max-line-length|line-length|max-complexity"
    r"|per-file-ignores|exclude|extend-exclude|max-doc-length|config)"
)
PLUGIN = re.compile(
    r"(?<![\w-])((?:flake8-[a-z][a-z0-9-]*|pep8-naming|darglint|pydoclint|dlint|hacking)"
    r"(?:\[[\w,]+\])?(?:==[\w.]+)?)(?![\w-])"
)


def read_declarations(facts: Facts) -> str:
    """Return the text of the files that declare packages for development, and the commands."""
    kinds = ".txt .in .lock Pipfile pyproject.toml setup.py setup.cfg tox.ini"
    names = (*kinds.split(), "environment.yml", "pixi.toml", "noxfile.py")
    named = [name for name in facts.files if name.endswith(names) and name.count("/") <= 1]
    return "\n".join([*map(facts.text, named), facts.commands])


def find_pins(facts: Facts, name: str) -> list[str]:
    """Return the versions of a tool that their files pin."""
    locked = rf'^name = "{name}"\nversion = "([\d.]+)"'
    pinned = rf"(?<![\w-]){name}(?:\[[\w,]+\])? *== *[\"']?([\d.]+\d)"
    pins = re.findall(rf"{locked}|{pinned}", read_declarations(facts), re.MULTILINE)
    return [one or other for one, other in pins]


def find_plugins(facts: Facts) -> list[str]:
    """Return the plugins of flake8 that their files name, pinned as they pin them."""
    plugins: dict[str, str] = {}
    for text in PLUGIN.findall(read_declarations(facts).replace('"', " ").replace("'", " ")):
        name = re.split(r"[\[=]", text)[0]
        plugins[name] = max(plugins.get(name, ""), text, key=len)
    return [plugins[name] for name in sorted(plugins) if name != "flake8-mypy"]


def find_call(facts: Facts, name: str) -> tuple[list[str], list[str]]:
    """Return the options and the paths of the first call of a linter that can fail."""
    for call in re.findall(rf"(?<![\w./-]){name}(?: check)? ([^\n|&;#]*)", facts.commands):
        words = re.sub(r"=[\"']?([^\"' ]*)[\"']?", r"=\1", call).split()
        if "--exit-zero" in words or "==" in call or not words:
            continue
        options, paths = [], []
        for word, after in zip(words, [*words[1:], ""]):
            option, sign, value = word.partition("=")
            if OPTIONS.fullmatch(option) and re.fullmatch(r"[\w.,:/*-]+", value if sign else after):
                options.append(f"{option}={value if sign else after}")
            path = word.strip("\"'").removeprefix("./").rstrip("/")
            if any(file == path or file.startswith(f"{path}/") for file in facts.files):
                paths.append(path)
        if options or paths or words == ["."]:
            return options, sorted(set(paths))
    return [], []


def describe_linter(facts: Facts, name: str) -> dict[str, str]:
    """Return the answers about their linter: plugins, options and paths, as they call it."""
    if name not in ("flake8", "ruff"):
        return {"linter_plugins": "", "linter_args": "", "linter_files": ""}
    options, paths = find_call(facts, name)
    files = [file for file in ("setup.cfg", "tox.ini", ".flake8") if "[flake8]" in facts.text(file)]
    if name == "flake8" and facts.prefix and files and "--config" not in " ".join(options):
        options.append(f"--config={facts.prefix}{files[-1]}")
    ends = "|".join(re.escape(path) + ("$" if path in facts.files else "/") for path in paths)
    return {
        "linter_plugins": "".join(f", {text}" for text in find_plugins(facts) if name == "flake8"),
        "linter_args": ", ".join(f"'{option}'" for option in options),
        "linter_files": f"({ends})" if ends else "",
    }
