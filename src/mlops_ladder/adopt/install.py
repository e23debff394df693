"""How CI installs a repository: by its lock if it has one, else by what it declares."""

import ast
import re
from collections.abc import Iterator
from shlex import quote

from mlops_ladder.adopt.facts import Facts, Table
from mlops_ladder.adopt.tables import TABLES

TESTING = TABLES["testing"]
FRESH = "uv venv --quiet"
ACTIVE = "VIRTUAL_ENV=$PWD/.venv"
# The declared packages may bring pytest: only the installed environment shows that.
PYTEST = (
    " && {{ .venv/bin/python -c 'import pytest' 2> /dev/null"
    " || uv pip install --quiet 'pytest>=7,<10'; }}{more}"
)
USES = TABLES["test_packages"]
LOCAL = re.compile(r"(?:^|/)requirements[^/]*\.txt$|(?:^|/)[\w-]*requirements\.txt$|^requirements/")


def find_install_command(facts: Facts) -> tuple[str, str]:
    """Return the command that makes .venv for the tests, and the file it is based on; or ""."""
    for ways in (install_by_lock(facts), install_by_declaration(facts)):
        for command, source in ways:
            return command + PYTEST.format(more=install_undeclared(facts, command)), source
    return "", ""


def install_undeclared(facts: Facts, command: str) -> str:
    """Return the command for packages that tests use but nothing declares; empty without any."""
    settings = facts.text(facts.pytest_settings) if facts.pytest_settings else ""
    tests = [name for name in facts.files if name.endswith("conftest.py")] + facts.test_files
    text = "\n".join([settings, *map(facts.text, tests)])
    named = [name for name in facts.files if re.fullmatch(r"[^/]*(?:\.lock|Pipfile)", name)]
    named += re.findall(r"-r '?([^' ]+)", command) + ["pyproject.toml", "setup.py", "setup.cfg"]
    declared = command + "\n".join(map(facts.text, named)).replace(settings, "").replace("_", "-")
    lacking = [
        package
        for sign, package in USES.items()
        if re.search(sign, text, re.MULTILINE) and package not in declared
    ]
    return f" && uv pip install --quiet {' '.join(lacking)}" if lacking else ""


def list_tox_requirements(facts: Facts) -> list[str]:
    """Return what tox installs for the tests without a condition: packages and files (-r)."""
    lines = facts.setup.get("testenv", "deps", fallback="").splitlines()
    items = [line.split("#")[0].strip().replace("-r{toxinidir}/", "-r ") for line in lines]
    plain = re.compile(r"(-r *)?[\w./-]+(\[[\w,-]+\])?([<>=!~]=?[\w.*,<>=!~]+)?")
    return [item for item in items if plain.fullmatch(item)]


