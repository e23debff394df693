"""Batches as metrics: when one was last scored, with how many rows, and what is expected of it."""

from datetime import UTC
from fnmatch import fnmatch
from typing import Any

from mlops_ladder.batch.runs import read_runs, Run
from mlops_ladder.batch.settings import Batches
from mlops_ladder.monitoring.push import push_gauges, Series
from mlops_ladder.settings import Settings


def build_batch_gauges(runs: list[Run], settings: Batches) -> Series:
    """Return the metrics of the newest batch, and the limits of the settings.

    Args:
        runs: The batches of the source, the oldest first; at least one.
        settings: When a batch is late, short, or has too many rejected rows.
    """
    newest, successes = runs[-1], [run for run in runs if not run.error]
    series: Series = [
        ("batch_failed", {}, bool(newest.error)),
        ("batch_rows", {}, newest.rows),
        ("batch_rejected_rows", {}, newest.rejected),
        ("batch_seconds", {}, newest.seconds),
        ("batch_min_rows", {}, settings.min_rows),
        ("batch_max_rejected_share", {}, settings.max_rejected),
    ]
    if successes:
        last = successes[-1].time.replace(tzinfo=UTC).timestamp()
        series.append(("batch_last_success_timestamp_seconds", {}, last))
    if settings.late_hours:
        series.append(("batch_late_seconds", {}, settings.late_hours * 3600))
    return series


def push_batches(settings: Settings) -> tuple[Any, str]:
    """Push the metrics of the scheduled batches to the Pushgateway; a hook of the schedule."""
    source = settings.batch.source
    runs = [run for run in read_runs(settings) if fnmatch(run.source, source)]
    runs = runs or read_runs(settings, source) if source else []
    if not runs:
        return None, "no batch was scored on the schedule yet"
    push_gauges(settings.drift, build_batch_gauges(runs, settings.batch), "batch")
    return None, f"the newest of {len(runs):,} batches: {runs[-1].rows:,} rows {runs[-1].error}"
