"""Tried and planted: columns and values that nobody should see, and somebody who is forgotten."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.sandbox import Copy, last
from mlops_ladder.maturity.trials.data import data_path
from mlops_ladder.maturity.trials.project import answer

IDS, WORDS, PERSON = "id of a trial", "words of a trial", "person of a trial"
ROLES = {IDS: ("text", "id"), WORDS: ("category", "feature"), PERSON: ("text", "personal")}
RECORD, DATABASE = "forgotten.jsonl", "trial.db"
LOGGED = """
import json, sys
from datetime import UTC, datetime
from importlib import import_module
store = import_module("mlops_ladder.serving.store").Store(f"sqlite:///{sys.argv[1]}")
rows = [{sys.argv[2]: name} for name in sys.argv[3:]]
record = {"request_id": "trial", "model_version": "trial", "latency_ms": 1, "rows": len(rows)}
record |= {"time": datetime.now(UTC), "inputs": json.dumps(rows)}
store.write([record | {"output": json.dumps([{"prediction": 0}] * len(rows))}])
store.close()
"""


def columned(copy: Copy, *names: str) -> None:
    """Add columns of the trial's own to the contract."""
    with (copy.root / "contract.toml").open("a", encoding="utf-8") as file:
        for name in names:
            kind, role = ROLES.get(name, ("text", "feature"))
            file.write(f"\n[columns.{json.dumps(name)}]\nkind = '{kind}'\nrole = '{role}'\n")


def made(copy: Copy, odd: str = "") -> tuple[str, str, dict[str, Any]]:
    """A data file of the trial's own, an id in it, and the environment that names it and a log."""
    path = "data/of a trial.csv"
    found = answer(copy, "private", "made", path, IDS, WORDS, odd)
    (copy.root / RECORD).unlink(missing_ok=True)  # the user's: its key is not here
    columned(copy, IDS, WORDS)
    own = f"{copy.package.name.upper()}_SERVING__PREDICTION_LOG_URL"
    return path, found, data_path(copy, path) | {own: f"sqlite:///{DATABASE}", "FORGOTTEN_KEY": ""}


def holding(copy: Copy, text: str, *patterns: str) -> list[str]:
    """The files of the copy that hold a text."""
    paths = [path for pattern in patterns for path in copy.root.glob(pattern)]
    return sorted(path.name for path in paths if text.encode() in path.read_bytes())


@trial("data.privacy", "no personal column is a feature, or taken by the service and logged")
def unreached(copy: Copy) -> Iterator[str]:
    """Add one to the contract, and ask the project's own code; hold its columns to its rules."""
    columned(copy, PERSON)
    for place in answer(copy, "private", "reaches", PERSON):
        yield f"contract.toml: a column of role personal reaches {place}"
    done = copy.run("make", "--silent", "privacy-checked")
    if done.returncode:
        yield f"make privacy: {last(done)}"
    if "privacy --check" not in copy.must("make", "--dry-run", "check"):
        yield "make check: does not hold the columns to the rules of privacy"


@trial(
    "data.privacy", "a forgotten id is gone from data and log, and the data have another version"
)
def forgotten(copy: Copy) -> Iterator[str]:
    """Log a request with two ids, and forget one of them; then forget it again."""
    path, name, where = made(copy)
    copy.python(LOGGED, DATABASE, IDS, name, "another-id-of-the-trial")
    if not holding(copy, name, path) or not holding(copy, name, f"{DATABASE}*"):
        raise Unknown("the id of the trial got into no file: what is gone cannot be told")
    before = sha256((copy.root / path).read_bytes()).hexdigest()
    done = copy.run("make", "forget", f"ID={name}", **where)
    if done.returncode:
        yield f"make forget: {last(done)}"
        return
    for file in holding(copy, name, path, f"{DATABASE}*", "forgotten.*"):
        yield f"make forget: {file} holds the id still"
    if not holding(copy, "another-id-of-the-trial", f"{DATABASE}*"):
        yield "make forget: another row of the same request is gone too"
    if f'"before": "{before}"' not in copy.repository.text(RECORD):
        yield f"{RECORD}: does not say which file was changed"
    if not copy.run("make", "forget", f"ID={name}", **where).returncode:
        yield "make forget: an id that is nowhere is forgotten without a word"


@fault("data.privacy", "a banned column fails `make check`, which names it")
def banned(copy: Copy) -> Iterator[str]:
    """Any of the names that are banned as a whole."""
    rules = (
        (copy.repository.parsed("governance/privacy.toml") or {}).get("banned", {}).get("names", [])
    )
    plain = [name for name in rules if "*" not in name]
    if not plain:
        raise Unknown("governance/privacy.toml: bans no name as a whole")
    name = copy.random.choice(plain).title()
    columned(copy, name)
    done = copy.run("make", "--silent", "privacy-checked")
    if not done.returncode or f"{name}: " not in done.stderr:
        yield f"contract.toml: {name} is a feature, and `make check` does not say so"


@fault("data.privacy", "an e-mail address in a feature is told by column and row, and not shown")
def written(copy: Copy) -> Iterator[str]:
    """One cell of a column of words."""
    odd = f"somebody.{copy.random.randrange(10**6)}@example.org"
    _, _, where = made(copy, odd)
    done = copy.cli("privacy", "--check", **where)
    if not done.returncode or f"{WORDS}: 1 of" not in done.stderr:
        yield f"{WORDS}: holds an e-mail address, and `make privacy` does not say so"
    if odd in done.stdout + done.stderr:
        yield "make privacy: prints the e-mail address that it finds"


@fault("data.privacy", "an id that was forgotten and is back is told")
def returned(copy: Copy) -> Iterator[str]:
    """Put the file as it was before in the place of the one without the id."""
    path, name, where = made(copy)
    old = (copy.root / path).read_bytes()
    copy.must("make", "forget", f"ID={name}", **where)
    (copy.root / path).write_bytes(old)
    done = copy.cli("privacy", "--check", **where)
    if not done.returncode or f"{IDS}: 1 of" not in done.stderr:
        yield f"{IDS}: an id that was forgotten is back, and `make privacy` does not say so"
