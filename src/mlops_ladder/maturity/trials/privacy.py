"""Trials and faults of privacy: banned columns, addresses in the data, forgotten ids."""

import json
from collections.abc import Iterator
from hashlib import sha256

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.sandbox import Copy, last_line
from mlops_ladder.maturity.trials.project import ask_project, read_table

DATA, RECORD, DATABASE = "data/of a trial.csv", "forgotten.jsonl", "trial.db"
IDS, WORDS = "id of a trial", "words of a trial"
OTHER_ID = "another-id-of-the-trial"
KINDS = {IDS: ("text", "id"), WORDS: ("category", "feature")}


def add_column(copy: Copy, name: str) -> None:
    """Add a column to the contract."""
    kind, role = KINDS.get(name, ("text", "feature"))
    column = f"\n[columns.{json.dumps(name)}]\nkind = '{kind}'\nrole = '{role}'\n"
    copy.append("contract.toml", column)


def write_rows(copy: Copy, odd: str = "") -> tuple[str, dict[str, str]]:
    """Write a data file with two more columns, and an odd text in one cell.

    Returns an id of it, and the environment that names the file and a prediction log.
    """
    name = ask_project(copy, "rows", "write_private_rows", DATA, IDS, WORDS, odd)
    (copy.root / RECORD).unlink(missing_ok=True)  # the user's record: its key is not in the copy
    add_column(copy, IDS)
    add_column(copy, WORDS)
    settings = copy.settings(DATA__PATH=DATA, SERVING__PREDICTION_LOG_URL=f"sqlite:///{DATABASE}")
    return name, settings | {"FORGOTTEN_KEY": ""}


def find_holders(copy: Copy, text: str, *patterns: str) -> list[str]:
    """Return the files of the copy that hold a text."""
    paths = [path for pattern in patterns for path in copy.root.glob(pattern)]
    return sorted(path.name for path in paths if text.encode() in path.read_bytes())


def forget_id(copy: Copy) -> Iterator[str]:
    """Log a request with two ids, and forget one of them; then forget it again."""
    name, environment = write_rows(copy)
    script = read_table()["texts"]["log_request"]
    copy.run("python", "-c", script, DATABASE, IDS, name, OTHER_ID)
    if not find_holders(copy, name, DATA) or not find_holders(copy, name, f"{DATABASE}*"):
        raise Unknown("the id of the trial got into no file, so no file can lose it")
    before = sha256((copy.root / DATA).read_bytes()).hexdigest()
    done = copy.run("make", "forget", f"ID={name}", **environment)
    if done.returncode:
        yield f"make forget: {last_line(done)}"
        return
    for file in find_holders(copy, name, DATA, f"{DATABASE}*", "forgotten.*"):
        yield f"make forget: {file} still holds the id"
    if not find_holders(copy, OTHER_ID, f"{DATABASE}*"):
        yield "make forget: another row of the same request is gone too"
    if f'"before": "{before}"' not in copy.text(RECORD):
        yield f"{RECORD}: does not say which file was changed"
    if not copy.run("make", "forget", f"ID={name}", **environment).returncode:
        yield "make forget: an id that is nowhere is forgotten without a word"


def add_banned_column(copy: Copy) -> dict[str, str]:
    """Add a column with a banned name to the contract; return the name."""
    rules = copy.repository.table("governance/privacy.toml", "banned").get("names", [])
    names = [name for name in rules if "*" not in name]
    if not names:
        raise Unknown("governance/privacy.toml: bans no name as a whole")
    name = copy.random.choice(names).title()
    add_column(copy, name)
    return {"column": name}


def write_rows_with_email(copy: Copy) -> dict[str, str]:
    """Write rows with an e-mail address in one cell; return file, column and address."""
    email = f"somebody.{copy.random.randrange(10**6)}@example.org"
    write_rows(copy, email)
    return {"path": DATA, "column": WORDS, "email": email}


def bring_forgotten_id_back(copy: Copy) -> Iterator[str]:
    """Forget an id, and put the file back as it was before."""
    name, environment = write_rows(copy)
    content = (copy.root / DATA).read_bytes()
    copy.must("make", "forget", f"ID={name}", **environment)
    (copy.root / DATA).write_bytes(content)
    done = copy.run("ladder", "privacy", "--check", **environment)
    if not done.returncode or f"{IDS}: 1 of" not in done.stderr:
        yield f"{IDS}: an id that was forgotten is back, and `make privacy` does not say so"
