"""What the service counts with.  The only file that imports prometheus_client."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from prometheus_client import (
    CollectorRegistry,
    Counter,
    disable_created_metrics,
    Gauge,
    generate_latest,
    Histogram,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import mark_process_dead, MultiProcessCollector
from prometheus_client.registry import Collector

KIND = CONTENT_TYPE_LATEST
SHARED = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
TOTALS = {
    "requests": ("Requests, by status", "status"),
    "answers": ("Requests that were answered, by model", "model_version"),
    "rows": ("Rows that were answered",),
    "predictions": ("Predictions of the model, by class", "prediction"),
    "out_of_range": ("Inputs that training did not see", "column"),
    "outside": ("Inputs that the contract does not expect", "column"),
    "abstained": ("Rows marked abstain",),
    "fallback": ("Rows that a stand-in answered",),
    "log_dropped": ("Requests that the full log dropped",),
    "log_failed": ("Failed writes of the log",),
}


class Children(dict[Any, Counter]):
    """The counters of a metric by the value of its label: each is looked up once."""

    def __init__(self, metric: Counter) -> None:
        super().__init__()
        self._metric = metric

    def __missing__(self, value: Any) -> Counter:
        self[value] = found = self._metric.labels(str(value))
        return found


class Instruments:  # pylint: disable=too-many-instance-attributes  # one for each metric
    """The metrics of a service, in a registry of its own."""

    def __init__(self) -> None:
        # A second series for each, of which nobody asks.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types
        self._registry = CollectorRegistry()
        self.total = {
            name: Counter(f"serving_{name}_total", words, labels, registry=self._registry)
            for name, (words, *labels) in TOTALS.items()
        }
        self.requests = Children(self.total["requests"])
        self.answers = Children(self.total["answers"])
        self.predictions = Children(self.total["predictions"])
        self.strange = Children(self.total["out_of_range"])
        self.outside = Children(self.total["outside"])
        self.waiting = self._gauge("log_waiting", "Requests that wait to be logged", "livesum")
        self.ready = self._gauge("model_ready", "1 where every worker holds a model", "livemin")
        self.max_age = self._gauge("model_max_age_seconds", "Age that is too old", "livemin")
        self.seconds = self._histogram("request_seconds", "Seconds to an answer", SECONDS)
        self.score: Histogram | None = None

    def _gauge(self, name: str, words: str, of_workers: Literal["livesum", "livemin"]) -> Gauge:
        made = self._registry
        return Gauge(f"serving_{name}", words, registry=made, multiprocess_mode=of_workers)

    def _histogram(self, name: str, words: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(f"serving_{name}", words, registry=self._registry, buckets=buckets)

    def scored(self, buckets: Sequence[float]) -> None:
        """Make the histogram of scores; its buckets stay as long as the process lives."""
        words = "Probability of the predicted class, or the number that is predicted"
        self.score = self._histogram("score", words, buckets)

    def text(self, champion: dict[str, str], trained_at: float | None) -> bytes:
        """All metrics, of all workers; and of this one, what it says of its champion."""
        shown = CollectorRegistry()
        shown.register(Told(champion, trained_at))
        if shared := os.environ.get(SHARED):
            bury(Path(shared))
            MultiProcessCollector(shown)  # type: ignore[no-untyped-call]  # it has no types
            return generate_latest(shown)
        return generate_latest(shown) + generate_latest(self._registry)


class Told(Collector):  # pylint: disable=too-few-public-methods  # all that a collector has
    """What is known at the time of asking: no metric of an earlier champion is left."""

    def __init__(self, champion: dict[str, str], trained_at: float | None) -> None:
        self._champion, self._trained_at = champion, trained_at

    def collect(self) -> Iterator[Metric]:
        """The champion, and when it was trained; neither where it is not known."""
        if self._champion:
            info = GaugeMetricFamily("serving_model_info", "The champion", labels=[*self._champion])
            info.add_metric([*self._champion.values()], 1)
            yield info
        if self._trained_at is not None:
            words = "When the champion was trained, in seconds since 1970"
            name = "serving_model_trained_timestamp_seconds"
            yield GaugeMetricFamily(name, words, value=self._trained_at)


def observe_all(histogram: Histogram, values: Sequence[float]) -> None:
    """Observe many values at once: one at a time, 10,000 take as long as their predictions."""
    # pylint: disable=protected-access  # there is no public way to observe many at once
    found = np.asarray(values, dtype=float)
    places = np.searchsorted(histogram._upper_bounds, found)  # the first bound that is not below
    for bucket, count in zip(histogram._buckets, np.bincount(places).tolist(), strict=False):
        bucket.inc(count)
    histogram._sum.inc(float(found.sum()))


def bury(shared: Path) -> None:
    """Forget the gauges of workers that died without a word."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in shared.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)  # asks only
        except ProcessLookupError:
            leave(pid)
        except PermissionError:  # it lives, as another user
            continue


def leave(pid: int) -> None:
    """Count a worker among the living no longer, where there are several."""
    if SHARED in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]  # it has no types
