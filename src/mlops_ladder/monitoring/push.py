"""Pushing: the verdicts on drift as Prometheus gauges, to a Pushgateway."""

import time
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge, push_to_gateway

from mlops_ladder import ProjectError
from mlops_ladder.monitoring.comparison import Verdict
from mlops_ladder.settings.operations import Drift

JOB = "drift"


def gauges(found: Iterable[Verdict], rows: int, enough: bool) -> CollectorRegistry:
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
        raise ProjectError(
            f"drift.pushgateway = {wanted.pushgateway!r}: cannot be reached: {error}"
        ) from error
