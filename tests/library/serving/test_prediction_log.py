"""The prediction log: a row for each answered request, whatever the database does meanwhile."""

import os
import re
import sqlite3
import time
from collections.abc import Callable
from datetime import datetime, UTC
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

from library.fixture_project import ROOT
import pytest
from fastapi.testclient import TestClient
from library.serving.published import make_reloader

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.project import get_project
from mlops_ladder.serving.app import create_app
from mlops_ladder.serving.command import STOP_TIMEOUT_S as SERVICE_STOP_TIMEOUT_S
from mlops_ladder.serving.events import PredictionEvent
from mlops_ladder.serving.prediction_log import PredictionLog, START, STOP_TIMEOUT_S
from mlops_ladder.serving.store import Store
from mlops_ladder.settings import load_settings, Settings

TARGET = Column(kind="boolean", role="target")
NOW = datetime(2024, 1, 1, 12, tzinfo=UTC)


def served(number: int = 0, status: int = 200, count: int = 1) -> PredictionEvent:
    """A request that was answered."""
    given, said = [{"at": NOW, "é": number}] * count, [{"prediction": number}] * count
    return PredictionEvent(f"id-{number}", NOW, status, 0.0015, "model-1", given, said)


def opened(path: Path, capacity: int = 100) -> PredictionLog:
    """A log in this file."""
    return PredictionLog(partial(Store, f"sqlite:///{path}"), capacity)


def logged(path: Path, columns: str = "request_id") -> list[Any]:
    """What the log holds, in order."""
    with sqlite3.connect(path) as store:
        return store.execute(f"select {columns} from predictions order by id").fetchall()


def test_every_answered_request_is_a_row(tmp_path: Path) -> None:
    """After closing there is a row for each of 1,000 requests, in order; none was dropped."""
    log = opened(tmp_path / "log.db", 1000)
    for number in range(1000):
        log(served(number))
    log.close()
    assert logged(tmp_path / "log.db") == [(f"id-{number}",) for number in range(1000)]
    assert log.counts() == {"written": 1000, "waiting": 0, "dropped": 0, "failed": 0}


def test_a_row_says_who_asked_what_and_was_told_what(tmp_path: Path) -> None:
    """Request, time, model, inputs and output as JSON, number of rows, and milliseconds."""
    log = opened(tmp_path / "log.db")
    log(served(7, count=2))
    log.close()
    assert logged(tmp_path / "log.db", "*") == [
        (
            1,
            "id-7",
            "2024-01-01 12:00:00.000000",
            "model-1",
            '[{"at":"2024-01-01T12:00:00+00:00","é":7},{"at":"2024-01-01T12:00:00+00:00","é":7}]',
            '[{"prediction":7},{"prediction":7}]',
            2,
            1.5,
        )
    ]


@pytest.mark.parametrize("status", [401, 415, 422, 500, 503])
def test_a_refused_request_is_no_row(tmp_path: Path, status: int) -> None:
    """What was not predicted is not logged."""
    log = opened(tmp_path / "log.db")
    log(served(status=status))
    log.close()
    assert log.counts() == {"written": 0, "waiting": 0, "dropped": 0, "failed": 0}


