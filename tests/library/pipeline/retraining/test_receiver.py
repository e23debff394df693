"""The receiver: who has no key tells it nothing, and what it is told is judged once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_ladder import ProjectError
from mlops_ladder.pipeline.retraining import causes, data_guard, ledger, receiver
from mlops_ladder.pipeline.retraining.decision import make_event
from mlops_ladder.serving.keys import add_key, write_keys
from mlops_ladder.settings import Settings

CAUSE = make_event("drift", "temp drifted", "model-1", "temp")


@pytest.fixture(name="started")
def _started() -> list[Any]:
    """The runs that have begun."""
    return []


@pytest.fixture(name="client")
def _client(
    folder: Path, settings: Settings, started: list[Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[TestClient]:
    """A client with a key, of a receiver to which drift is a cause."""
    key, keys = add_key([], "alertmanager", None, 0)
    write_keys(folder / settings.receiver.key_file, keys)
    monkeypatch.setattr(data_guard, "find_data_faults", lambda *_: [])
    monkeypatch.setattr(causes, "find_drift_event", lambda *_: CAUSE)
    monkeypatch.setattr(causes, "find_data_event", lambda *_: None)
    app = receiver.create_app(settings, started.append)
    with TestClient(app, headers={"Authorization": f"Bearer {key}"}) as client:
        yield client


def test_without_a_key_nobody_is_heard(client: TestClient, started: list[Any]) -> None:
    """Neither events nor alerts nor outcomes; whether it lives, anybody may ask."""
    for path in ("/events", "/alerts", "/outcomes"):
        for headers in ({"Authorization": ""}, {"Authorization": "Bearer guessed"}):
            assert client.post(path, json={"cause": "drift"}, headers=headers).status_code == 401
    assert client.get("/health", headers={"Authorization": ""}).json() == {"status": "alive"}
    assert not started and not ledger.read_ledger()


@pytest.mark.usefixtures("folder")
def test_without_any_key_it_does_not_start(settings: Settings) -> None:
    """Not even for this machine alone: anybody on it could start a training."""
    with pytest.raises(ProjectError, match="holds no key.*make receiver-key NAME="):
        receiver.create_app(settings)


def test_an_alert_that_is_told_again_and_again_starts_one_run(
    client: TestClient, started: list[Any]
) -> None:
    """Alertmanager repeats, and its replica tells the same; resolved alerts start nothing."""
    alert = {"labels": {"alertname": "ColumnDrifted", "column": "temp"}, "status": "firing"}
    other = {"labels": {"alertname": "ServiceDown"}, "status": "firing"}
    body = {"version": "4", "alerts": [alert, alert | {"status": "resolved"}, other]}
    first = client.post("/alerts", json=body).json()
    assert [it["decision"] for it in first] == ["run", "nothing", "nothing"]
    assert client.post("/alerts", json=body).json()[0]["decision"] == "known"
    assert [it.event for it in started] == [CAUSE]


def test_a_report_is_looked_up_and_judged(client: TestClient, started: list[Any]) -> None:
    """Who tells of drift says where to look, not what to find there."""
    assert client.post("/events", json={"cause": "data"}).json()["decision"] == "nothing"
    assert client.post("/events", json={"cause": "drift"}).json()["decision"] == "run"
    assert client.post("/events", json={"cause": "magic"}).status_code == 422
    assert len(started) == 1


def test_what_cannot_be_looked_up_is_told(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the way out, and nothing is written down."""

    def none(*_: Any) -> None:
        raise ProjectError("no report on drift; run: make drift")

    monkeypatch.setattr(causes, "find_drift_event", none)
    answer = client.post("/events", json={"cause": "drift"})
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "no report on drift; run: make drift",
    )
    assert not ledger.read_ledger()


def test_a_body_that_is_too_large_is_not_read(client: TestClient, settings: Settings) -> None:
    """Nor one that is no list of outcomes."""
    huge = b" " * (settings.receiver.body_bytes + 1)
    assert client.post("/outcomes", content=huge).status_code == 413
    for body in (b"{", b"{}", b"[]", b"[1]"):
        assert client.post("/outcomes", content=body).status_code == 422
    answer = client.post("/outcomes", json=[{"request_id": "a"}])
    assert answer.status_code == 422 and "no prediction log is here" in answer.json()["detail"]
