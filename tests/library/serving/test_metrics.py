"""Metrics: what Prometheus reads is what was served, of one worker and of several."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, UTC
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from library.serving.published import make_reloader
from library.serving.referenced import KINDS, refer, REFERENCE, ROW
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from mlops_ladder.serving import metrics
from mlops_ladder.serving.app import create_app
from mlops_ladder.serving.events import PredictionEvent
from mlops_ladder.serving.metrics import (
    Metrics,
    MULTIPROCESS_FOLDER,
    observe_all,
    serve_metrics,
)
from mlops_ladder.settings import Settings

Samples = dict[str, float]
NAMES = {
    "serving_requests",
    "serving_answers",
    "serving_request_seconds",
    "serving_rows",
    "serving_predictions",
    "serving_score",
    "serving_model_info",
    "serving_model_max_age_seconds",
    "serving_model_ready",
    "serving_model_trained_timestamp_seconds",
    "serving_log_dropped",
    "serving_log_waiting",
    "serving_log_failed",
    "serving_out_of_range",
    "serving_outside",
    "serving_abstained",
    "serving_fallback",
}


class Log:
    """A log with counts that a test sets."""

    name = "log"

    def __init__(self) -> None:
        self.found = {"written": 0, "waiting": 0, "dropped": 0, "failed": 0}

    def __call__(self, event: PredictionEvent) -> None:
        """Keep nothing."""

    def counts(self) -> dict[str, int]:
        """What the test says."""
        return self.found

    def close(self) -> None:
        """Nothing to finish."""


def service(settings: Settings, folder: Path, log: Log, problem: str = "classification") -> FastAPI:
    """A service of this folder with metrics."""
    settings = settings.model_copy(update={"problem": problem})
    app = create_app(settings, make_reloader(folder, KINDS), [log, Metrics(settings)])
    serve_metrics(app, settings)
    return app


def samples(client: TestClient) -> Samples:
    """Every sample that `/metrics` shows, as Prometheus' own parser reads it."""
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


@pytest.fixture(name="log")
def _log() -> Log:
    return Log()


@pytest.fixture(name="client")
def _client(settings: Settings, tmp_path: Path, log: Log) -> Iterator[TestClient]:
    """A client of a classifier with a reference."""
    refer(tmp_path, 1, REFERENCE)
    with TestClient(service(settings, tmp_path, log)) as client:
        yield client


def test_every_metric_has_its_name(client: TestClient) -> None:
    """Dashboards and alerts find each metric, also before the first request."""
    text = client.get("/metrics").text
    assert {family.name for family in text_string_to_metric_families(text)} == NAMES


def test_requests_and_rows_are_counted(client: TestClient) -> None:
    """A request counts once by its status; rows count where they were answered."""
    client.post("/predict", json=ROW)
    client.post("/predict", json=[ROW] * 3)
    client.post("/predict", json=[{}])
    found = samples(client)
    assert found["serving_requests_total 200"] == 2 and found["serving_requests_total 422"] == 1
    assert found["serving_rows_total"] == 4
    assert found["serving_request_seconds_count"] == 3
    assert found["serving_request_seconds_bucket +Inf"] == 3


def test_predictions_of_a_classifier_are_counted_by_class(client: TestClient) -> None:
    """Each class is there from the start, and the score is the probability of the predicted one."""
    assert samples(client)["serving_predictions_total first"] == 0
    client.post("/predict", json=[ROW] * 3)
    found = samples(client)
    assert found["serving_predictions_total first"] == 3
    assert found["serving_predictions_total second"] == 0
    assert (found["serving_score_count"], found["serving_score_sum"]) == (3, 3.0)
    assert found["serving_score_bucket 0.9"] == 0 and found["serving_score_bucket 1.0"] == 3


@pytest.mark.parametrize(
    ("scores", "bounds"),
    [([1.0, 2.0, 2.0, 5.12345], ["1.0", "2.0", "5.123", "+Inf"]), ([], ["0.01", "1.0", "1000.0"])],
)
def test_numbers_are_counted_between_those_of_training(
    settings: Settings, tmp_path: Path, log: Log, scores: list[float], bounds: list[str]
) -> None:
    """A regression's score has the deciles of the reference as buckets, else powers of ten."""
    refer(tmp_path, 2, REFERENCE | {"scores": scores}, classifies=False)
    with TestClient(service(settings, tmp_path, log, "regression")) as client:
        client.post("/predict", json=ROW)
        found = samples(client)
    assert found["serving_score_bucket 1.0"] == 0 and found["serving_score_bucket +Inf"] == 1
    shown = [name.split()[1] for name in found if name.startswith("serving_score_bucket")]
    assert shown == bounds if scores else set(bounds) <= set(shown)
    assert not [name for name in found if name.startswith("serving_predictions")]


