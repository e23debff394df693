"""The repository itself: entry point, hygiene, tests and hooks, lock."""

import re
from collections.abc import Iterator
from datetime import datetime, UTC
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

from mlops_ladder.maturity import sign, Unknown, use
from mlops_ladder.maturity.code import find_lacking_targets
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.syntax import examples, tests

KEYS = "|".join(
    (
        r"AKIA[0-9A-Z]{16}",
        r"gh[pousr]_[A-Za-z0-9]{36,}",
        r"glpat-[A-Za-z0-9_-]{20,}",
        r"xox[abprs]-[A-Za-z0-9-]{10,}",
        r"AIza[0-9A-Za-z_-]{35}",
    )
)
# Also an extended regular expression of git.  A part of a longer word, as of a picture, is no key.
SECRET = f"-----BEGIN [A-Z ]*PRIVATE KEY|(^|[^A-Za-z0-9+/])({KEYS})($|[^A-Za-z0-9+/])"
BLOB = 5_000_000  # bytes
IGNORED = (".env", "data/rows.parquet", "models/model.joblib", "mlflow.db")  # elsewhere the first
LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pixi.lock", "conda-lock.yml")

Facts = dict[str, Any]


FENCE = re.compile(r" *(```+|~~~+|-----*$|\.\.\.\.+$)")  # of Markdown and AsciiDoc
ITEM = re.compile(r" *(?:[-*+]|\d+[.)]) ")  # indented lines below it are its text
LITERAL = re.compile(r"\.\. (?:code|sourcecode|prompt|parsed-literal)|.*::\s*$")


def fences(text: str) -> list[str]:
    """The lines of code in a text of Markdown, reStructuredText or AsciiDoc: fenced, or indented.

    The prompts of a console are left out.
    """
    found, fence, opener, above, deep = [], "", "", "", 0
    for line in text.expandtabs(4).splitlines():
        mark, words = FENCE.match(line), line.strip()
        indent, literal = len(line) - len(line.lstrip()), LITERAL.match(opener)
        least = 1 if literal else 4
        if fence:
            fence = "" if words == fence else fence
            found += [words] if fence else []
        elif mark and (mark[1][0] not in "-." or not above or above.startswith(".")):
            fence, opener = mark[1], ""
        elif words and deep and indent >= deep:
            found.append(words)
        elif words and indent >= least and not above and not ITEM.match(opener):
            found, deep = [*found, words], indent
        elif words and not (literal and words.startswith(":")):  # options of a directive
            opener, deep = line, 0
        above = words
    return [re.sub(r"^[$>] ", "", line) for line in found if line]


@sign("repo.entrypoint", "the README says how to start, and the make targets that start it exist")
def starts(repository: Repository) -> Iterator[str]:
    """A README with commands whose targets exist; at home a way to train and to predict."""
    readmes = [it for it in repository.files if re.match(r"readme[^/]*\Z", it, re.IGNORECASE)]
    lines = [line for name in readmes for line in fences(repository.text(name))]
    if not lines:
        yield f"{(readmes or ['README.md'])[0]}: no block of commands in it says how to start"
    called = set(re.findall(r"(?:^|&& )make ([a-z][\w-]*)", "\n".join(lines), re.MULTILINE))
    wanted = {"train", "predict", "maturity"} if repository.ours else called
    if "Makefile" in repository.files:
        yield from find_lacking_targets(repository, *sorted(wanted))


@sign("repo.hygiene", "secrets, data and models are kept out of git")
def ignores(repository: Repository) -> Iterator[str]:
    """What must not get into git is ignored."""
    names = IGNORED if repository.ours else IGNORED[:1]
    ignored = repository.git("check-ignore", "--no-index", *names, good=(0, 1))
    for name in sorted(set(names) - set(ignored.split())):
        yield f".gitignore: does not leave out {name}"


@sign("repo.hygiene", "no secret in the history, and none in the files")
def secrets(repository: Repository) -> Iterator[str]:
    """Names each file in which something looks like a key."""
    found = {name for name in repository.files if leaks(repository.text(name))}
    shown = "--format=", "--unified=0", "--relative", "--src-prefix=a/", "--dst-prefix=b/"
    try:
        past = repository.git("log", "--all", "-G", SECRET, *shown, "--", ".")
    except Unknown:
        past = ""
    place = ""
    for line in past.splitlines():
        if line.startswith("+++ "):
            place = line[4:].strip('"').removeprefix("b/")
        elif line.startswith("+") and leaks(line[1:]):
            found.add(place)
    for name in sorted(found):
        yield f"{name}: holds a secret, now or in the history; withdraw the key, then rewrite"


def leaks(text: str) -> bool:
    """Does a text hold a key?  That of a manual, or one of few different signs, is none."""
    found = re.finditer(SECRET, text, re.MULTILINE)
    return any(not it[2] or (len({*it[2]}) > 9 and not it[2].endswith("EXAMPLE")) for it in found)


