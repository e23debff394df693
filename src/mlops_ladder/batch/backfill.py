"""Back-fill and arrivals: score the rows of periods that are past, and those that are new."""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, UTC
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from mlops_ladder import ProjectError
from mlops_ladder.batch import periods
from mlops_ladder.batch.runs import read_runs
from mlops_ladder.batch.scoring import Job, Rejected, ROWS, score_file, score_to
from mlops_ladder.data.contract import read_contract
from mlops_ladder.data.reading import open_sources, read_chunks
from mlops_ladder.data.remote import is_bucket, is_remote, NoSource
from mlops_ladder.data.sources import compute_sha256
from mlops_ladder.export.runtime import load_bundle
from mlops_ladder.plugins import get_implementations
from mlops_ladder.registry import history, publishing, versions
from mlops_ladder.registry.decisions import registry_lock
from mlops_ladder.settings import load_settings, Settings

LOCK = Path("models/batch.lock")  # one scheduled batch or back-fill at a time
BEGINNING = datetime(1, 1, 1)
Saved = dict[str, Any]
Work = tuple[str, Callable[[], bool | None]]  # the name of a batch, and what scores it


def main(
    start: Annotated[str, typer.Option("--from", help="the first time, such as 2024-01-01")],
    end: Annotated[str, typer.Option("--to", help="the time before which it ends")],
    by: Annotated[str, typer.Option(help="hour, day, week, month, quarter or year")] = "month",
    data: Annotated[str, typer.Option(help="what to read (default: [batch] source)")] = "",
    champion_of: Annotated[str, typer.Option(help="now, or then: of the end of a period")] = "now",
) -> None:
    """Score the rows of past periods, each row once; a period that was scored is left out.

    Raises Rejected, with all periods scored, if rows break the contract or have no time.
    """
    if champion_of not in ("now", "then"):
        raise ProjectError(f"CHAMPION_OF={champion_of}: it is now or then")
    settings, whole = load_settings(), periods.parse_period(start, end)
    source = data or settings.batch.source or settings.data.path
    with registry_lock(LOCK, timeout=0):
        done = list_done_periods(settings, source)
        parts = [periods.subtract_periods(part, done) for part in periods.split_period(whole, by)]
        if not any(parts):
            print(f"{whole}: all of it is scored already")
        current = publishing.load_champion()

        def work(period: periods.Period) -> Work:
            saved = load_champion_of(period.end) if champion_of == "then" else current
            job = Job(source, name_output(settings, str(period)), saved, settings)
            return str(period), partial(score_period, period, job)

        score_all(map(work, chain.from_iterable(parts)))


def list_done_periods(settings: Settings, source: str) -> list[periods.Period]:
    """Return the periods of a source whose rows are answered."""
    runs = (run for run in read_runs(settings, source) if not run.error)
    ends = ((run.period_start, run.period_end) for run in runs)
    return [periods.Period(start, end) for start, end in ends if start and end]


def load_champion_of(end: datetime) -> Saved:
    """Return the champion at a time, which is read as UTC.  Raise ProjectError without one."""
    when = end.replace(tzinfo=UTC)
    moves = history.list_moves(versions.read_state().entries)
    past = [entry for entry in moves if entry.time <= when]
    if not past or not past[-1].version:
        first = f"the first is of {moves[0].time:%Y-%m-%d %H:%M}" if moves else "there was none yet"
        raise ProjectError(f"{when:%Y-%m-%d %H:%M}: no champion then; {first}; CHAMPION_OF=now")
    publishing.ensure_bundle(versions.version_from_entry(past[-1]), past[-1].bundle)
    model = load_bundle(publishing.SERVING / past[-1].version)
    return {"model": model, "contract": model.contract, "version": model.version}


def name_output(settings: Settings, name: str) -> str:
    """Return where the answers of a batch go.

    Raises ProjectError if a batch would replace the answers of another one.
    """
    pattern, has_ids = settings.batch.out, bool(read_contract().names("id"))
    if is_remote(pattern) and not is_bucket(pattern) and has_ids:
        return pattern  # a table holds a row for each id
    if "{period}" not in pattern:
        reason = "each batch needs a place of its own; write {period} in its name"
        raise ProjectError(f"batch.out = {pattern!r}: {reason}")
    return pattern.replace("{period}", name)


