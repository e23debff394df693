"""Upstream: do the data hold what their owners have promised?  Whoever has to know is told."""

from collections.abc import Iterator
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from mlops_ladder import ProjectError
from mlops_ladder.data import agreements
from mlops_ladder.data.agreements import ACCEPTED, FOLDER, Promise
from mlops_ladder.data.casting import times
from mlops_ladder.data.provenance import git
from mlops_ladder.data.reading import files, read_file
from mlops_ladder.data.sources import read_sources, SOURCES
from mlops_ladder.pipeline.schedule import tell
from mlops_ladder.settings import Data, load_settings, Settings

PROJECT = __name__.partition(".")[0]
ROWS = 50_000  # of which the times are read at once
DAY = timedelta(days=1)


def here(promise: Promise) -> list[Path]:
    """The files of the source that are here.  ProjectError where there is no such source."""
    sources = read_sources()
    if promise.source not in sources:
        told = f"no such source in data/sources.toml; there are: {', '.join(sources)}"
        raise ProjectError(f"{FOLDER}: source = {promise.source!r}: {told}")
    return [path for path in map(Path, sources[promise.source]["files"]) if path.exists()]


def first(path: Path, data: Data) -> list[str]:
    """The columns of a file."""
    for frame in read_file(path, data, str, 1):
        return list(map(str, frame))
    return []


def lost(promise: Promise, data: Data) -> Iterator[str]:
    """The promised columns that a file lacks."""
    for path in here(promise):
        head = first(path, data)
        if lacking := [name for name in promise.columns if name not in head]:
            told = f"{path} lacks {', '.join(lacking)}, which version {promise.version} promises"
            yield f"{promise.source}: {told}; ask {promise.contact}"


def newest(promise: Promise, data: Data) -> datetime | None:
    """The newest time of the source's rows, or of its files where no column says one."""
    paths, name = here(promise), promise.freshness.column
    if not name and paths:
        pointers = [f"{path}.dvc" for path in paths]
        said = git("log", "-1", "--format=%cI", "--", *map(str, paths), *pointers)
        latest = max(path.stat().st_mtime for path in paths)
        return datetime.fromisoformat(said) if said else datetime.fromtimestamp(latest, UTC)
    found = []
    for frame in (it for path in paths for it in read_file(path, data, str, ROWS)):
        if name in frame:
            values = frame[name]
            known = values if values.dtype.kind == "M" else times(values, promise.freshness.format)
            found.append(known.max())
    latest_row = pd.Series(found, dtype="object").dropna().max() if found else pd.NaT
    return None if pd.isna(latest_row) else pd.Timestamp(latest_row).to_pydatetime()


def aged(promise: Promise, data: Data, now: datetime) -> Iterator[str]:
    """Says so where the newest row is older than was promised, or no row says how old it is."""
    asked, last = promise.freshness, newest(promise, data)
    if last is None:
        yield f"{promise.source}: no time in {asked.column or 'its files'}: how old is it?"
        return
    last = last.replace(tzinfo=last.tzinfo or UTC)
    until = datetime.combine(asked.until, datetime.min.time(), UTC) if asked.until else now
    if (age := (min(until, now) - last) / DAY) > asked.max_age_days:
        told = f"the newest is of {last:%Y-%m-%d}, {age:.1f} days old"
        told = f"{told}{f' on {asked.until}' if asked.until else ''}, {asked.max_age_days:g} may be"
        yield f"{promise.source}: {told}; ask {promise.contact}"


def used(settings: Settings) -> list[Promise]:
    """The contracts about data that training reads; those about others are named.

    So is a source that has none, unless it says that it is our own.
    """
    read, sources, known = (
        set(map(str, files(settings.data.path))),
        read_sources(),
        agreements.promises(),
    )
    names = [name for name, it in sources.items() if read & set(it["files"])]
    for name in known.keys() & (sources.keys() - set(names)):
        print(f"{name}: training reads none of its files; its contract is not looked at")
    for name in names:
        if name not in known and sources[name].get("upstream", True):
            print(f"{name}: no file of {FOLDER} is about it; write one, or, where the data are")
            print(f"  your own, say upstream = false in {SOURCES}")
    return [it for name, it in known.items() if name in names or name not in sources]


def breaches(settings: Settings, fresh: bool) -> dict[str, list[str]]:
    """What does not hold, by source: terms, columns, and with `fresh` the age of the data."""
    known, now = agreements.accepted(), datetime.now(UTC)
    found = {}
    for promise in used(settings):
        lines = [*agreements.unaccepted(promise, known), *lost(promise, settings.data)]
        found[promise.source] = lines + (list(aged(promise, settings.data, now)) if fresh else [])
    return found


def notify(settings: Settings) -> dict[str, list[str]]:
    """What does not hold, by source; whom `schedule.webhook` names is told of each."""
    found = {name: lines for name, lines in breaches(settings, True).items() if lines}
    for name, lines in found.items():
        told = {"text": "\n".join(lines), "project": PROJECT, "contract": name}
        tell(settings.schedule.webhook, told)
    return found


def scheduled(settings: Settings) -> tuple[int, str]:
    """After a run of the schedule: tell what does not hold; how much, and in words."""
    found = notify(settings)
    return len(found), f"{', '.join(found)}: told" if found else "the owners keep their contracts"


def agree(name: str, by: str) -> None:
    """Accept the contract of a source.  ProjectError where there is none, or nobody says who."""
    known = agreements.promises()
    who = by.strip() or git("config", "user.name") or ""
    if name not in known or not who:
        wrong = f"ACCEPT={name!r}: no such contract; there are: {', '.join(known)}"
        raise ProjectError(wrong if name not in known else "BY: say who accepts it: BY=name")
    agreements.accept(known[name], who)
    print(f"{name}: {who} accepts version {known[name].version}.  Next: commit {ACCEPTED}")


def main(
    check: Annotated[
        bool, typer.Option("--check", help="only what is committed; tell nobody")
    ] = False,
    source: Annotated[
        str, typer.Option("--accept", help="the source whose contract is accepted")
    ] = "",
    by: Annotated[str, typer.Option(help="by whom (default: the user of git)")] = "",
) -> None:
    """Hold the data against the contracts with their owners, and tell what does not hold."""
    settings = load_settings()
    if source:
        agree(source, by)
        return
    found = breaches(settings, False) if check else notify(settings)
    if lines := [line for lines in found.values() for line in lines]:
        raise ProjectError("the data are not what was agreed on\n  " + "\n  ".join(lines))
    print("Every contract with an owner of data is accepted, and holds")
