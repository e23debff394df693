"""The repository itself: entry point, hygiene, tests and hooks, lock."""

import re
from collections.abc import Iterator
from datetime import datetime, UTC
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.code import find_lacking_targets
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.syntax import has_examples, list_tests

KEYS = "|".join(
    (
        r"AKIA[0-9A-Z]{16}",
        r"gh[pousr]_[A-Za-z0-9]{36,}",
        r"glpat-[A-Za-z0-9_-]{20,}",
        r"xox[abprs]-[A-Za-z0-9-]{10,}",
        r"AIza[0-9A-Za-z_-]{35}",
    )
)
# Git reads it as an extended regular expression too.  A part of a longer word is no key.
SECRET = f"-----BEGIN [A-Z ]*PRIVATE KEY|(^|[^A-Za-z0-9+/])({KEYS})($|[^A-Za-z0-9+/])"
MAX_BYTES = 5_000_000  # for a file in the history
IGNORED = (".env", "data/rows.parquet", "models/model.joblib", "mlflow.db")  # only .env elsewhere
LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pixi.lock", "conda-lock.yml")
FENCE = re.compile(r" *(```+|~~~+|-----*$|\.\.\.\.+$)")  # in Markdown and AsciiDoc
ITEM = re.compile(r" *(?:[-*+]|\d+[.)]) ")  # indented lines below an item are its text
LITERAL = re.compile(r"\.\. (?:code|sourcecode|prompt|parsed-literal)|.*::\s*$")


def list_code_lines(text: str) -> list[str]:
    """Return the lines of code in Markdown, reStructuredText or AsciiDoc: fenced, or indented.

    The prompts of a console are left out.
    """
    commands, fence, opener, above, deep = [], "", "", "", 0
    for line in text.expandtabs(4).splitlines():
        mark, words = FENCE.match(line), line.strip()
        indent, literal = len(line) - len(line.lstrip()), LITERAL.match(opener)
        least = 1 if literal else 4
        if fence:
            fence = "" if words == fence else fence
            commands += [words] if fence else []
        elif mark and (mark[1][0] not in "-." or not above or above.startswith(".")):
            fence, opener = mark[1], ""
        elif words and deep and indent >= deep:
            commands.append(words)
        elif words and indent >= least and not above and not ITEM.match(opener):
            commands, deep = [*commands, words], indent
        elif words and not (literal and words.startswith(":")):  # skips the options of a directive
            opener, deep = line, 0
        above = words
    return [re.sub(r"^[$>] ", "", line) for line in commands if line]


def find_start_faults(repository: Repository) -> Iterator[str]:
    """Yield a README without commands, and the targets that the Makefile lacks."""
    readmes = [name for name in repository.files if re.match(r"(?i)readme[^/]*\Z", name)]
    commands = [line for name in readmes for line in list_code_lines(repository.text(name))]
    if not commands:
        yield f"{(readmes or ['README.md'])[0]}: no block of commands in it says how to start"
    called = set(re.findall(r"(?:^|&& )make ([a-z][\w-]*)", "\n".join(commands), re.MULTILINE))
    targets = {"train", "predict", "maturity"} if repository.ours else called
    if "Makefile" in repository.files:
        yield from find_lacking_targets(repository, *sorted(targets))


def find_unignored_files(repository: Repository) -> Iterator[str]:
    """Yield each file that git should ignore and does not."""
    names = IGNORED if repository.ours else IGNORED[:1]
    ignored = repository.git("check-ignore", "--no-index", *names, good=(0, 1))
    for name in sorted(set(names) - set(ignored.split())):
        yield f".gitignore: does not ignore {name}"


def find_secrets(repository: Repository) -> Iterator[str]:
    """Yield each file with a text that looks like a key, now or in the history."""
    leaking = {name for name in repository.files if has_secret(repository.text(name))}
    shown = "--format=", "--unified=0", "--relative", "--src-prefix=a/", "--dst-prefix=b/"
    try:
        past = repository.git("log", "--all", "-G", SECRET, *shown, "--", ".")
    except Unknown:
        past = ""
    path = ""
    for line in past.splitlines():
        if line.startswith("+++ "):
            path = line[4:].strip('"').removeprefix("b/")
        elif line.startswith("+") and has_secret(line[1:]):
            leaking.add(path)
    for name in sorted(leaking):
        yield f"{name}: holds a secret, or held one; revoke the key, then rewrite the history"


def has_secret(text: str) -> bool:
    """Return whether a text holds a key.  Example keys from manuals do not count."""
    keys = re.finditer(SECRET, text, re.MULTILINE)
    return any(
        not key[2] or (len({*key[2]}) > 9 and not key[2].endswith("EXAMPLE")) for key in keys
    )


