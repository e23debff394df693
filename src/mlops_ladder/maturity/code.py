"""Is a file what its place says, or is it empty, a copy, nonsense?  Read, never run."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath

from mlops_ladder.maturity.capabilities import within
from mlops_ladder.maturity.repository import Repository, WHEEL
from mlops_ladder.maturity.syntax import defined, idle, imported, list_tests, nodes, tree

DOCUMENT = 15  # words that a document has at least
# A line of a recipe that does more than to say something.
ACTIVE = re.compile(r"^\t(?![@-]*\s*(?:(?:true|:|echo\b.*)\s*)?(?:#.*)?\Z)")


def code_faults(name: str, text: str) -> Iterator[str]:
    """What is wrong with a Python file by itself."""
    place, parsed = PurePosixPath(name), tree(text)
    if parsed is None:
        yield f"{name}: is no Python, or nested too deeply to be read"
    elif place.name.startswith("test_"):
        if not list_tests(text):
            yield f"{name}: no test in it compares anything"
    elif place.name not in ("__init__.py", "plugins.py"):  # the latter is there to be filled
        calls = (ast.Expr, ast.Assign, ast.AnnAssign)  # at the top, as in setup.py
        acts = (not idle(it) for it in parsed.body if hasattr(it, "body"))
        called = (isinstance(it.value, ast.Call) for it in parsed.body if isinstance(it, calls))
        if not any(acts) and not any(called):
            yield f"{name}: nothing in it does anything"


def file_faults(repository: Repository, name: str) -> Iterator[str]:
    """What is wrong with a file by itself, by what its name says that it is."""
    text, suffix = repository.text(name), PurePosixPath(name).suffix
    if not text.strip():
        if not name.endswith("__init__.py") and not repository.path(name).stat().st_size:
            yield f"{name}: is empty"
    elif suffix == ".py":
        yield from code_faults(name, text)
    elif suffix in (".toml", ".yaml", ".yml", ".json", ".ipynb"):
        if not isinstance(repository.parsed(name), dict | list):
            yield f"{name}: cannot be read as {suffix[1:].upper()}, or says nothing"
    elif suffix == ".md" and len(re.findall(r"\w{2,}", text)) < DOCUMENT:
        yield f"{name}: says nothing"


def find_lacking_targets(repository: Repository, *names: str) -> Iterator[str]:
    """A line for each of these targets that is missing from the Makefile and the files in make/."""
    for name in names:
        if name not in repository.targets:
            yield f"Makefile: lacks the target {name}"


def find_idle_targets(repository: Repository, capability: str) -> Iterator[str]:
    """A line for each target of a capability that runs no command."""
    for name in repository.own_targets(capability):
        if not any(map(ACTIVE.search, repository.targets[name].splitlines())):
            yield f"Makefile: the target {name} runs no command"


@cache
def promised(repository: Repository) -> dict[str, set[str]]:
    """The names that others import from each module of the package, and what they are called in."""
    found: dict[str, set[str]] = {}
    for name in repository.files:
        if not name.endswith(".py") or not name.startswith(f"{repository.package}/"):
            continue
        for node in nodes(repository.text(name)):
            if isinstance(node, ast.ImportFrom) and node.level and node.module:
                above = PurePosixPath(name).parents[node.level - 1]
                path = f"{above}/{node.module.replace('.', '/')}.py"
                found.setdefault(path, set()).update(alias.name for alias in node.names)
    return found | {path: names | found.get(path, set()) for path, names in entered(repository)}


def entered(repository: Repository) -> Iterator[tuple[str, set[str]]]:
    """The functions that the entry points of pyproject.toml name, by module."""
    project = repository.table("pyproject.toml", "project")
    doors = repository.table("pyproject.toml", "project", "entry-points")
    found: dict[str, set[str]] = {}
    for group in (project.get("scripts", {}), *doors.values()):
        for target in map(str, group.values() if isinstance(group, dict) else ()):
            module, _, function = target.partition(":")
            inside = module.partition(".")[2].replace(".", "/")
            path = f"{repository.package}/{inside}.py" if inside else ""
            found.setdefault(path, set()).add(function)
    yield from found.items()


def missing(repository: Repository, capability: str) -> Iterator[str]:
    """The code of a capability that should be there and is not."""
    given = repository.answers
    others = [
        path
        for question, choices in repository.choices.items()
        for choice, paths in choices.items()
        if given.get(question) != choice
        for path in paths
    ]
    entry = repository.capabilities[capability]
    for pattern in entry.get("paths", []):
        if pattern.startswith(("src/", "tools/")) and pattern not in others:
            if not repository.glob(pattern):
                yield f"{pattern}: is missing"
    for pattern in entry.get("library", []):
        if not any(within(name, pattern) for name in repository.library):
            yield f"{WHEEL}: lacks mlops_ladder/{pattern}"


def substance(repository: Repository, capability: str) -> Iterator[str]:
    """What is wrong with the files of a capability: missing, empty, copied, nonsense, hollow."""
    names = repository.own(capability)
    for name in names:
        yield from file_faults(repository, name)
    if not repository.ours:
        return
    yield from find_idle_targets(repository, capability)
    yield from missing(repository, capability)
    wanted, same = promised(repository), copies(repository)
    for name in names:
        named = wanted.get(name)
        if named and (lacking := named - defined(repository.text(name))):
            yield f"{name}: lacks {', '.join(sorted(lacking))}, which others import from it"
        if name in same:
            yield f"{name}: is a copy of {same[name]}"


def find_missing_library(repository: Repository, capability: str) -> Iterator[str]:
    """Says so where no code of a capability imports one of the libraries that its entry names."""
    wanted = repository.capabilities[capability]["imports"]
    names = [name for name in repository.own(capability) if name.endswith((".py", ".ipynb"))]
    named = repository.capabilities[capability].get("library", [])
    found = {it for name in names for it in repository.imports(name)}
    for name, text in repository.library.items():
        if any(within(name, pattern) for pattern in named):
            found |= set(imported(text))
    if not set(wanted) & found:
        yield f"no code imports one of {', '.join(wanted)}"


@cache
def copies(repository: Repository) -> dict[str, str]:
    """Files that hold the same as another one and do not speak of what their name says."""
    seen: dict[str, list[str]] = {}
    for name in repository.files:
        if (text := repository.text(name)).strip() and not name.startswith("data/"):
            seen.setdefault(text, []).append(name)
    return {
        name: next(other for other in names if other != name)
        for text, names in seen.items()
        if len(names) > 1
        for name in names
        if PurePosixPath(name).stem.removeprefix("test_") not in text
    }
