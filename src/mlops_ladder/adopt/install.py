"""How CI installs a repository: by its lock where it has one, else by what it declares."""

import ast
import re
from collections.abc import Iterator
from shlex import quote

from mlops_ladder.adopt.facts import Facts, Table
from mlops_ladder.adopt.tables import TABLES

TESTING = TABLES["testing"]
FRESH = "uv venv --quiet"
ACTIVE = "VIRTUAL_ENV=$PWD/.venv"
# What is declared may bring pytest, or may not: only the environment knows.
PYTEST = (
    " && {{ .venv/bin/python -c 'import pytest' 2> /dev/null"
    " || uv pip install --quiet 'pytest>=7,<10'; }}{more}"
)
USES = TABLES["test_packages"]
LOCAL = re.compile(r"(?:^|/)requirements[^/]*\.txt$|(?:^|/)[\w-]*requirements\.txt$|^requirements/")


def find_install_command(facts: Facts) -> tuple[str, str]:
    """The command that makes .venv with all that tests need, and what it goes by; or nothing."""
    for ways in (install_by_lock(facts), install_by_declaration(facts)):
        for command, source in ways:
            return command + PYTEST.format(more=install_undeclared(facts, command)), source
    return "", ""


def install_undeclared(facts: Facts, command: str) -> str:
    """Return the command for what tests use and no file that is installed names; or nothing."""
    settings = facts.text(facts.pytest_settings) if facts.pytest_settings else ""
    tests = [it for it in facts.files if it.endswith("conftest.py")] + facts.test_files
    text = "\n".join([settings, *map(facts.text, tests)])
    named = [it for it in facts.files if it.endswith((".lock", "Pipfile")) and "/" not in it]
    named += re.findall(r"-r '?([^' ]+)", command) + ["pyproject.toml", "setup.py", "setup.cfg"]
    declared = command + "\n".join(map(facts.text, named)).replace(settings, "").replace("_", "-")
    lacking = [
        package
        for sign, package in USES.items()
        if re.search(sign, text, re.MULTILINE) and package not in declared
    ]
    return f" && uv pip install --quiet {' '.join(lacking)}" if lacking else ""


def list_tox_requirements(facts: Facts) -> list[str]:
    """Return what tox installs for the tests: packages, files (-r), with no condition before."""
    lines = facts.setup.get("testenv", "deps", fallback="").splitlines()
    wanted = [it.split("#")[0].strip().replace("-r{toxinidir}/", "-r ") for it in lines]
    plain = re.compile(r"(-r *)?[\w./-]+(\[[\w,-]+\])?([<>=!~]=?[\w.*,<>=!~]+)?")
    return [it for it in wanted if plain.fullmatch(it)]


def install_by_lock(facts: Facts) -> Iterator[tuple[str, str]]:
    """The ways by a lock, the usual one first."""
    if "uv.lock" in facts.files and "project" in facts.pyproject:
        flags = "".join(f" --extra {quote(it)}" for it in list_extras(facts))
        flags += "".join(f" --group {quote(it)}" for it in list_groups(facts))
        yield f"uv sync --quiet --locked{flags}", "uv.lock"
    if "poetry" in facts.tools:
        flags = "".join(f" --extras {quote(it)}" for it in list_extras(facts))
        optional = [it for it in list_poetry_groups(facts, optional=True) if it in TESTING]
        flags += f" --with {','.join(optional)}" if optional else ""
        poetry = (
            f"{ACTIVE} uvx --from 'poetry>=2,<3' poetry install --quiet --no-interaction{flags}"
        )
        lock = "poetry.lock" if "poetry.lock" in facts.files else "[tool.poetry]"
        yield f"{FRESH} && {poetry}", lock
    if "pdm.lock" in facts.files:
        flags = "".join(f" --group {quote(it)}" for it in list_extras(facts))
        command = f"{ACTIVE} uvx --from 'pdm>=2,<3' pdm sync --quiet --dev{flags}"
        yield f"{FRESH} && {command}", "pdm.lock"
    if "Pipfile" in facts.files:
        command = "sync" if "Pipfile.lock" in facts.files else "install --skip-lock"
        yield f"{FRESH} && {ACTIVE} uvx pipenv --quiet {command} --dev", "Pipfile"


