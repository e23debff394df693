"""The history of the champion: who made which version the champion, when, and why.

MLflow's aliases have no author, time or history, and any client may move one.  So the gate writes
each decision down twice before an alias moves.  A tag of the registered model holds it for every
machine.  A line of `promotions.jsonl` holds it with its evidence.  If the two differ, the registry
is right: the log of each machine is an export of it.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, UTC
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from mlops_ladder import read_text_if_exists, write_synced_file
from mlops_ladder.strict_model import StrictModel

LOG = Path("promotions.jsonl")
NON_MOVING_ACTIONS = ("accept", "refuse")  # they leave the champion as it is
Action = Literal["accept", "promote", "renew", "rollback", "refuse", "repair"]


class Entry(StrictModel):
    """One decision of the gate: from here on `version` is champion and `previous` the one before.

    An accepted version waits for an approval.  For a refusal, `version` is the refused one; a
    renewal has the verdict of the same model.  `bundle` is the sha256 of the served bundle, `proof`
    that of the verdict.
    """

    number: int
    time: datetime
    action: Action
    version: str | None
    run_id: str
    model_version: str
    previous: str | None
    who: str
    commit: str
    data_sha256: str
    bundle: str
    proof: str
    verdict: Any = None

    @property
    def short(self) -> str:
        """The text in the registry: without the verdict, which may be long."""
        return json.dumps(self.model_dump(mode="json", exclude={"verdict"}))

    @property
    def line(self) -> str:
        """The text in the log, in ASCII: a kill while it is written splits no character."""
        return json.dumps(self.model_dump(mode="json")) + "\n"

    def __str__(self) -> str:
        subject = f"v{self.version}" if self.version else "no champion"
        return f"{self.time:%Y-%m-%d %H:%M} {self.action} {subject} by {self.who}"


def parse_entry(text: str) -> Entry | None:
    """Return the entry in this text, or None if it is not an entry."""
    try:
        return Entry.model_validate_json(text)
    except ValidationError:
        return None


def hash_verdict(verdict: Any) -> str:
    """Return the sha256 of a verdict; the order of its keys does not matter."""
    return hashlib.sha256(json.dumps(verdict, sort_keys=True).encode()).hexdigest()


def list_moves(entries: Iterable[Entry]) -> list[Entry]:
    """Return the decisions that moved the aliases, in their order."""
    return [entry for entry in entries if entry.action not in NON_MOVING_ACTIONS]


def find_champion_entry(entries: Iterable[Entry]) -> Entry | None:
    """Return the decision that made the current champion, or None if there is no champion."""
    last = list_moves(entries)[-1:]
    return last[0] if last and last[0].version else None


def list_promotions(entries: Iterable[Entry]) -> list[Entry]:
    """Return the promotions and renewals: the versions that the gate has accepted."""
    return [entry for entry in entries if entry.action in ("promote", "renew")]


def list_moves_since_repair(entries: Iterable[Entry]) -> list[Entry]:
    """Return the moves to a version since the last repair, which has checked all before it."""
    moves = list_moves(entries)
    repairs = [place for place, entry in enumerate(moves) if entry.action == "repair"]
    return [entry for entry in moves[repairs[-1] if repairs else 0 :] if entry.version]


def name_champion(last: Entry | None) -> str | None:
    """Return the name of the champion in the reasons of a verdict."""
    return f"champion v{last.version}" if last else None


def find_rollback(entries: Sequence[Entry], number: str) -> Entry | None:
    """Return the rollback that replaced this version, unless it has been champion since."""
    for entry in reversed(list_moves(entries)):
        if number in (entry.version, entry.previous):
            return entry if entry.action == "rollback" and entry.version != number else None
    return None


def read_log_lines() -> list[str]:
    """Return the lines of the log as they are."""
    return read_text_if_exists(LOG).splitlines(keepends=True)


def append_entry(entry: Entry) -> None:
    """Write the entry into the log and sync it to the disk.

    If a kill has left a piece of it at the end, complete that piece.
    """
    lines = read_log_lines()
    if entry.line in lines:
        return
    torn = lines[-1] if lines and not lines[-1].endswith("\n") else ""
    rest = entry.line.removeprefix(torn) if entry.line.startswith(torn) else f"\n{entry.line}"
    with LOG.open("a", encoding="utf-8") as file:
        file.write(rest)
        file.flush()
        os.fsync(file.fileno())


def rewrite_log(entries: Iterable[Entry]) -> None:
    """Replace the log by these entries, and keep the old log under another name."""
    lines = [entry.line for entry in entries]
    if lines == read_log_lines():
        return
    unfinished = LOG.with_name(f"{LOG.name}.part")
    write_synced_file(unfinished, "".join(lines).encode())
    rename_old_log(LOG)
    unfinished.rename(LOG)


def rename_old_log(path: Path) -> None:
    """Rename a file, if it exists, to a name with the present time."""
    if path.exists():
        path.rename(path.with_name(f"{path.name}.old-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"))


def read_log() -> dict[int, Entry]:
    """Return the entries of the log by number, without lines that are not entries."""
    return {entry.number: entry for entry in map(parse_entry, read_log_lines()) if entry}


def compare_log(copies: Mapping[int, str]) -> list[str]:
    """Return a line for each contradiction between the log and the registry's copies.

    An entry that the log lacks is no contradiction: `recover_decisions` adds it.
    """
    logged = read_log()
    count = len(read_log_lines()) - len(logged)
    faults = [f"{LOG}: {count} lines are no decision, or a decision a second time"] if count else []
    for number, entry in sorted(logged.items()):
        sound = entry.verdict is None or hash_verdict(entry.verdict) == entry.proof
        title = f"{LOG}: decision {number}"
        if number not in copies:
            faults.append(f"{title} is not the gate's: the registry lacks it")
        elif not (sound and entry.short == copies[number]):
            faults.append(f"{title} was changed: the registry holds {copies[number]}")
    return faults
