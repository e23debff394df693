"""The command `contracts`: compare the data with what their owners promised, and send breaches."""

from collections.abc import Iterator
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from mlops_ladder import ProjectError, raise_for_faults
from mlops_ladder.data import agreements
from mlops_ladder.data.agreements import ACCEPTED, FOLDER, Agreement
from mlops_ladder.data.casting import parse_timestamps
from mlops_ladder.data.provenance import run_git
from mlops_ladder.data.reading import list_data_files, read_file
from mlops_ladder.data.sources import read_sources, SOURCES
from mlops_ladder.pipeline.schedule import post_to_webhook
from mlops_ladder.settings import Data, load_settings, Settings

PROJECT = __name__.partition(".")[0]
ROWS = 50_000  # whose times are read at once
DAY = timedelta(days=1)


def list_source_files(promise: Agreement) -> list[Path]:
    """Return the present files of the source.  Raise ProjectError if there is no such source."""
    sources = read_sources()
    if promise.source not in sources:
        text = f"no such source in data/sources.toml; there are: {', '.join(sources)}"
        raise ProjectError(f"{FOLDER}: source = {promise.source!r}: {text}")
    return [path for path in map(Path, sources[promise.source]["files"]) if path.exists()]


def find_lost_columns(promise: Agreement, data: Data) -> Iterator[str]:
    """Yield the files that lack promised columns."""
    for path in list_source_files(promise):
        head = next((list(map(str, frame)) for frame in read_file(path, data, str, 1)), [])
        if lacking := [name for name in promise.columns if name not in head]:
            fault = f"{path} lacks {', '.join(lacking)}, which version {promise.version} promises"
            yield f"{promise.source}: {fault}; ask {promise.contact}"


def find_newest_time(promise: Agreement, data: Data) -> datetime | None:
    """Return the newest time of the source's rows; of its files if no column is promised."""
    paths, fresh = list_source_files(promise), promise.freshness
    if not fresh.column and paths:
        pointers = [f"{path}.dvc" for path in paths]
        if committed := run_git("log", "-1", "--format=%cI", "--", *map(str, paths), *pointers):
            return datetime.fromisoformat(committed)
        return datetime.fromtimestamp(max(path.stat().st_mtime for path in paths), UTC)
    newest = []
    for frame in (frame for path in paths for frame in read_file(path, data, str, ROWS)):
        if fresh.column in frame:
            values = frame[fresh.column]
            is_time = values.dtype.kind == "M"
            newest.append((values if is_time else parse_timestamps(values, fresh.format)).max())
    latest = pd.Series(newest, dtype="object").dropna().max()
    return None if pd.isna(latest) else pd.Timestamp(latest).to_pydatetime()


def find_aged_data(promise: Agreement, data: Data, now: datetime) -> Iterator[str]:
    """Yield a breach if the newest row is older than promised, or no row has a time."""
    fresh, last = promise.freshness, find_newest_time(promise, data)
    if last is None:
        yield f"{promise.source}: no time in {fresh.column or 'its files'}: how old is it?"
        return
    last = last.replace(tzinfo=last.tzinfo or UTC)
    end = datetime.combine(fresh.until, datetime.min.time(), UTC) if fresh.until else now
    if (age := (min(end, now) - last) / DAY) > fresh.max_age_days:
        on = f" on {fresh.until}" if fresh.until else ""
        days = f"{age:.1f} days old{on}, {fresh.max_age_days:g} may be"
        yield f"{promise.source}: the newest is of {last:%Y-%m-%d}, {days}; ask {promise.contact}"


def select_promises(settings: Settings) -> list[Agreement]:
    """Return the contracts about data that training reads, and print the others.

    It also prints sources without a contract, unless they are the project's own.
    """
    paths, sources = set(map(str, list_data_files(settings.data.path))), read_sources()
    promises = agreements.read_agreements()
    names = [name for name, source in sources.items() if paths & set(source["files"])]
    for name in promises.keys() & (sources.keys() - set(names)):
        print(f"{name}: training reads none of its files; its contract is not checked")
    for name in names:
        if name not in promises and sources[name].get("upstream", True):
            print(f"{name}: no file of {FOLDER} is about it; write one, or, if the data are your")
            print(f"  own, set upstream = false in {SOURCES}")
    return [promise for name, promise in promises.items() if name in names or name not in sources]


def find_promise_breaches(settings: Settings, fresh: bool) -> dict[str, list[str]]:
    """Return the breaches by source: terms, columns, and with `fresh` the age of the data."""
    accepted, now = agreements.read_accepted(), datetime.now(UTC)
    breaches = {}
    for promise in select_promises(settings):
        lines = [*agreements.find_unaccepted(promise, accepted)]
        lines += find_lost_columns(promise, settings.data)
        lines += find_aged_data(promise, settings.data, now) if fresh else []
        if lines:
            breaches[promise.source] = lines
    return breaches


def send_breaches(settings: Settings) -> dict[str, list[str]]:
    """Send the breaches of each source to `schedule.webhook`, and return them."""
    breaches = find_promise_breaches(settings, True)
    for name, lines in breaches.items():
        message = {"text": "\n".join(lines), "project": PROJECT, "contract": name}
        post_to_webhook(settings.schedule.webhook, message)
    return breaches


def check_after_training(settings: Settings) -> tuple[int, str]:
    """Send the breaches after a scheduled run; return their number, and a summary."""
    breaches = send_breaches(settings)
    summary = f"{', '.join(breaches)}: told" if breaches else "the owners keep their contracts"
    return len(breaches), summary


def accept_contract(name: str, by: str) -> None:
    """Accept the contract of a source.  Raise ProjectError without a contract or a person."""
    promises = agreements.read_agreements()
    if name not in promises:
        names = ", ".join(promises)
        raise ProjectError(f"ACCEPT={name!r}: no such contract; there are: {names}")
    if not (person := by.strip() or run_git("config", "user.name")):
        raise ProjectError("BY: say who accepts it: BY=name")
    agreements.record_acceptance(promises[name], person)
    version = promises[name].version
    print(f"{name}: {person} accepts version {version}.  Next: commit {ACCEPTED}")


def main(
    check: Annotated[bool, typer.Option("--check", help="committed files only, no notice")] = False,
    source: Annotated[str, typer.Option("--accept", help="accept the contract of a source")] = "",
    by: Annotated[str, typer.Option(help="by whom (default: the user of git)")] = "",
) -> None:
    """Compare the data with the contracts of their owners, and send the breaches."""
    settings = load_settings()
    if source:
        accept_contract(source, by)
        return
    breaches = find_promise_breaches(settings, False) if check else send_breaches(settings)
    lines = [line for lines in breaches.values() for line in lines]
    raise_for_faults("the data are not what was agreed on", lines)
    print("Every contract with an owner of data is accepted, and holds")