def install_by_declaration(facts: Facts) -> Iterator[tuple[str, str]]:
    """The way without a lock: the package where it is one, and its files of requirements."""
    listed = list_requirements(facts)
    parts = [f"-r {quote(name)}" for name in listed]
    builds = {"setup.py", "setup.cfg"} & set(facts.files) if is_installable(facts) else set()
    if is_installable(facts):
        asked = list_extras(facts)
        parts.insert(0, quote(f".[{','.join(asked)}]" if asked else ".").join(["-e ", ""]))
        listed = [min(builds) if builds and "project" not in facts.pyproject else "pyproject.toml"]
    if parts:
        parts += [f"--group {quote(it)}" for it in TESTING if it in read_dependency_groups(facts)]
        files = {it.split("-r", 1)[1].strip() for it in parts if it.startswith("-r")}
        for item in list_tox_requirements(facts):
            name = item.removeprefix("-r").strip()
            if not item.startswith("-r"):
                parts.append(quote(item))
            elif name in facts.files and name not in files:
                parts.append(f"-r {quote(name)}")
        yield f"{FRESH} && uv pip install --quiet {' '.join(parts)}", listed[0]


def is_installable(facts: Facts) -> bool:
    """Can pip install it?"""
    declared = facts.pyproject.get("project", {}).get("name") or "poetry" in facts.tools
    if declared or "setup.py" in facts.files:
        return True
    return facts.setup.has_option("metadata", "name")


def list_requirements(facts: Facts) -> list[str]:
    """The files of requirements that the tests need: the main one, and those for tests or work."""
    found = [name for name in facts.files if LOCAL.search(name) and name.endswith(".txt")]
    found = [name for name in found if name.count("/") <= 1 and re.fullmatch(r"[\w./ -]+", name)]
    main = [name for name in found if name in ("requirements.txt", "requirements/base.txt")]
    own = [name for name in found if set(re.split(r"[/_.-]", name)) & {*TESTING}]
    if is_installable(facts) and any(name.startswith("requirements") for name in main):
        main = main if not declares_requirements(facts) else []
    return main + [name for name in own if name not in main]


def declares_requirements(facts: Facts) -> bool:
    """Does the package itself say what it needs?"""
    project = facts.pyproject.get("project", {})
    dynamic = "dependencies" in project.get("dynamic", [])
    setup = facts.setup.get("options", "install_requires", fallback="")
    said = project.get("dependencies") or dynamic or setup or "poetry" in facts.tools
    return bool(said) or "install_requires" in facts.text("setup.py")


def list_extras(facts: Facts) -> list[str]:
    """The extras that are for tests or for work on the project."""
    found = set(facts.pyproject.get("project", {}).get("optional-dependencies", {}))
    found |= set(facts.tools.get("poetry", {}).get("extras", {}))
    if facts.setup.has_section("options.extras_require"):
        found |= set(facts.setup.options("options.extras_require"))
    found |= read_setup_extras(facts.text("setup.py"))
    return [name for name in TESTING if name in found]


def read_setup_extras(text: str) -> set[str]:
    """The names of extras in setup.py, where they are written out."""
    try:
        nodes = list(ast.walk(ast.parse(text)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    given = [it.value for it in nodes if isinstance(it, ast.keyword) and it.arg == "extras_require"]
    named = {it.id for it in given if isinstance(it, ast.Name)}
    for node in nodes:
        if isinstance(node, ast.Assign) and {getattr(it, "id", "") for it in node.targets} & named:
            given.append(node.value)
    keys = [key for it in given if isinstance(it, ast.Dict) for key in it.keys]
    return {str(key.value) for key in keys if isinstance(key, ast.Constant)}


def read_dependency_groups(facts: Facts) -> Table:
    """Return the groups of [dependency-groups]."""
    found: Table = facts.pyproject.get("dependency-groups", {})
    return found


def list_groups(facts: Facts) -> list[str]:
    """The dependency groups for tests that uv does not install by itself."""
    known = read_dependency_groups(facts)
    default = facts.tools.get("uv", {}).get("default-groups", ["dev"])
    return [it for it in TESTING if it in known and default != "all" and it not in default]


def list_poetry_groups(facts: Facts, optional: bool) -> list[str]:
    """The groups of poetry that are, or are not, optional."""
    known = facts.tools.get("poetry", {}).get("group", {})
    return [name for name, group in known.items() if bool(group.get("optional")) == optional]
