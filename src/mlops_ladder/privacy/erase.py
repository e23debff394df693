"""Carrying out: all is prepared, then it is written down what will be done, and only then done.

A run that is killed after that leaves `forgotten.part`; the same command once more ends it.
"""

import json
import shutil
from datetime import datetime, UTC
from pathlib import Path

import tomlkit

from mlops_ladder import ProjectError, write_synced, write_whole
from mlops_ladder.data.sources import checksum, SOURCES
from mlops_ladder.monitoring.archive import Archive, Change
from mlops_ladder.plugins import get_hooks
from mlops_ladder.privacy.erasure_log import entries, Entry, RECORD
from mlops_ladder.privacy.row_removal import Asked, Part
from mlops_ladder.registry.decisions import who

BEGUN = Path("forgotten.part")


def planned(
    asked: Asked, parts: dict[Path, Part], changes: list[Change], before: Entry | None = None
) -> Entry:
    """The entry of the record without its marks; `before`: what an interrupted run had found."""
    entry = before or {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": who(),
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
            write_synced(place, part.content)
            shutil.copymode(path, place)
        write_whole(BEGUN, json.dumps(entry, ensure_ascii=False))
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
        write_whole(RECORD, f"{before}{json.dumps(entry, ensure_ascii=False)}\n")
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
        write_whole(SOURCES, tomlkit.dumps(document))
