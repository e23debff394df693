"""The ledger: an append-only file with a line for each decision about a training."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from mlops_ladder import append_only_log, ProjectError
from mlops_ladder.pipeline.retraining.decision import Entry, Result

LEDGER = Path("triggers.jsonl")
LOCK, RUNNING = Path("models/triggers.lock"), Path("models/triggers-run.lock")
LOCK_TIMEOUT_S = 600  # a decision may have to read all data
START_TIMEOUT = timedelta(minutes=5)
LOST = "its process ended before it did"


def run_lock() -> FileLock:
    """Return the lock that the present run holds."""
    RUNNING.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(RUNNING, timeout=0)


def read_ledger() -> list[Entry]:
    """Return all decisions in their order, with the end of their runs.

    Raises ProjectError that names an invalid line.
    """
    entries: dict[str, Entry] = {}
    text = LEDGER.read_text(encoding="utf-8") if LEDGER.exists() else ""
    complete = text.rpartition("\n")[0]  # without a line that a kill has torn
    for number, line in enumerate(complete.splitlines(), start=1):
        try:
            fields: dict[str, Any] = json.loads(line)
            name = str(fields.get("id"))
            if before := entries.get(name):
                fields = before.model_dump() | fields
            entries[name] = Entry.model_validate(fields)
        except (ValueError, ValidationError, TypeError, AttributeError) as error:
            way_out = f"restore {LEDGER}, or delete the line"
            raise ProjectError(f"{LEDGER}: line {number} is no decision; {way_out}") from error
    return list(entries.values())


def append_decision(entry: Entry) -> None:
    """Append a decision to the ledger."""
    append_only_log.append_line(
        LEDGER, json.dumps(entry.model_dump(mode="json", exclude_none=True))
    )


def append_end(name: str, now: datetime, result: Result, message: str) -> None:
    """Append the end of the run of a decision to the ledger."""
    end = {"id": name, "ended": now.isoformat(), "result": result, "said": message[:500]}
    append_only_log.append_line(LEDGER, json.dumps(end))


def recover_ledger(now: datetime) -> list[Entry]:
    """Return all decisions; first mark runs as failed if their process has ended."""
    entries = read_ledger()
    late = [entry for entry in entries if entry.is_running and now - entry.time > START_TIMEOUT]
    if not late:
        return entries
    try:
        with run_lock():
            for entry in late:
                append_end(entry.id, now, "failed", LOST)
    except Timeout:  # a process still holds the lock of the run
        pass
    return read_ledger()