def find_large_files(repository: Repository) -> Iterator[str]:
    """Yield each file of the history that makes every clone large."""
    listed = f"--filter=blob:limit={MAX_BYTES}", "--filter-print-omitted"
    try:
        objects = repository.git("rev-list", "--all", "--objects", *listed, "--", ".")
    except Unknown:
        return
    for blob in (line[1:].split()[0] for line in objects.splitlines() if line.startswith("~")):
        name = repository.git("log", "--all", "--format=", "--name-only", f"--find-object={blob}")
        yield f"{(name.splitlines() or [blob])[0]}: over 5 MB, in the history of git"


def find_practice_faults(repository: Repository) -> Iterator[str]:
    """Yield which of package, tests, formatter and linter is missing."""
    if not repository.package:
        yield "no package to import: no folder with an __init__.py"
    texts = [repository.text(name) for name in repository.files if is_test_file(name)]
    if not any(map(list_tests, texts)) and not has_doctests(repository):
        yield "no test compares anything"
    hooks = list_hook_ids(repository.parsed(".pre-commit-config.yaml"))
    if not any(re.search("black|ruff|yapf|autopep8", hook) for hook in hooks):
        yield ".pre-commit-config.yaml: no hook formats Python"
    if not any(re.search("pylint|ruff|flake8", hook) for hook in hooks):
        yield ".pre-commit-config.yaml: no hook lints Python"


def is_test_file(name: str) -> bool:
    """Return whether a file is a Python file of tests, by its name."""
    path = PurePosixPath(name)
    named = path.stem.startswith("test") or path.stem.endswith(("_test", "_tests"))
    return name.endswith(".py") and named


def has_doctests(repository: Repository) -> bool:
    """Return whether the examples in docstrings are run as tests."""
    settings = repository.glob(
        "*.toml", "*.ini", "*.cfg", "Makefile", "noxfile.py", ".github/workflows"
    )
    return any("doctest" in repository.text(name) for name in settings) and any(
        has_examples(repository.text(name)) for name in repository.files if name.endswith(".py")
    )


def list_hook_ids(config: Any) -> list[str]:
    """Return the ids of the hooks in a configuration of pre-commit."""
    repos = config.get("repos") if isinstance(config, dict) else None
    return [
        str(hook.get("id", ""))
        for repo in repos or []
        if isinstance(repo, dict)
        for hook in repo.get("hooks") or []
        if isinstance(hook, dict)
    ]


def list_change_times(repository: Repository, *paths: str) -> list[datetime]:
    """Return the times of commits that changed these paths, without the first commit."""
    first = repository.git("rev-list", "--max-parents=0", "HEAD").split()
    listed = repository.git("log", "--no-merges", "--format=%H %cI", "--", *paths).splitlines()
    later = [line.split() for line in listed if line.split()[0] not in first]
    return [datetime.fromisoformat(when).astimezone(UTC) for _, when in later]


def find_lock_faults(repository: Repository) -> Iterator[str]:
    """Yield the dependencies of pyproject.toml that the lock lacks."""
    name = next((lock for lock in LOCKS if lock in repository.files), "")
    text = repository.text(name) if name else ""
    direct = repository.table("pyproject.toml", "project").get("dependencies")
    groups = [direct, *repository.table("pyproject.toml", "dependency-groups").values()]
    lines = [line for group in groups for line in group or () if isinstance(line, str)]
    names = {re.split(r"[\s\[<>=!~;(]", line)[0].lower().replace("_", "-") for line in lines}
    lacking = sorted(names - set(re.findall(r'^name = "([^"]+)"', text, re.MULTILINE)))
    if name in ("uv.lock", "poetry.lock", "pdm.lock") and lacking:
        yield f"{name}: lacks {', '.join(lacking[:5])}; run: {name.split('.')[0]} lock"


def list_locked_runs(repository: Repository) -> list[datetime]:
    """Return the times of the runs whose lock is that of their commit."""
    return [
        datetime.fromtimestamp(run["started"], UTC)
        for run in repository.runs
        if hash_lock_at(repository, run["tags"].get("git.commit", ""))
        == run["tags"].get("env.lock_sha256")
    ]


def hash_lock_at(repository: Repository, commit: str) -> str:
    """Return the sha256 of uv.lock at a commit, or "none"."""
    if not re.fullmatch("[0-9a-f]{40,64}", commit):  # a record can hold any text, even an option
        return "none"
    try:
        text = repository.git("show", f"{commit}:./uv.lock")
    except Unknown:
        return "none"
    return sha256(text.encode()).hexdigest()
