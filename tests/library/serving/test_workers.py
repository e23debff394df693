"""Workers: one that is killed under load is replaced, and no request fails."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import pytest
from fastapi import FastAPI
from library.serving.published import make_reloader, publish

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.serving.app import create_app
from mlops_ladder.serving.command import OPTIONS
from mlops_ladder.serving.load_test import sample_requests, send_load
from mlops_ladder.serving.workers import Attack, attack_workers, check_attack
from mlops_ladder.settings import load_settings
from mlops_ladder.serving.settings import Load

FOLDER = "PUBLISHED_FOR_WORKERS"


def app() -> FastAPI:
    """What each worker of these tests serves."""
    reloader = make_reloader(Path(os.environ[FOLDER]), read_contract())
    reloader.refresh()
    return create_app(load_settings(), reloader)


def test_a_worker_is_killed_and_no_request_fails(
    frame: pd.DataFrame, contract: Contract, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections of a killed worker break, and what was asked there is asked again."""
    publish(tmp_path, 1, contract)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    wanted = Load(seconds=1.5, connections=4)
    attack = attack_workers(
        f"{__name__}:{app.__name__}", 2, sample_requests(frame, contract, 1), wanted
    )
    assert attack.killed and attack.resent
    check_attack(attack)
    assert "none failed" in str(attack)
    assert {status for *_, status in attack.sent} == {200}


def test_a_new_worker_imports_the_service_once_it_can_say_that_it_lives() -> None:
    """Its options are plain; else a slow start looks like a death, and it is replaced for ever."""
    assert json.loads(json.dumps(OPTIONS)) == OPTIONS


def test_the_private_parts_of_uvicorn_were_read_in_this_version() -> None:
    """`command.py` uses parts that are not documented: look at them before a newer version."""
    assert version("uvicorn").startswith("0.54.")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        ({"sent": [(0.0, 0.1, 200), (0.1, 0.1, 0)], "resent": [0.1]}, "1 of 2 requests failed"),
        ({"sent": [(0.0, 0.1, 200), (0.1, 0.1, 503)], "resent": [0.1]}, "1 of 2 requests failed"),
        ({"sent": [(0.0, 0.1, 200)]}, "no connection broke"),
        ({"error": "no model"}, "not ready: no model"),
    ],
)
def test_what_was_not_shown_is_no_survival(found: dict[str, Any], told: str) -> None:
    """A request that failed, and a kill that nobody noticed."""
    with pytest.raises(ProjectError, match=told):
        check_attack(Attack("", [], Load(), **found))


@contextmanager
def breaking() -> Iterator[str]:
    """A service that ends every second connection without an answer."""

    asked = count()

    class Breaking(BaseHTTPRequestHandler):
        """Ends a connection, or answers with 200 and ends it."""

        def do_POST(self) -> None:  # pylint: disable=invalid-name  # the name that is called
            """Answer, or do not."""
            self.rfile.read(int(self.headers["Content-Length"]))
            if next(asked) % 2:
                self.send_response(200)
                self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Breaking) as server:
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_only_who_is_asked_to_sends_again() -> None:
    """A plain client sees a broken connection; one that sends again does not, and counts it."""
    wanted, resent = Load(seconds=0.2, connections=1), list[float]()
    with breaking() as url:
        assert 0 in {status for *_, status in send_load(url, [b"{}"], wanted)}
    with breaking() as url:
        sent = send_load(url, [b"{}"], wanted, resent=resent)
    assert {status for *_, status in sent} == {200} and len(resent) == len(sent)
