"""The last decision about a training as Prometheus gauges, for a Pushgateway."""

from prometheus_client import CollectorRegistry, Gauge

from mlops_ladder.pipeline.retraining.decision import Entry

JOB = "trigger"


def gauges(entry: Entry, now: float) -> CollectorRegistry:
    """Was the last event vetoed, does it wait for a person, and has its run failed?"""
    registry = CollectorRegistry()
    plain = {
        "trigger_vetoed": ("1 where broken data kept a training back", entry.decision == "veto"),
        "trigger_waits": ("1 where a person has to approve", entry.decision == "approval"),
        "trigger_failed": ("1 where the run has failed", entry.result == "failed"),
        "trigger_last_event_timestamp_seconds": ("When it was decided last", now),
    }
    for name, (words, value) in plain.items():
        Gauge(name, words, registry=registry).set(value)
    return registry
