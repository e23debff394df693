"""Metrics in Prometheus' format at `GET /metrics`.  The only importer of prometheus_client.

A request is put into a buffer; a thread counts the buffer every REFRESH seconds, so a process that
is killed loses no more.  Several workers share a folder, PROMETHEUS_MULTIPROC_DIR: each of them
answers for all.  Empty the folder before a start, as the counts of ended workers stay in it.
"""

import logging
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Literal

import numpy as np
import prometheus_client as prometheus
from fastapi import FastAPI, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.multiprocess import mark_process_dead, MultiProcessCollector
from prometheus_client.registry import Collector
from starlette.routing import Route

from mlops_ladder.serving.events import Observer, PredictionEvent
from mlops_ladder.serving.model_reloader import ModelReloader, ServedModel
from mlops_ladder.serving.reference_loader import load_reference, Reference, score_bounds
from mlops_ladder.settings import Settings

LOG = logging.getLogger(__name__)
MULTIPROCESS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
REFRESH = 0.2  # seconds between two counts: a request would wait for a longer buffer
DAY = 24 * 3600  # seconds
LATENCY_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
PROBABILITY_BOUNDS = tuple(tenth / 10 for tenth in range(1, 11))
COUNTERS = {
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
GAUGES: dict[str, tuple[str, Literal["livesum", "livemin"]]] = {
    "log_waiting": ("Requests that wait to be logged", "livesum"),
    "model_ready": ("1 if every worker holds a model", "livemin"),
    "model_max_age_seconds": ("Age that is too old", "livemin"),
}


class Instruments:
    """The metrics of a service, in a registry of its own."""

    def __init__(self) -> None:
        # Else each counter has a second series, which nothing reads.
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no types
        self.registry = prometheus.CollectorRegistry()
        self.options: Any = {"namespace": "serving", "registry": self.registry}
        self.counters = {
            name: prometheus.Counter(name, text, labels, **self.options)
            for name, (text, *labels) in COUNTERS.items()
        }
        self.gauges = {
            name: prometheus.Gauge(name, text, multiprocess_mode=mode, **self.options)
            for name, (text, mode) in GAUGES.items()
        }
        self.seconds = prometheus.Histogram(
            "request_seconds", "Seconds to an answer", buckets=LATENCY_BOUNDS, **self.options
        )
        self.scores: prometheus.Histogram | None = None  # its buckets depend on the first champion

    def count_labels(self, name: str, labels: Iterable[Any]) -> None:
        """Count each of these labels once more."""
        for label, number in Counter(labels).items():
            self.counters[name].labels(str(label)).inc(number)

    def render(self, model: Collector) -> bytes:
        """Return all metrics, of all workers; `model` is collected from this one only."""
        registry = prometheus.CollectorRegistry()
        registry.register(model)
        if folder := os.environ.get(MULTIPROCESS_FOLDER):
            drop_dead_workers(Path(folder))
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # it has no types
            return prometheus.generate_latest(registry)
        return prometheus.generate_latest(registry) + prometheus.generate_latest(self.registry)


class ModelCollector(Collector):
    """The champion at the time of a scrape, so that no earlier champion is left in the metrics."""

    # pylint: disable=too-few-public-methods  # a protocol of one method

    def __init__(self, served: ServedModel | None, trained_at: float | None) -> None:
        self._served, self._trained_at = served, trained_at

    def collect(self) -> Iterator[Metric]:
        """Yield the champion, and when it was trained if that is known."""
        if self._served:
            model = self._served.model
            labels = {"version": self._served.number, "model_version": model.version}
            labels |= {"runtime": str(model.bundle["runtime"])}
            yield InfoMetricFamily("serving_model", "The champion", labels)
        if self._trained_at is not None:
            text = "When the champion was trained, in seconds since 1970"
            name = "serving_model_trained_timestamp_seconds"
            yield GaugeMetricFamily(name, text, value=self._trained_at)


class Metrics:  # pylint: disable=too-many-instance-attributes  # counts, and what is compared
    """An observer that counts requests.

    `reloader` and `others`, the other observers, are set by `serve_metrics`.  If all strange rows
    are `marked` in the answers, only marked rows are compared with the reference.
    """

    name = "metrics"

    def __init__(self, settings: Settings) -> None:
        self.reloader: ModelReloader | None = None
        self.others: Sequence[Observer] = ()
        self.marked = False
        self._margin = settings.fallback.margin
        self.instruments = Instruments()
        self.instruments.gauges["model_max_age_seconds"].set(settings.staleness.max_age_days * DAY)
        self._buffer: deque[PredictionEvent] = deque()
        self._log_counts: Counter[str] = Counter()
        self._served: ServedModel | None = None
        self._reference = Reference()
        self._lock, self._ended = Lock(), Event()

    def __call__(self, event: PredictionEvent) -> None:
        """Buffer a request; the requests of an earlier champion are counted before."""
        if self.reloader and self.reloader.current is not self._served:
            self.refresh()
        self._buffer.append(event)

    def refresh(self) -> None:
        """Count the buffer and the log, and learn about a new champion."""
        log = next((other.counts() for other in self.others if other.name == "log"), {})
        with self._lock:
            events = [self._buffer.popleft() for _ in range(len(self._buffer))]
            self.count_requests(events)
            self.count_log(log)
            self.learn_champion()
            is_ready = bool(self.reloader and self.reloader.current)
            self.instruments.gauges["model_ready"].set(is_ready)

    def count_requests(self, events: Sequence[PredictionEvent]) -> None:
        """Count requests; of a refused one only its status and its time."""
        instruments, counters = self.instruments, self.instruments.counters
        instruments.count_labels("requests", (event.status for event in events))
        observe_all(instruments.seconds, [event.seconds for event in events])
        answered = [event for event in events if event.status == 200]
        instruments.count_labels("answers", (event.model_version for event in answered))
        counters["rows"].inc(sum(len(event.rows) for event in answered))
        for event in answered:
            self.count_flags(event)
        answers = [answer for event in answered for answer in event.answers]
        self.count_predictions([answer for answer in answers if "fallback" not in answer])

    def count_flags(self, event: PredictionEvent) -> None:
        """Count marked answers, and values that training did not see."""
        flagged = [
            (row, answer)
            for row, answer in zip(event.rows, event.answers, strict=True)
            if "abstain" in answer or "fallback" in answer or "outside" in answer
        ]
        rows = [row for row, _ in flagged] if self.marked else event.rows
        strange = self._reference.find_outside(rows)
        self.instruments.count_labels("out_of_range", (column for _, column in strange))
        outside = (name for _, answer in flagged for name in answer.get("outside", ()))
        self.instruments.count_labels("outside", outside)
        for counter, flag in (("abstained", "abstain"), ("fallback", "fallback")):
            self.instruments.counters[counter].inc(sum(flag in answer for _, answer in flagged))

    def count_predictions(self, answers: Sequence[dict[str, Any]]) -> None:
        """Count what the model has predicted, and how sure it was."""
        scores = [answer["prediction"] for answer in answers]
        if self._served and self._served.model.bundle["classes"] is not None:
            self.instruments.count_labels("predictions", scores)
            sure = [answer for answer in answers if "probability" in answer]
            scores = [answer["probability"][str(answer["prediction"])] for answer in sure]
        if self.instruments.scores:
            observe_all(self.instruments.scores, scores)

    def count_log(self, counts: dict[str, int]) -> None:
        """Count what the prediction log has dropped since the last time, and what waits."""
        self.instruments.gauges["log_waiting"].set(counts.get("waiting", 0))
        for name in ("dropped", "failed"):
            more = max(counts.get(name, 0) - self._log_counts[name], 0)
            self.instruments.counters[f"log_{name}"].inc(more)
            self._log_counts[name] += more

    def learn_champion(self) -> None:
        """Learn the classes and the reference of a new champion; each label starts at 0."""
        served = self.reloader.current if self.reloader else None
        if served is self._served or not (served and self.reloader):
            return
        classes, place = served.model.bundle["classes"], self.reloader.folder / served.number
        reference = load_reference(place, served.model.bundle, self._margin)
        for name, *_ in (*reference.ranges, *reference.categories):
            self.instruments.counters["out_of_range"].labels(name).inc(0)
        for label in classes or ():
            self.instruments.counters["predictions"].labels(str(label)).inc(0)
        if not self.instruments.scores:
            text = "Probability of the predicted class, or the number that is predicted"
            bounds = score_bounds(reference.scores) if classes is None else PROBABILITY_BOUNDS
            options = self.instruments.options
            self.instruments.scores = prometheus.Histogram("score", text, buckets=bounds, **options)
        self._reference, self._served = reference, served

    def counts(self) -> dict[str, int]:
        """Return nothing: `/metrics` shows all counts."""
        return {}

    def render(self) -> bytes:
        """Return all metrics as Prometheus reads them."""
        self.refresh()
        return self.instruments.render(ModelCollector(self._served, self._reference.trained_at))

    def run(self) -> None:
        """Refresh until the end: the buffer takes memory, and another worker may be scraped."""
        is_over = False
        while not is_over:
            is_over = self._ended.wait(REFRESH)
            try:
                self.refresh()
            except Exception:  # pylint: disable=broad-exception-caught  # observers raise anything
                LOG.exception("metrics were not refreshed")

    def close(self) -> None:
        """Count the last requests, and leave the live workers."""
        self._ended.set()
        self.run()
        drop_worker(os.getpid())


def observe_all(histogram: prometheus.Histogram, values: Sequence[float]) -> None:
    """Observe many values at once: one at a time, 10,000 take as long as their predictions.

    Uses private attributes of prometheus_client; a test compares with `observe`.
    """
    # pylint: disable=protected-access  # there is no public way to observe many at once
    numbers = np.asarray(values, dtype=float)
    places = np.searchsorted(histogram._upper_bounds, numbers)  # the first bound that is not below
    for bucket, count in zip(histogram._buckets, np.bincount(places).tolist(), strict=False):
        bucket.inc(count)
    histogram._sum.inc(float(numbers.sum()))


def drop_dead_workers(folder: Path) -> None:
    """Delete the gauges of workers that were killed."""
    for pid in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*_*.db")}:
        try:
            os.kill(pid, 0)  # signal 0 only asks whether the process exists
        except ProcessLookupError:
            drop_worker(pid)
        except PermissionError:  # it lives, as another user
            continue


def drop_worker(pid: int) -> None:
    """Delete the gauges of a worker, if there are several."""
    if MULTIPROCESS_FOLDER in os.environ:
        mark_process_dead(pid)  # type: ignore[no-untyped-call]  # it has no types


def serve_metrics(app: FastAPI, _: Settings) -> None:
    """Let the service answer `GET /metrics` with the counts of its observer."""
    metrics = next(observer for observer in app.state.observers if isinstance(observer, Metrics))
    metrics.reloader, metrics.others = app.state.reloader, app.state.observers
    metrics.marked = any(getattr(selector, "marks", False) for selector in app.state.selectors)

    def answer_scrape(_: Request) -> Response:
        return Response(metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app.router.routes.append(Route("/metrics", answer_scrape))
    Thread(target=metrics.run, name="metrics", daemon=True).start()
