"""Pushing: the results of reports as Prometheus gauges to a Pushgateway."""

from math import isfinite
from typing import Any, TYPE_CHECKING

from mlops_ladder import ProjectError
from mlops_ladder.monitoring.comparison import Verdict
from mlops_ladder.monitoring.settings import Drift

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from mlops_ladder.monitoring.quality import QualityTest

Series = list[tuple[str, dict[str, str], float]]  # name, labels and value of each gauge


def build_registry(series: Series) -> "CollectorRegistry":
    """Return a registry of these gauges, without those that are not finite."""
    # pylint: disable-next=import-outside-toplevel  # only a Pushgateway needs Prometheus' client
    from prometheus_client import CollectorRegistry, Gauge

    registry, gauges = CollectorRegistry(), dict[str, Any]()
    for name, labels, value in filter(lambda gauge: isfinite(gauge[2]), series):
        if name not in gauges:
            gauges[name] = Gauge(name, name.replace("_", " "), [*labels], registry=registry)
        gauge = gauges[name].labels(**labels) if labels else gauges[name]
        gauge.set(value)
    return registry


def build_drift_gauges(verdicts: list[Verdict], rows: int, has_enough: bool, now: float) -> Series:
    """Return the metrics of a report; with too few rows nothing has drifted.

    Args:
        verdicts: The verdict on each column.
        rows: The number of rows that were logged.
        has_enough: Whether they were enough for a verdict.
        now: The time of the report, in seconds.
    """
    series: Series = [
        ("drift_columns_drifted", {}, sum(verdict.drifted for verdict in verdicts)),
        ("drift_rows", {}, rows),
        ("drift_enough_data", {}, has_enough),
        ("drift_last_run_timestamp_seconds", {}, now),
    ]
    for verdict in verdicts:
        series.append(("drift_column_drifted", {"column": verdict.column}, verdict.drifted))
        series.append(("drift_column_effect", {"column": verdict.column}, verdict.effect))
    return series


def build_age_gauges(champion: dict[str, Any], max_age_days: float) -> Series:
    """Return the metrics of the champion's age, as a service has them, from its facts."""
    return [
        ("serving_model_trained_timestamp_seconds", {}, champion["trained_at"]),
        ("serving_model_max_age_seconds", {}, max_age_days * 24 * 3600),
    ]


def build_quality_gauges(tests: list["QualityTest"], labels: int, now: float) -> Series:
    """Return the metrics of a report; with too few labels there is no score, and no loss.

    Args:
        tests: The quality tests of the report.
        labels: The number of rows with a label.
        now: The time of the report, in seconds.
    """
    series: Series = [
        ("quality_labels", {}, labels),
        ("quality_enough_labels", {}, bool(tests)),
        ("quality_degraded", {}, any(test.degraded for test in tests)),
        ("quality_last_run_timestamp_seconds", {}, now),
    ]
    for test in tests:
        about = {"slice": test.slice_name, "score": test.metric}
        series.append(("quality_worse", about, test.degraded))
        series.append(("quality_score", about, test.value))
        series.append(("quality_promised_score", about, test.promised))
    return series


def push_gauges(settings: Drift, series: Series, job: str) -> None:
    """Replace the last report of this job and namespace at the Pushgateway.

    Reports of another namespace stay.  Do nothing without the address of a Pushgateway.  Raise
    ProjectError if it cannot be reached.

    Args:
        settings: The address of the Pushgateway, and the namespace.
        series: The gauges of the report.
        job: The name of the job.
    """
    if not settings.pushgateway:
        return
    # pylint: disable-next=import-outside-toplevel  # only a Pushgateway needs Prometheus' client
    from prometheus_client import push_to_gateway

    key = {"namespace": settings.namespace}
    try:
        push_to_gateway(settings.pushgateway, job, build_registry(series), key)
    except (OSError, ValueError) as error:
        message = f"drift.pushgateway = {settings.pushgateway!r}: cannot be reached: {error}"
        raise ProjectError(message) from error