def test_the_champion_says_whether_it_classifies(
    settings: Settings, tmp_path: Path, log: Log
) -> None:
    """Not config.toml, in which the problem may be another one by now."""
    refer(tmp_path, 1, REFERENCE)
    with TestClient(service(settings, tmp_path, log, "regression")) as client:
        client.post("/predict", json=ROW)
        found = samples(client)
    assert (found["serving_predictions_total first"], found["serving_score_sum"]) == (1, 1)


def test_inputs_that_training_did_not_see_are_counted_by_column(client: TestClient) -> None:
    """A number out of range, a value never seen; but no missing value, and no time."""
    client.post("/predict", json=[ROW, ROW | {"größe": None, "at": "2099-01-01T00:00:00Z"}])
    assert not any(value for name, value in samples(client).items() if "out_of_range_total" in name)
    strange = {"größe": 2.1, "count": -1, "colour": "green", "a word": "no", "open": False}
    client.post("/predict", json=[ROW | strange, ROW | {"count": 11, "a word": " yes "}])
    found = samples(client)
    counted = {
        name.removeprefix("serving_out_of_range_total "): value
        for name, value in found.items()
        if "out_of_range_total" in name
    }
    assert counted == {"größe": 1, "count": 2, "colour": 1, "a word": 1, "open": 1}


def test_inputs_that_the_contract_does_not_expect_are_counted_by_column(client: TestClient) -> None:
    """One that training did not see is none: the contract may expect more, and a word less."""
    client.post("/predict", json=[ROW | {"colour": "pink"}, ROW | {"colour": "green", "count": 11}])
    found = samples(client)
    counted = {name: value for name, value in found.items() if "serving_outside_total" in name}
    assert counted == {"serving_outside_total colour": 1}


def test_the_model_is_told_and_an_earlier_one_forgotten(client: TestClient, tmp_path: Path) -> None:
    """Version, model, runtime and time of training are those of the champion that serves now."""
    found = samples(client)
    assert found["serving_model_info model-1 native 1"] == 1
    assert found["serving_model_trained_timestamp_seconds"] == REFERENCE["trained_at"]
    refer(tmp_path, 2, REFERENCE | {"trained_at": None})
    client.app.state.reloader.refresh()  # type: ignore[attr-defined]  # typed as any ASGI app
    told = {name for name in samples(client) if name.startswith("serving_model")}
    still = {"serving_model_max_age_seconds", "serving_model_ready"}
    assert told == {"serving_model_info model-2 native 2"} | still


def test_the_age_that_is_too_old_is_that_of_the_settings(
    client: TestClient, settings: Settings
) -> None:
    """The alert compares with it, so that it stands in one place."""
    days = samples(client)["serving_model_max_age_seconds"] / (24 * 3600)
    assert days == settings.staleness.max_age_days


def test_a_service_without_a_model_is_not_ready(
    settings: Settings, tmp_path: Path, log: Log
) -> None:
    """Ready is 0 before the first champion and 1 with it."""
    app = service(settings, tmp_path, log)
    with TestClient(app) as client:
        assert samples(client)["serving_model_ready"] == 0
        client.post("/predict", json=ROW)
        assert samples(client)["serving_requests_total 503"] == 1
        refer(tmp_path, 1, REFERENCE)
        app.state.reloader.refresh()
        assert samples(client)["serving_model_ready"] == 1


def test_the_log_is_told_as_it_is(client: TestClient, log: Log) -> None:
    """Waiting goes up and down; dropped and failed are counted once each."""
    for waiting, failed in ((5, 2), (0, 3)):
        log.found |= {"waiting": waiting, "failed": failed, "dropped": 7}
        found = samples(client)
        assert found["serving_log_waiting"] == waiting
        assert found["serving_log_failed_total"] == failed
        assert found["serving_log_dropped_total"] == 7


