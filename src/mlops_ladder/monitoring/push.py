"""Pushing: verdicts on drift and on the live quality, as Prometheus gauges, to a Pushgateway."""

import time
from collections.abc import Iterable
from math import isfinite

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

from mlops_ladder import ProjectError
from mlops_ladder.monitoring.comparison import Verdict
from mlops_ladder.monitoring.quality_tests import ALL, Loss
from mlops_ladder.monitoring.settings import Drift

JOB = "drift"
QUALITY = "quality"


def drift_gauges(found: Iterable[Verdict], rows: int, enough: bool) -> CollectorRegistry:
    """The metrics of a report; without enough rows there are no verdicts, and nothing drifted."""
    registry, verdicts = CollectorRegistry(), list(found)
    plain = {
        "drift_columns_drifted": ("Columns that drifted", sum(it.drifted for it in verdicts)),
        "drift_rows": ("Logged rows that were looked at", rows),
        "drift_enough_data": ("1 where the rows were enough for a verdict", int(enough)),
        "drift_last_run_timestamp_seconds": ("When drift was last looked for", time.time()),
    }
    for name, (words, value) in plain.items():
        Gauge(name, words, registry=registry).set(value)
    drifted = Gauge("drift_column_drifted", "1 where it drifted", ["column"], registry=registry)
    effect = Gauge("drift_column_effect", "Cohen's scale", ["column"], registry=registry)
    for verdict in verdicts:
        drifted.labels(verdict.column).set(verdict.drifted)
        effect.labels(verdict.column).set(verdict.effect)
    return registry


def push(wanted: Drift, registry: CollectorRegistry, job: str = JOB) -> None:
    """Replace the last report of this job and namespace at the Pushgateway.

    Reports of another namespace stay.  Raises ProjectError if the Pushgateway cannot be reached.
    """
    try:
        push_to_gateway(wanted.pushgateway, job, registry, {"namespace": wanted.namespace})
    except (OSError, ValueError) as error:
        message = f"drift.pushgateway = {wanted.pushgateway!r}: cannot be reached: {error}"
        raise ProjectError(message) from error


def quality_gauges(found: list[Loss], labels: int, now: float) -> CollectorRegistry:
    """The metrics of a report; without enough labels there is no score, and nothing is degraded."""
    registry = CollectorRegistry()
    plain = {
        "quality_labels": ("Rows with an outcome that were looked at", labels),
        "quality_enough_labels": ("1 where they were enough for a verdict", bool(found)),
        "quality_degraded": (
            "1 where something is worse than promised",
            any(it.degraded for it in found),
        ),
        "quality_last_run_timestamp_seconds": ("When the quality was last looked at", now),
    }
    for name, (words, number) in plain.items():
        Gauge(name, words, registry=registry).set(number)
    by = ["slice", "score"]
    worse = Gauge("quality_worse", "1 where it is worse than promised", by, registry=registry)
    value = Gauge("quality_score", "The live score", by, registry=registry)
    held = Gauge("quality_promised_score", "The score of the gate", by, registry=registry)
    for it in found:
        where = ("" if it.name == ALL else it.name, it.metric)
        worse.labels(*where).set(it.degraded)
        if isfinite(it.value):
            value.labels(*where).set(it.value)
        if isfinite(it.promised):
            held.labels(*where).set(it.promised)
    return registry
