"""The ledger: every decision about a training, a line each, which only ever grows."""

import json
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from mlops_ladder import append_only_log, ProjectError
from mlops_ladder.pipeline.retraining.decision import Entry, Result
from mlops_ladder.registry import decisions

LEDGER = Path("triggers.jsonl")
LOCK, RUNNING = Path("models/triggers.lock"), Path("models/triggers-run.lock")
PATIENCE = 600  # seconds: who decides may have to read all data
STARTING = timedelta(minutes=5)  # that a run has to begin
LOST = "its process ended before it did"


def alone() -> AbstractContextManager[None]:
    """Nobody else on this machine decides about a training meanwhile."""
    return decisions.alone(LOCK, PATIENCE)


def running() -> FileLock:
    """Held by the run that is under way."""
    RUNNING.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(RUNNING, timeout=0)


def entries() -> list[Entry]:
    """All decisions in their order, with the end of their runs.

    Raises ProjectError that names a line that is none.
    """
    found: dict[str, Entry] = {}
    for number, line in enumerate(lines(), start=1):
        try:
            known: dict[str, Any] = json.loads(line)
            before = found.get(str(known.get("id")))
            told = before.model_dump() | known if before else known
            found[str(known.get("id"))] = Entry.model_validate(told)
        except (ValueError, ValidationError, TypeError) as error:
            way_out = f"put {LEDGER} back as it was, or take the line out"
            raise ProjectError(f"{LEDGER}: line {number} is no decision; {way_out}") from error
    return list(found.values())


def lines() -> list[str]:
    """The lines of the ledger, without a piece of one that a kill has left at the end."""
    text = LEDGER.read_text(encoding="utf-8") if LEDGER.exists() else ""
    return text.rpartition("\n")[0].splitlines()


def add(entry: Entry) -> None:
    """Write a decision down."""
    append_only_log.append_line(
        LEDGER, json.dumps(entry.model_dump(mode="json", exclude_none=True))
    )


def end(name: str, now: datetime, result: Result, said: str) -> None:
    """Write down how the run of a decision ended."""
    told = {"id": name, "ended": now.isoformat(), "result": result, "said": said[:500]}
    append_only_log.append_line(LEDGER, json.dumps(told))


def recovered(now: datetime) -> list[Entry]:
    """All decisions, once runs that nobody watches any more are written down as failed."""
    known = entries()
    late = [it for it in known if lost(it) and now - it.time > STARTING]
    if late and not under_way():
        for it in late:
            end(it.id, now, "failed", LOST)
        return entries()
    return known


def lost(entry: Entry) -> bool:
    """Is it a run without an end?"""
    return entry.decision == "run" and entry.ended is None


def under_way() -> bool:
    """Does a process hold the lock of the run?"""
    try:
        with running():
            return False
    except Timeout:
        return True
