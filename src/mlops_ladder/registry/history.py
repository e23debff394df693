"""The history of the champion: who made which version the champion, when, and why.

MLflow's aliases have no author, no time and no history, and any client may move one.  So the gate
writes each decision down twice before an alias moves: as a tag of the registered model, where every
machine finds it, and as a line of `promotions.jsonl`, which holds the evidence as well.  The
registry is right; the log of each machine is an export of it.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, UTC
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from mlops_ladder import write_synced_file
from mlops_ladder.strict_model import StrictModel

LOG = Path("promotions.jsonl")
Action = Literal["accept", "promote", "renew", "rollback", "refuse", "repair"]


STILL = ("accept", "refuse")  # decisions after which the champion is who it was


class Entry(StrictModel):
    """One decision of the gate: from here on `version` is champion and `previous` the one before.

    Accepted is a version that waits until somebody approves it.  Of a refusal `version` is what was
    refused; a renewal has the verdict of the same model.  `bundle` is the sha256 of what is served,
    `proof` that of the verdict.
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
        """The text that the registry holds: without the verdict, which may be long."""
        return json.dumps(self.model_dump(mode="json", exclude={"verdict"}))

    @property
    def line(self) -> str:
        """The text that the log holds, in ASCII: a kill while it is written splits no character."""
        return json.dumps(self.model_dump(mode="json")) + "\n"

    def __str__(self) -> str:
        what = f"v{self.version}" if self.version else "no champion"
        return f"{self.time:%Y-%m-%d %H:%M} {self.action} {what} by {self.who}"


def parse(text: str) -> Entry | None:
    """The entry in this text, or None where there is none."""
    try:
        return Entry.model_validate_json(text)
    except ValidationError:
        return None


def digest(verdict: Any) -> str:
    """The sha256 of a verdict, in whatever order its keys are."""
    return hashlib.sha256(json.dumps(verdict, sort_keys=True).encode()).hexdigest()


def moves(entries: Iterable[Entry]) -> list[Entry]:
    """The decisions that moved the aliases, in their order."""
    return [entry for entry in entries if entry.action not in STILL]


def champion(entries: Iterable[Entry]) -> Entry | None:
    """The decision that made the champion what it is, or None where there is no champion."""
    last = moves(entries)[-1:]
    return last[0] if last and last[0].version else None


def promoted(entries: Iterable[Entry]) -> list[Entry]:
    """The promotions, and their renewals: what the gate has accepted."""
    return [entry for entry in entries if entry.action in ("promote", "renew")]


def standing(entries: Iterable[Entry]) -> list[Entry]:
    """The moves to a version since the last repair, which has looked at all before it."""
    found: list[Entry] = []
    for entry in moves(entries):
        if entry.action == "repair":
            found.clear()
        if entry.version:
            found.append(entry)
    return found


def title(last: Entry | None) -> str | None:
    """What the reasons of a verdict call the champion."""
    return f"champion v{last.version}" if last else None


def rolled_back(entries: Sequence[Entry], number: str) -> Entry | None:
    """The rollback that took this version down, unless it has been champion since."""
    for entry in reversed(moves(entries)):
        if number in (entry.version, entry.previous):
            return entry if entry.action == "rollback" and entry.version != number else None
    return None


def lines() -> list[str]:
    """The lines of the log, as they stand there."""
    return LOG.read_text(encoding="utf-8").splitlines(keepends=True) if LOG.exists() else []


def append(entry: Entry) -> None:
    """Have the entry in the log, and on the disk, before anything else happens.

    A piece of it, which a kill has left at the end, is completed.
    """
    known = lines()
    if entry.line in known:
        return
    torn = known[-1] if known and not known[-1].endswith("\n") else ""
    rest = entry.line.removeprefix(torn) if entry.line.startswith(torn) else f"\n{entry.line}"
    with LOG.open("a", encoding="utf-8") as file:
        file.write(rest)
        file.flush()
        os.fsync(file.fileno())


def rewrite(entries: Iterable[Entry]) -> None:
    """Have these entries in the log and nothing else; the log that was there is set aside."""
    wanted = [entry.line for entry in entries]
    if wanted == lines():
        return
    unfinished = LOG.with_name(f"{LOG.name}.part")
    write_synced_file(unfinished, "".join(wanted).encode())
    if LOG.exists():
        LOG.rename(LOG.with_name(f"{LOG.name}.old-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"))
    unfinished.rename(LOG)


def logged() -> dict[int, Entry]:
    """The entries of the log by their numbers, without lines that are none."""
    return {entry.number: entry for entry in map(parse, lines()) if entry}


def differences(copies: Mapping[int, str]) -> list[str]:
    """Where the log contradicts the registry, in words; what it lacks, `recover` brings."""
    ours = logged()
    odd = len(lines()) - len(ours)
    faults = [f"{LOG}: {odd} lines are no decision, or one that is there twice"] if odd else []
    for number in sorted(ours):
        where = f"{LOG}: decision {number}"
        if number not in copies:
            faults.append(f"{where} is not the gate's: the registry does not hold it")
        elif not same(ours[number], copies[number]):
            faults.append(f"{where} was changed: the registry holds {copies[number]}")
    return faults


def same(entry: Entry, copy: str) -> bool:
    """Does an entry of the log say what the registry holds of it?"""
    sound = entry.verdict is None or digest(entry.verdict) == entry.proof
    return sound and entry.short == copy