@sign("repo.hygiene", "no file over 5 MB in the history")
def blobs(repository: Repository) -> Iterator[str]:
    """Names each file that makes every clone large."""
    listed = f"--filter=blob:limit={BLOB}", "--filter-print-omitted"
    try:
        found = repository.git("rev-list", "--all", "--objects", *listed, "--", ".")
    except Unknown:
        return
    large = [line[1:].split()[0] for line in found.splitlines() if line.startswith("~")]
    for blob in large:
        name = repository.git("log", "--all", "--format=", "--name-only", f"--find-object={blob}")
        yield f"{(name.splitlines() or [blob])[0]}: over 5 MB, in the history of git"


@sign("repo.vcs", "a package that can be imported, tests, a formatter and a linter as hooks")
def habits(repository: Repository) -> Iterator[str]:
    """What keeps a repository in shape is set up."""
    if not repository.package:
        yield "no package to import: no folder with an __init__.py"
    found = [name for name in repository.files if name.endswith(".py") and is_test(name)]
    if not any(tests(repository.text(name)) for name in found) and not documented(repository):
        yield "no test compares anything"
    config = repository.parsed(".pre-commit-config.yaml")
    hooks = hooks_of(config)
    if not any(re.search("black|ruff|yapf|autopep8", hook) for hook in hooks):
        yield ".pre-commit-config.yaml: no hook formats Python"
    if not any(re.search("pylint|ruff|flake8", hook) for hook in hooks):
        yield ".pre-commit-config.yaml: no hook lints Python"


def is_test(name: str) -> bool:
    """Is it a file of tests, by its name?"""
    stem = PurePosixPath(name).stem
    return stem.startswith("test") or stem.endswith(("_test", "_tests"))


def documented(repository: Repository) -> bool:
    """Are the examples in docstrings run as tests?"""
    named = repository.glob(
        "*.toml", "*.ini", "*.cfg", "Makefile", "noxfile.py", ".github/workflows"
    )
    return any("doctest" in repository.text(name) for name in named) and any(
        examples(repository.text(name)) for name in repository.files if name.endswith(".py")
    )


def hooks_of(config: Any) -> list[str]:
    """The ids of the hooks of pre-commit."""
    repos = config.get("repos") if isinstance(config, dict) else None
    return [
        str(hook.get("id", ""))
        for repo in repos or []
        if isinstance(repo, dict)
        for hook in repo.get("hooks") or []
        if isinstance(hook, dict)
    ]


@use("repo.vcs")
def commits(repository: Repository) -> list[datetime]:
    """Commits that change code, tests or settings, after the first."""
    return changes(repository, "*.py", "*.toml")


def changes(repository: Repository, *paths: str) -> list[datetime]:
    """When these paths were changed, the first commit of the repository left out."""
    first = repository.git("rev-list", "--max-parents=0", "HEAD").split()
    listed = repository.git("log", "--no-merges", "--format=%H %cI", "--", *paths).splitlines()
    later = [line.split() for line in listed if line.split()[0] not in first]
    return [datetime.fromisoformat(when).astimezone(UTC) for _, when in later]


@sign("env.lock", "the lock names what the project asks for, and the Python is pinned")
def locked(repository: Repository) -> Iterator[str]:
    """Every dependency of pyproject.toml stands in the lock."""
    name = next((it for it in LOCKS if it in repository.files), "")
    text = repository.text(name) if name else ""
    lines: list[Any] = []
    named = repository.table("pyproject.toml", "project").get("dependencies")
    for group in (named, *repository.table("pyproject.toml", "dependency-groups").values()):
        lines += [line for line in group or () if isinstance(line, str)]
    asked = {re.split(r"[\s\[<>=!~;(]", line)[0].lower().replace("_", "-") for line in lines}
    have = set(re.findall(r'^name = "([^"]+)"', text, re.MULTILINE))
    if name in ("uv.lock", "poetry.lock", "pdm.lock") and (lacking := sorted(asked - have)):
        yield f"{name}: lacks {', '.join(lacking[:5])}; run: {name.split('.')[0]} lock"
    if repository.ours and ".python-version" not in repository.files:
        yield ".python-version: is missing"


@use("env.lock")
def locked_runs(repository: Repository) -> list[datetime]:
    """Runs whose lock is that of their commit."""
    return [
        datetime.fromtimestamp(run["started"], UTC)
        for run in repository.runs
        if lock_at(repository, run["tags"].get("git.commit", ""))
        == run["tags"].get("env.lock_sha256")
    ]


def lock_at(repository: Repository, commit: str) -> str:
    """The sha256 of uv.lock at a commit."""
    if not re.fullmatch("[0-9a-f]{40,64}", commit):  # a record may say anything, also an option
        return "none"
    try:
        text = repository.git("show", f"{commit}:./uv.lock")
    except Unknown:
        return "none"
    return sha256(text.encode()).hexdigest()
