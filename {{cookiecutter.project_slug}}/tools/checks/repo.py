"""The repository itself: entry point, hygiene, tests and hooks, lock."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

from . import Unknown, sign, use
from .repository import Repository
from .syntax import tests

SECRET = "|".join(
    (
        r"-----BEGIN [A-Z ]*PRIVATE KEY",
        r"AKIA[0-9A-Z]{16}",
        r"gh[pousr]_[A-Za-z0-9]{36}",
        r"glpat-[A-Za-z0-9_-]{20}",
        r"xox[abprs]-[A-Za-z0-9-]{10}",
        r"AIza[0-9A-Za-z_-]{35}",
    )
)
BLOB = 5_000_000  # bytes
IGNORED = (".env", "data/rows.parquet", "models/model.joblib", "mlflow.db")  # elsewhere the first
LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pixi.lock", "conda-lock.yml")

Facts = dict[str, Any]


def fences(text: str) -> list[str]:
    """The lines of the fenced blocks of a Markdown text."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def targets(repository: Repository) -> set[str]:
    """The targets of the Makefile and of the files that it includes."""
    texts = [repository.text(name) for name in repository.glob("Makefile", "make/*.mk")]
    return set(re.findall(r"^([\w-]+):(?!=)", "\n".join(texts), re.MULTILINE))


@sign("repo.entrypoint", "the README says how to start, and the make targets that start it exist")
def starts(repository: Repository) -> Iterator[str]:
    """A README with commands whose targets exist; at home a way to train and to predict."""
    readmes = repository.glob("README*", "readme*")
    lines = [line for name in readmes for line in fences(repository.text(name))]
    if not lines:
        yield "README.md: no fenced command in it says how to start"
    called = set(re.findall(r"(?:^|&& )make ([a-z][\w-]*)", "\n".join(lines), re.MULTILINE))
    wanted = {"train", "predict", "maturity"} if repository.ours else called
    if "Makefile" in repository.files:
        for target in sorted(wanted - targets(repository)):
            yield f"Makefile: lacks the target {target}"


@sign("repo.hygiene", "secrets, data and models are kept out of git")
def ignores(repository: Repository) -> Iterator[str]:
    """What must not get into git is ignored."""
    names = IGNORED if repository.ours else IGNORED[:1]
    done = repository.run("git", "check-ignore", "--no-index", *names)
    if done.returncode > 1:
        raise Unknown("no git repository: git init")
    for name in sorted(set(names) - set(done.stdout.split())):
        yield f".gitignore: does not leave out {name}"


@sign("repo.hygiene", "no secret in the history, and none in the files")
def secrets(repository: Repository) -> Iterator[str]:
    """Names each file in which something looks like a key."""
    files = {name for name in repository.files if re.search(SECRET, repository.text(name))}
    try:
        past = repository.git("log", "--all", "-G", SECRET, "--format=", "--name-only")
    except Unknown:
        past = ""
    for name in sorted(files | set(past.split("\n")) - {""}):
        yield f"{name}: holds a secret, now or in the history; withdraw the key, then rewrite"


@sign("repo.hygiene", "no file over 5 MB in the history")
def blobs(repository: Repository) -> Iterator[str]:
    """Names each file that makes every clone large."""
    listed = f"--filter=blob:limit={BLOB}", "--filter-print-omitted"
    try:
        found = repository.git("rev-list", "--all", "--objects", *listed)
    except Unknown:
        return
    large = [line[1:].split()[0] for line in found.splitlines() if line.startswith("~")]
    for blob in large:
        name = repository.git("log", "--all", "--format=", "--name-only", f"--find-object={blob}")
        yield f"{(name.split() or [blob])[0]}: over 5 MB, in the history of git"


@sign("repo.vcs", "a package that can be imported, tests, a formatter and a linter as hooks")
def habits(repository: Repository) -> Iterator[str]:
    """What keeps a repository in shape is set up."""
    if not repository.package:
        yield "no package to import: no folder with an __init__.py"
    found = [name for name in repository.files if name.endswith(".py") and is_test(name)]
    if not any(tests(repository.text(name)) for name in found):
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
    return stem.startswith("test_") or stem.endswith("_test")


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
    text = (repository.root / name).read_text(encoding="utf-8") if name else ""
    lines = [*repository.pyproject.get("project", {}).get("dependencies", [])]
    for group in repository.pyproject.get("dependency-groups", {}).values():
        lines += [line for line in group if isinstance(line, str)]
    asked = {re.split(r"[\s\[<>=!~;(]", line)[0].lower().replace("_", "-") for line in lines}
    have = set(re.findall(r'^name = "([^"]+)"', text, re.MULTILINE))
    if name in ("uv.lock", "poetry.lock", "pdm.lock") and (lacking := sorted(asked - have)):
        yield f"{name}: lacks {', '.join(lacking[:5])}; run: uv lock"
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
    try:
        text = repository.git("show", f"{commit}:uv.lock")
    except Unknown:
        return "none"
    return sha256(text.encode()).hexdigest()