def score_period(period: periods.Period, job: Job) -> bool:
    """Score the rows of a period; return whether there were any.

    A period that has no end yet is logged up to its newest row.  Raises Rejected as `score_to`
    does, and if rows have no time.
    """
    chosen = periods.PeriodFilter(job.saved["contract"], period)
    sources = [chosen.narrow(source) for source in open_sources(job.source)]
    frames = chosen.choose(read_chunks(sources, job.settings.data, job.saved["contract"], ROWS))
    if (first := next(frames, None)) is None:
        when = "are new" if period.end == periods.END else f"in {period}"
        print(f"{job.source}: no rows {when}")
        return False
    parts = score_file(job.saved, chain([first], frames), get_implementations("find_violations"))
    score_to(job, parts, chosen.describe)
    if chosen.without_time:
        raise Rejected(f"{job.source}: {chosen.without_time:,} rows have no time, so no period")
    return True


def score_arrivals(settings: Settings) -> tuple[int, str]:
    """Score what is new in `[batch] source`: files, or rows later than the last that were scored.

    Returns the number of batches, and a line about them; a hook of the schedule.
    """
    if not (source := settings.batch.source):
        return 0, "[batch] source is not set: nothing to score"
    if settings.batch.by == "file" and is_remote(source) and not is_bucket(source):
        raise ProjectError("batch.by = 'file': a table has no files; set by = \"time\"")
    with registry_lock(LOCK, timeout=0):
        saved = publishing.load_champion()
        find = find_new_rows if settings.batch.by == "time" else find_new_files
        count = score_all(find(source, saved, settings))
    return count, f"{count} new batches of {source} scored"


def score_main() -> None:
    """Score what is new in the source of `config/batch.toml`, once, and report as the schedule."""
    settings = load_settings()
    try:
        print(score_arrivals(settings)[1])
    finally:
        for report in get_implementations("after_scheduled_scoring"):
            report(settings)


def find_new_rows(source: str, saved: Saved, settings: Settings) -> Iterator[Work]:
    """Yield the scoring of the rows that are later than those that were scored."""
    start = max((done.end for done in list_done_periods(settings, source)), default=BEGINNING)
    period = periods.Period(start, periods.END)
    out = name_output(settings, f"{datetime.now(UTC):%Y-%m-%dT%H%M%S}")
    yield source, partial(score_period, period, Job(source, out, saved, settings))


def find_new_files(source: str, saved: Saved, settings: Settings) -> Iterator[Work]:
    """Yield the scoring of each file that was not scored with this content.

    A file that was changed a moment ago may still be written, so it waits.
    """
    done = {(run.source, run.sha256) for run in read_runs(settings) if not run.error}
    checks, latest = get_implementations("find_violations"), time.time() - settings.batch.settle_s
    try:
        files = open_sources(source)
    except NoSource:
        return
    for file in files:
        sha256, name = compute_sha256(file), str(file)
        is_settled = not isinstance(file, Path) or file.stat().st_mtime <= latest
        if is_settled and (name, sha256) not in done:
            out = name_output(settings, f"{Path(name).stem}-{sha256[:8]}")
            frames = read_chunks([file], settings.data, saved["contract"], ROWS)
            job, facts = Job(name, out, saved, settings), {"sha256": sha256}
            yield name, partial(score_to, job, score_file(saved, frames, checks), facts.copy)


def score_all(batches: Iterable[Work]) -> int:
    """Score these batches one after the other; return how many had rows.

    Raises Rejected at the end, with the name of each batch in which rows were rejected.
    """
    count, rejections = 0, []
    for name, score in batches:
        try:
            count += score() is not False
        except Rejected as error:
            count += 1
            rejections.append(f"{name}: {error}")
    if rejections:
        raise Rejected("\n".join(rejections))
    return count