def test_a_changed_reference_is_not_used(settings: Settings, tmp_path: Path, log: Log) -> None:
    """A reference that the bundle does not vouch for says nothing, and the model answers."""
    refer(tmp_path, 1, REFERENCE)
    changed = json.dumps(REFERENCE | {"rows": 1})
    (tmp_path / "1" / "reference.json").write_text(changed, encoding="utf-8")
    with TestClient(service(settings, tmp_path, log)) as client:
        assert client.post("/predict", json=ROW | {"count": 99}).status_code == 200
        found = samples(client)
    assert "serving_model_trained_timestamp_seconds" not in found
    assert not [name for name in found if name.startswith("serving_out_of_range")]


def test_two_services_count_apart(settings: Settings, tmp_path: Path, client: TestClient) -> None:
    """A second service in the process starts from nothing."""
    client.post("/predict", json=ROW)
    with TestClient(service(settings, tmp_path, Log())) as other:
        assert samples(other)["serving_rows_total"] == 0
    assert samples(client)["serving_rows_total"] == 1


def test_many_values_count_as_they_would_one_by_one() -> None:
    """Values on, between and beyond the bounds fall where prometheus_client puts them."""
    values, shown = [-1.0, 0.1, 0.15, 0.2, 7.0, 0.1], []
    one_by_one, at_once = (
        Histogram("a", "", buckets=(0.1, 0.2), registry=CollectorRegistry()) for _ in range(2)
    )
    for value in values:
        one_by_one.observe(value)
    for chunk in (values[:4], [], values[4:]):
        observe_all(at_once, chunk)
    for made in (one_by_one, at_once):
        shown.append([(s.name, s.labels, s.value) for m in made.collect() for s in m.samples][:5])
    assert shown[0] == shown[1]


def test_nothing_is_lost_that_is_noted_while_others_are_counted(settings: Settings) -> None:
    """What comes while the buffer is counted counts the next time, and once."""
    counted = Metrics(settings)
    event = PredictionEvent("a", datetime.now(UTC), 200, 0.1, "model")
    counting = counted.count_requests

    def count_while_one_comes(events: Sequence[PredictionEvent]) -> None:
        counting(events)
        counted(event._replace(status=503))

    vars(counted)["count_requests"] = count_while_one_comes
    counted(event)
    counted(event)
    for refused in (None, 1):
        family = text_string_to_metric_families(counted.render().decode())
        requests = next(it for it in family if it.name == "serving_requests")
        found = {sample.labels["status"]: sample.value for sample in requests.samples}
        assert (found["200"], found.get("503")) == (2, refused)


def test_requests_are_counted_where_nobody_asks(
    settings: Settings,
    tmp_path: Path,
    log: Log,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What is noted takes memory until it is counted; and a count that fails is not the last."""
    calls, counted, count = [], Event(), Metrics.count_requests

    def failing_once(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 1:
            raise RuntimeError("for once")
        count(*arguments)
        counted.set()

    monkeypatch.setattr(Metrics, "count_requests", failing_once)
    monkeypatch.setattr(metrics, "REFRESH", 0.01)
    with TestClient(service(settings, tmp_path, log)):
        assert counted.wait(10)
        monkeypatch.setattr(Metrics, "count_requests", None)  # a failure at the end delays nothing
    assert "metrics were not refreshed" in caplog.text


WORKER = """
import os, sys
from types import SimpleNamespace
from mlops_ladder.serving.metrics import Instruments, ModelCollector
made = Instruments()
made.count_labels("requests", [200])
made.gauges["model_ready"].set(1); made.gauges["log_waiting"].set(4)
if sys.argv[1] == "shows":
    print(made.render(ModelCollector(None, 1.0)).decode())
"""


def test_the_private_parts_of_prometheus_client_were_read_in_this_version() -> None:
    """`observe_all` uses attributes that are not documented: look at it before a newer version."""
    assert version("prometheus_client").startswith("0.26.")
    histogram = Histogram("a", "", buckets=(0.1,), registry=CollectorRegistry())
    assert {"_upper_bounds", "_buckets", "_sum"} <= vars(histogram).keys()


def test_workers_are_told_together_and_a_dead_one_is_left_out(tmp_path: Path) -> None:
    """Of two workers the requests of both count; what waited in the one that died does not."""
    shown = ""
    for part in ("dies", "shows"):
        shown = subprocess.run(
            [sys.executable, "-c", WORKER, part],
            env=os.environ | {MULTIPROCESS_FOLDER: str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    assert 'serving_requests_total{status="200"} 2.0' in shown
    assert "serving_log_waiting 4.0" in shown and "serving_model_ready 1.0" in shown