def install_by_lock(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield a command and its file for each lock, the usual one first."""
    if "uv.lock" in facts.files and "project" in facts.pyproject:
        flags = "".join(f" --extra {quote(extra)}" for extra in list_extras(facts))
        flags += "".join(f" --group {quote(group)}" for group in list_groups(facts))
        yield f"uv sync --quiet --locked{flags}", "uv.lock"
    if "poetry" in facts.tools:
        flags = "".join(f" --extras {quote(extra)}" for extra in list_extras(facts))
        optional = [group for group in list_poetry_groups(facts, optional=True) if group in TESTING]
        flags += f" --with {','.join(optional)}" if optional else ""
        poetry = (
            f"{ACTIVE} uvx --from 'poetry>=2,<3' poetry install --quiet --no-interaction{flags}"
        )
        lock = "poetry.lock" if "poetry.lock" in facts.files else "[tool.poetry]"
        yield f"{FRESH} && {poetry}", lock
    if "pdm.lock" in facts.files:
        flags = "".join(f" --group {quote(extra)}" for extra in list_extras(facts))
        command = f"{ACTIVE} uvx --from 'pdm>=2,<3' pdm sync --quiet --dev{flags}"
        yield f"{FRESH} && {command}", "pdm.lock"
    if "Pipfile" in facts.files:
        command = "sync" if "Pipfile.lock" in facts.files else "install --skip-lock"
        yield f"{FRESH} && {ACTIVE} uvx pipenv --quiet {command} --dev", "Pipfile"


def install_by_declaration(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield the command without a lock: the package, if it is one, and its requirements."""
    listed = list_requirements(facts)
    parts = [f"-r {quote(name)}" for name in listed]
    builds = {"setup.py", "setup.cfg"} & set(facts.files) if is_installable(facts) else set()
    if is_installable(facts):
        extras = list_extras(facts)
        parts.insert(0, quote(f".[{','.join(extras)}]" if extras else ".").join(["-e ", ""]))
        listed = [min(builds) if builds and "project" not in facts.pyproject else "pyproject.toml"]
    if parts:
        groups = read_dependency_groups(facts)
        parts += [f"--group {quote(group)}" for group in TESTING if group in groups]
        files = {part.split("-r", 1)[1].strip() for part in parts if part.startswith("-r")}
        for item in list_tox_requirements(facts):
            name = item.removeprefix("-r").strip()
            if not item.startswith("-r"):
                parts.append(quote(item))
            elif name in facts.files and name not in files:
                parts.append(f"-r {quote(name)}")
        yield f"{FRESH} && uv pip install --quiet {' '.join(parts)}", listed[0]


def is_installable(facts: Facts) -> bool:
    """Return whether pip can install the folder."""
    declared = facts.pyproject.get("project", {}).get("name") or "poetry" in facts.tools
    if declared or "setup.py" in facts.files:
        return True
    return facts.setup.has_option("metadata", "name")


def list_requirements(facts: Facts) -> list[str]:
    """Return the requirements files that tests need: the main one, and those for development."""
    files = [name for name in facts.files if LOCAL.search(name) and name.endswith(".txt")]
    files = [name for name in files if name.count("/") <= 1 and re.fullmatch(r"[\w./ -]+", name)]
    main = [name for name in files if name in ("requirements.txt", "requirements/base.txt")]
    own = [name for name in files if set(re.split(r"[/_.-]", name)) & {*TESTING}]
    if is_installable(facts) and any(name.startswith("requirements") for name in main):
        main = main if not declares_requirements(facts) else []
    return main + [name for name in own if name not in main]


def declares_requirements(facts: Facts) -> bool:
    """Return whether the package itself declares its requirements."""
    project = facts.pyproject.get("project", {})
    dynamic = "dependencies" in project.get("dynamic", [])
    setup = facts.setup.get("options", "install_requires", fallback="")
    declared = project.get("dependencies") or dynamic or setup or "poetry" in facts.tools
    return bool(declared) or "install_requires" in facts.text("setup.py")


def list_extras(facts: Facts) -> list[str]:
    """Return the extras that are for tests or for development."""
    extras = set(facts.pyproject.get("project", {}).get("optional-dependencies", {}))
    extras |= set(facts.tools.get("poetry", {}).get("extras", {}))
    if facts.setup.has_section("options.extras_require"):
        extras |= set(facts.setup.options("options.extras_require"))
    extras |= read_setup_extras(facts.text("setup.py"))
    return [name for name in TESTING if name in extras]


def read_setup_extras(text: str) -> set[str]:
    """Return the names of extras that are written out in setup.py."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    keywords = [node for node in nodes if isinstance(node, ast.keyword)]
    values = [word.value for word in keywords if word.arg == "extras_require"]
    names = {value.id for value in values if isinstance(value, ast.Name)}
    for node in (node for node in nodes if isinstance(node, ast.Assign)):
        if {getattr(target, "id", "") for target in node.targets} & names:
            values.append(node.value)
    keys = [key for value in values if isinstance(value, ast.Dict) for key in value.keys]
    return {str(key.value) for key in keys if isinstance(key, ast.Constant)}


def read_dependency_groups(facts: Facts) -> Table:
    """Return the groups of [dependency-groups]."""
    groups: Table = facts.pyproject.get("dependency-groups", {})
    return groups


def list_groups(facts: Facts) -> list[str]:
    """Return the dependency groups for tests that uv does not install by itself."""
    groups = read_dependency_groups(facts)
    default = facts.tools.get("uv", {}).get("default-groups", ["dev"])
    return [name for name in TESTING if name in groups and default != "all" and name not in default]


def list_poetry_groups(facts: Facts, optional: bool) -> list[str]:
    """Return the groups of poetry that are, or are not, optional."""
    groups = facts.tools.get("poetry", {}).get("group", {})
    return [name for name, group in groups.items() if bool(group.get("optional")) == optional]
