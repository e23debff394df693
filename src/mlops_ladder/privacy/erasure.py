"""Forgetting: the rows of one id leave the data and the log, and a record says that they did.

All is prepared, then it is written down what will be done, and only then done.  A run that is
killed after that leaves `forgotten.part`; the same command once more ends it.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime, UTC
from pathlib import Path
from typing import Annotated

import tomlkit
import typer

from mlops_ladder import ProjectError, write_file_atomically, write_synced_file
from mlops_ladder.data.contract import Contract, read_contract, Role
from mlops_ladder.data.reading import files, MISSING
from mlops_ladder.data.sources import checksum, SOURCES
from mlops_ladder.monitoring.archive import Archive, Change, NoLog
from mlops_ladder.plugins import get_hooks
from mlops_ladder.privacy import erasure_log
from mlops_ladder.privacy.erasure_log import entries, Entry, RECORD
from mlops_ladder.privacy.residual_search import places
from mlops_ladder.privacy.row_removal import Asked, Part, without
from mlops_ladder.registry.decisions import get_actor, registry_lock
from mlops_ladder.settings import load_settings, Settings

BEGUN = Path("forgotten.part")
DRY_RUN = typer.Option("--dry-run", help="only say what would be removed")


def planned(
    asked: Asked, parts: dict[Path, Part], changes: list[Change], before: Entry | None = None
) -> Entry:
    """The entry of the record without its marks; `before`: what an interrupted run had found."""
    entry = before or {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": get_actor(),
        "columns": list(asked.columns),
        "files": {},
        "log": {"requests": 0, "rows": 0},
    }
    for path, part in parts.items():
        known = entry["files"].setdefault(str(path), {"rows": 0, "before": checksum(path)})
        known["rows"] = max(known["rows"], len(part.gone))
        known["left"] = part.left
    rows, log = sum(len(it.gone) for it in changes), entry["log"]
    log |= {"requests": max(log["requests"], len(changes)), "rows": max(log["rows"], rows)}
    return entry


def begun(ids: dict[str, str]) -> Entry | None:
    """What an interrupted run was about to do.  ProjectError where that was with another id."""
    if not BEGUN.exists():
        return None
    entry: Entry = json.loads(BEGUN.read_text(encoding="utf-8"))
    if entry["ids"] != ids:
        told = "to forget another id was begun and not ended; run that one again first"
        raise ProjectError(f"{BEGUN}: {told}")
    return entry


def part_of(path: Path) -> Path:
    """Where a file is prepared."""
    return path.with_name(f"{path.name}.part")


def prepare(parts: dict[Path, Part], entry: Entry) -> None:
    """Write every file beside its place, then what will be done.

    Raises ProjectError where that cannot be done; then nothing is changed.
    """
    parts_at = [part_of(path.resolve()) for path in parts]
    try:
        for place, (path, part) in zip(parts_at, parts.items(), strict=True):
            write_synced_file(place, part.content)
            shutil.copymode(path, place)
        write_file_atomically(BEGUN, json.dumps(entry, ensure_ascii=False))
    except OSError as error:
        for place in filter(Path.is_file, parts_at):
            place.unlink()
        name = error.filename or " and ".join(map(str, parts))
        raise ProjectError(f"{name}: {error.strerror}; nothing is changed") from error


def carry_out(
    parts: dict[Path, Part], archive: Archive | None, changes: list[Change], entry: Entry
) -> Entry:
    """Change log, files, declared sources; then record it.  Done again, it changes nothing more.

    Who keeps logged rows elsewhere learns of it first, as the log then no longer tells which.
    """
    names = {f"{it.request_id}/{place}" for it in changes for place in it.gone}
    get_hooks().forget_rows(names=names)
    if archive:  # without changes too: an interrupted run may have left pages as they were
        archive.change(changes)
    for path, part in parts.items():
        part_of(path.resolve()).replace(path.resolve())
        if not part.left:  # a file without rows is none that can be read
            path.resolve().unlink()
            path.with_name(f"{path.name}.dvc").unlink(missing_ok=True)
    for name, known in entry["files"].items():
        known["after"] = checksum(Path(name)) if known["left"] else None
    declare(entry)
    if entry["time"] not in [it["time"] for it in entries() if it["ids"] == entry["ids"]]:
        before = RECORD.read_text(encoding="utf-8") if RECORD.exists() else ""
        write_file_atomically(RECORD, f"{before}{json.dumps(entry, ensure_ascii=False)}\n")
    BEGUN.unlink()
    return entry


def declare(entry: Entry) -> None:
    """Say in data/sources.toml what the files hold that have changed, and of no other."""
    if SOURCES.exists():
        document = tomlkit.parse(SOURCES.read_text(encoding="utf-8"))
        for source in document.values():
            for name in entry["files"].keys() & source["files"].keys():
                known = entry["files"][name]
                if known["after"]:
                    source["files"][name] |= {"sha256": known["after"], "rows": known["left"]}
                else:
                    del source["files"][name]
        write_file_atomically(SOURCES, tomlkit.dumps(document))


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
        way_out = 'give role = "id" to one that names somebody'
        way_out += ", or name one of role group or personal: COLUMN=…"
        raise ProjectError(f"contract.toml: no column has the role id; {way_out}")
    meant = {name: contract.columns[name] for name in ([column] if column else ids)}
    return Asked(text, meant, {name: contract.columns[name] for name in ids})


@contextmanager
def log_of(settings: Settings) -> Iterator[Archive | None]:
    """The prediction log; None where nothing was logged yet."""
    try:
        archive = Archive(settings.serving.prediction_log_url)
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
    secret, named = erasure_log.made(), asked.columns.items()
    return {name: erasure_log.mark(secret, name, asked.of(column)) for name, column in named}


def main(
    forgotten_id: Annotated[str, typer.Option("--id", help="the id, as it stands in the data")],
    column: Annotated[str, typer.Option(help="a column of role id, group or personal")] = "",
    dry_run: Annotated[bool, DRY_RUN] = False,
) -> None:
    """Forget an id, say what was removed, where it still is, and what comes next."""
    settings = load_settings()
    asked = asked_for(read_contract(), forgotten_id, column, settings)
    with nullcontext() if dry_run else registry_lock(LOCK):
        entry = forget(asked, settings, dry_run)
    print(f"{'Would remove' if dry_run else 'Removed'} {said(entry)}")
    if dry_run:
        return
    print(f"Recorded in {RECORD}, by a mark that names nobody")
    left = list(places(asked.text.strip(), settings.data.encoding, map(Path, entry["files"])))
    if left:
        print("\n  ".join(["Still there, see docs/privacy.md:", *left]))
    print(
        f"Next: make data-version datasheet; git add {RECORD} and what has changed; make pipeline"
    )


def said(entry: Entry) -> str:
    """What an entry has removed, in words, with a line for each file."""
    known, log = entry["files"], entry["log"]
    rows = sum(it["rows"] for it in known.values())
    lines = [f"  {name}: {it['rows']:,} rows, {it['left']:,} left" for name, it in known.items()]
    logged_rows = f"{log['rows']:,} rows of {log['requests']:,} logged requests"
    return "\n".join([f"{rows:,} rows of {len(known)} data files, and {logged_rows}", *lines])
