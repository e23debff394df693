"""Checks that a file is what its path says: not empty, no copy, no nonsense.  Nothing is run."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath

from mlops_ladder.maturity.capabilities import match_glob
from mlops_ladder.maturity.repository import Repository, WHEEL
from mlops_ladder.maturity.syntax import (
    is_idle,
    list_definitions,
    list_imports,
    list_nodes,
    list_tests,
    parse_python,
)

MIN_WORDS = 15  # in a document
SETTINGS = (".toml", ".yaml", ".yml", ".json", ".ipynb")
# A line of a recipe that does more than print a text.
ACTIVE = re.compile(r"^\t(?![@-]*\s*(?:(?:true|:|echo\b.*)\s*)?(?:#.*)?\Z)")


def find_hollow_files(capability: str, repository: Repository) -> Iterator[str]:
    """Yield what is wrong with the files of a capability: missing, empty, copied, nonsense."""
    names = repository.own(capability)
    for name in names:
        yield from find_file_faults(repository, name)
    if not repository.ours:
        return
    yield from find_idle_targets(repository, capability)
    yield from find_missing_code(repository, capability)
    imported, copies = list_imported_names(repository), find_copies(repository)
    for name in names:
        uses = imported.get(name)
        if uses and (lacking := uses - list_definitions(repository.text(name))):
            yield f"{name}: lacks {', '.join(sorted(lacking))}, which others import from it"
        if name in copies:
            yield f"{name}: is a copy of {copies[name]}"


def find_file_faults(repository: Repository, name: str) -> Iterator[str]:
    """Yield what is wrong with one file, by the kind that its name says."""
    text, suffix = repository.text(name), PurePosixPath(name).suffix
    if not text.strip():
        if not name.endswith("__init__.py") and not repository.path(name).stat().st_size:
            yield f"{name}: is empty"
    elif suffix == ".py":
        yield from find_python_faults(name, text)
    elif suffix in SETTINGS and not isinstance(repository.parsed(name), dict | list):
        yield f"{name}: cannot be read as {suffix[1:].upper()}, or says nothing"
    elif suffix == ".md" and len(re.findall(r"\w{2,}", text)) < MIN_WORDS:
        yield f"{name}: says nothing"


def find_python_faults(name: str, text: str) -> Iterator[str]:
    """Yield a file that is no Python, tests that compare nothing, or code that does nothing."""
    path, parsed = PurePosixPath(name), parse_python(text)
    if parsed is None:
        yield f"{name}: is no Python, or nested too deeply to be read"
    elif path.name.startswith("test_"):
        if not list_tests(text):
            yield f"{name}: no test in it compares anything"
    elif path.name not in ("__init__.py", "plugins.py"):  # the user fills plugins.py
        calls = (ast.Expr, ast.Assign, ast.AnnAssign)  # at the top level, as in setup.py
        acts = (not is_idle(node) for node in parsed.body if hasattr(node, "body"))
        called = (
            isinstance(node.value, ast.Call) for node in parsed.body if isinstance(node, calls)
        )
        if not any(acts) and not any(called):
            yield f"{name}: nothing in it does anything"


def find_lacking_targets(repository: Repository, *names: str) -> Iterator[str]:
    """Yield each of these targets that is missing from the Makefile and the files in make/."""
    for name in names:
        if name not in repository.targets:
            yield f"Makefile: lacks the target {name}"


def find_idle_targets(repository: Repository, capability: str) -> Iterator[str]:
    """Yield each target of a capability that runs no command."""
    for name in repository.own_targets(capability):
        if not any(map(ACTIVE.search, repository.targets[name].splitlines())):
            yield f"Makefile: the target {name} runs no command"


def find_missing_code(repository: Repository, capability: str) -> Iterator[str]:
    """Yield the code of a capability that is missing from the project or its wheel."""
    entry = repository.capabilities[capability]
    others = {
        path
        for question, choices in repository.choices.items()
        for choice, paths in choices.items()
        if repository.answers.get(question) != choice
        for path in paths
    }
    for pattern in entry.get("paths", []):
        if pattern.startswith(("src/", "tools/")) and pattern not in others:
            if not repository.glob(pattern):
                yield f"{pattern}: is missing"
    for pattern in entry.get("library", []):
        if not any(match_glob(name, pattern) for name in repository.library):
            yield f"{WHEEL}: lacks mlops_ladder/{pattern}"


@cache
def list_imported_names(repository: Repository) -> dict[str, set[str]]:
    """Return the names that others import from each module of the package, or that run it."""
    names: dict[str, set[str]] = {}
    for name in repository.files:
        if not name.endswith(".py") or not name.startswith(f"{repository.package}/"):
            continue
        for node in list_nodes(repository.text(name)):
            if isinstance(node, ast.ImportFrom) and node.level and node.module:
                above = PurePosixPath(name).parents[node.level - 1]
                path = f"{above}/{node.module.replace('.', '/')}.py"
                names.setdefault(path, set()).update(alias.name for alias in node.names)
    for target in list_entry_points(repository):
        module, _, function = target.partition(":")
        inside = module.partition(".")[2].replace(".", "/")
        path = f"{repository.package}/{inside}.py" if inside else ""
        names.setdefault(path, set()).add(function)
    return names


def list_entry_points(repository: Repository) -> list[str]:
    """Return the functions that pyproject.toml names as scripts and entry points."""
    groups = [
        repository.table("pyproject.toml", "project").get("scripts", {}),
        *repository.table("pyproject.toml", "project", "entry-points").values(),
    ]
    return [str(target) for group in groups if isinstance(group, dict) for target in group.values()]


def find_missing_library(repository: Repository, capability: str) -> Iterator[str]:
    """Yield a problem if no code of a capability imports one of the libraries of its entry."""
    entry = repository.capabilities[capability]
    code = [name for name in repository.own(capability) if name.endswith((".py", ".ipynb"))]
    imports = {module for name in code for module in repository.imports(name)}
    for name, text in repository.library.items():
        if any(match_glob(name, pattern) for pattern in entry.get("library", [])):
            imports |= list_imports(text)
    if not imports & set(entry["imports"]):
        yield f"no code imports one of {', '.join(entry['imports'])}"


@cache
def find_copies(repository: Repository) -> dict[str, str]:
    """Return the files that repeat another file and never mention their own name, each with it."""
    names_of: dict[str, list[str]] = {}
    for name in repository.files:
        if (text := repository.text(name)).strip() and not name.startswith("data/"):
            names_of.setdefault(text, []).append(name)
    return {
        name: next(other for other in names if other != name)
        for text, names in names_of.items()
        if len(names) > 1
        for name in names
        if PurePosixPath(name).stem.removeprefix("test_") not in text
    }