def test_a_full_log_drops_and_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What does not fit is dropped, counted and told; what was taken is written."""
    log = opened(tmp_path / "log.db", capacity=3)
    for number in range(4):
        log(served(number, count=2))
    assert log.counts()["dropped"] == 3
    log.close()
    assert logged(tmp_path / "log.db") == [("id-0",)]
    assert "full: 1 requests are not in it" in caplog.text


def test_rows_wait_while_the_database_is_down(tmp_path: Path) -> None:
    """Requests do not fail without a database, and are written, in order, once it is there."""
    place = tmp_path / "not yet"
    log = opened(place / "log.db")
    for number in range(3):
        log(served(number))
    until = time.monotonic() + STOP_TIMEOUT_S
    while not log.counts()["failed"]:
        assert time.monotonic() < until
        time.sleep(0.01)
    place.mkdir()
    log.close()
    assert logged(place / "log.db") == [(f"id-{number}",) for number in range(3)]


def emptied(path: Path) -> None:
    """Leave nothing in a file."""
    os.truncate(path, 0)


def restored(path: Path) -> None:
    """Put a copy of a database in its place."""
    copy = path.with_name("copy.db")
    with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    copy.replace(path)


def dropped(path: Path) -> None:
    """Take the table away."""
    with sqlite3.connect(path) as store:
        store.execute("drop table predictions")


@pytest.mark.parametrize("fault", [Path.unlink, emptied, restored, dropped])
def test_a_log_whose_file_is_taken_away_is_begun_anew(
    tmp_path: Path, fault: Callable[[Path], None]
) -> None:
    """What is answered afterwards is in the file that is there, and counted as written."""
    path = tmp_path / "log.db"
    log = opened(path)
    log(served(1))
    until = time.monotonic() + 2 * STOP_TIMEOUT_S
    while not log.counts()["written"]:
        assert time.monotonic() < until
        time.sleep(0.01)
    fault(path)
    log(served(2))
    log.close()
    assert logged(path)[-1:] == [("id-2",)]
    assert (log.counts()["written"], log.counts()["waiting"]) == (2, 0)


@pytest.mark.parametrize(
    ("path", "grace", "before"),
    [
        ("deploy/compose/serving.yaml", r"stop_grace_period: (\d+)s", None),
        (
            "deploy/kubernetes/base/deployment.yaml",
            r"terminationGracePeriodSeconds: (\d+)",
            r'sleep, "(\d+)"',
        ),
        ("deploy/infra/service/main.tf", r"stopTimeout += (\d+)", None),
    ],
)
def test_all_that_a_service_does_at_its_end_fits_into_its_grace(
    path: str, grace: str, before: str | None
) -> None:
    """The wait before it, the requests under way, and the log; what is killed loses rows."""
    place = ROOT / path
    text = place.read_text(encoding="utf-8") if place.exists() else "{}"
    limit = re.findall(grace, text)
    wait = re.findall(before, text) if before else []
    assert len(limit) == place.exists() and len(wait) == bool(before) * place.exists()
    assert all(
        sum(map(int, wait)) + SERVICE_STOP_TIMEOUT_S + 2 * STOP_TIMEOUT_S <= int(most)
        for most in limit
    )


def test_observers_are_closed_at_once(settings: Settings, tmp_path: Path) -> None:
    """Two that wait for a database at the end take the time of one."""
    both = Barrier(2)

    class Waiting(PredictionLog):
        """A log whose end waits for that of the other."""

        def close(self) -> None:
            both.wait(STOP_TIMEOUT_S)

    logs = [Waiting(partial(Store, f"sqlite:///{tmp_path}/{name}.db"), 9) for name in "ab"]
    contract = Contract(columns={"x": Column(kind="number", role="feature"), "y": TARGET})
    with TestClient(create_app(settings, make_reloader(tmp_path, contract), logs)):
        pass
    assert not both.broken


def test_several_workers_write_to_one_file(tmp_path: Path) -> None:
    """Two logs on one SQLite file lose nothing."""
    logs = [opened(tmp_path / "log.db") for _ in range(2)]
    for number in range(50):
        for log in logs:
            log(served(number))
    for log in logs:
        log.close()
    assert len(logged(tmp_path / "log.db")) == 100


def test_a_queue_that_fills_up_is_written_at_once(tmp_path: Path) -> None:
    """Past half of its capacity the log does not wait for its next turn."""
    log = opened(tmp_path / "log.db", capacity=10)
    began = time.monotonic()
    log(served(count=6))
    while not log.counts()["written"]:
        assert time.monotonic() - began < START
        time.sleep(0.01)
    log.close()


def test_a_log_that_is_no_address_is_refused_before_anything_is_served(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of what holds it; of one with a password nothing is shown."""
    for log in ("predictions.db", "postgresql:me:secret@host/log"):
        monkeypatch.setenv(f"{get_project().prefix}SERVING__PREDICTION_LOG_URL", log)
        with pytest.raises(
            ProjectError, match="serving.prediction_log_url.*no address of a database"
        ) as refused:
            load_settings()
        assert (
            f"{get_project().prefix}SERVING__PREDICTION_LOG_URL: " in str(refused.value)
            and folder.exists()
        )
        assert ("predictions.db'" in str(refused.value)) == (log == "predictions.db")
        assert "secret" not in str(refused.value)
    monkeypatch.setenv(
        f"{get_project().prefix}SERVING__PREDICTION_LOG_URL",
        "postgresql+psycopg://me:secret@host/log",
    )
    assert load_settings().serving.prediction_log_url.endswith("@host/log")
