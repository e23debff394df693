"""The live quality as Prometheus gauges, for a Pushgateway."""

from math import isfinite

from prometheus_client import CollectorRegistry, Gauge

from mlops_ladder.monitoring.quality_tests import ALL, Loss

JOB = "quality"


def gauges(found: list[Loss], labels: int, now: float) -> CollectorRegistry:
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
