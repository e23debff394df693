"""Forgetting: the rows of one id leave the data and the log, and a record says that they did."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract, read_contract, Role
from mlops_ladder.data.reading import files, MISSING
from mlops_ladder.monitoring.archive import Archive, Change, NoLog
from mlops_ladder.privacy import erasure_log
from mlops_ladder.privacy.erase import BEGUN, begun, carry_out, planned, prepare
from mlops_ladder.privacy.erasure_log import Entry, RECORD
from mlops_ladder.privacy.residual_search import places
from mlops_ladder.privacy.row_removal import Asked, Part, without
from mlops_ladder.registry.decisions import alone
from mlops_ladder.settings import load, Settings

LOCK = Path("models/forget.lock")
ROLES: tuple[Role, ...] = ("id", "group", "personal")


def asked_for(contract: Contract, text: str, column: str, settings: Settings) -> Asked:
    """Whose rows are meant.  ProjectError where no column names anybody, or the id is none."""
    if not text.strip() or text.strip() in MISSING + settings.data.missing:
        raise ProjectError(f"ID={text!r}: no id; run: make forget ID=…")
    ids = contract.names("id")
    if column and column not in contract.names(*ROLES):
        known = ", ".join(contract.names(*ROLES)) or "none"
        roles = " or ".join(ROLES)
        raise ProjectError(f"COLUMN={column!r}: is of no role {roles}; there are: {known}")
    if not column and not ids:
        raise ProjectError(
            'contract.toml: no column has the role id; give role = "id" to one that names somebody,'
            " or name one of role group or personal: COLUMN=…"
        )
    meant = {name: contract.columns[name] for name in ([column] if column else ids)}
    return Asked(text, meant, {name: contract.columns[name] for name in ids})


@contextmanager
def log_of(settings: Settings) -> Iterator[Archive | None]:
    """The prediction log; None where nothing was logged yet."""
    try:
        archive = Archive(settings.serving.log)
    except NoLog:
        yield None
        return
    with archive:
        yield archive


def every(asked: Asked, settings: Settings) -> dict[Path, Part]:
    """What is left of each data file."""
    return {path: without(path, settings.data, asked) for path in files(settings.data.path)}


def copies(changes: list[Change]) -> frozenset[str]:
    """The ids that these rows of the log have where they became data: labelled, or as feedback."""
    named = ((it.request_id, place) for it in changes for place in it.gone)
    return frozenset(f"{name}{mark}{place}" for name, place in named for mark in "/-")


def logged(archive: Archive | None, asked: Asked, parts: dict[Path, Part]) -> list[Change]:
    """What has to change in the log: rows of the id, and of the ids of the rows that go."""
    rows = {pair for part in parts.values() for cells in part.gone for pair in cells.items()}

    def belongs(row: dict[str, object]) -> bool:
        return asked.fits(row) or not rows.isdisjoint(asked.named(row).items())

    return archive.changes(belongs) if archive else []


def forget(asked: Asked, settings: Settings, dry: bool = False) -> Entry:
    """Take an id out of data and log, and record it; what was done, or with `dry` would be.

    Raises ProjectError where it is nowhere, or nothing would be left; then nothing is changed.
    """
    found = every(asked, settings)
    with log_of(settings) as archive:
        changes = logged(archive, asked, found)
        if known := copies(changes):
            found = every(replace(asked, copies=known), settings)
        parts = {path: part for path, part in found.items() if part.gone}
        if not parts and not changes and not BEGUN.exists():
            columns = " or ".join(asked.columns)
            where = f"in {columns} of {len(found)} data files, nor in a logged request"
            raise ProjectError(f"the id is not {where}; nothing is changed")
        if not any(part.left for part in found.values()):
            told = "no row would be left; delete the data yourself"
            raise ProjectError(f"{settings.data.path}: {told}")
        if dry:
            return planned(asked, parts, changes)
        ids = marks(asked)
        entry = planned(asked, parts, changes, begun(ids)) | {"ids": ids}
        prepare(parts, entry)
        return carry_out(parts, archive, changes, entry)


def marks(asked: Asked) -> dict[str, str]:
    """What stands for the id in the record, by column."""
    secret = erasure_log.made()
    return {
        name: erasure_log.mark(secret, name, asked.of(column))
        for name, column in asked.columns.items()
    }


def main(
    forgotten_id: Annotated[str, typer.Option("--id", help="the id, as it stands in the data")],
    column: Annotated[str, typer.Option(help="a column of role id, group or personal")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="only say what would be removed")
    ] = False,
) -> None:
    """Forget an id, say what was removed, where it still is, and what comes next."""
    settings = load()
    asked = asked_for(read_contract(), forgotten_id, column, settings)
    with nullcontext() if dry_run else alone(LOCK):
        entry = forget(asked, settings, dry_run)
    print(f"{'Would remove' if dry_run else 'Removed'} {said(entry)}")
    if dry_run:
        return
    print(f"Recorded in {RECORD}, by a mark that names nobody")
    left = list(places(asked.text.strip(), settings.data.encoding, map(Path, entry["files"])))
    if left:
        print("\n  ".join(["Still there, see docs/privacy.md:", *left]))
    print(f"Next: make snapshot datasheet; git add {RECORD} and what has changed; make pipeline")


def said(entry: Entry) -> str:
    """What an entry has removed, in words, with a line for each file."""
    known, log = entry["files"], entry["log"]
    rows = sum(it["rows"] for it in known.values())
    lines = [f"  {name}: {it['rows']:,} rows, {it['left']:,} left" for name, it in known.items()]
    logged_rows = f"{log['rows']:,} rows of {log['requests']:,} logged requests"
    return "\n".join([f"{rows:,} rows of {len(known)} data files, and {logged_rows}", *lines])
