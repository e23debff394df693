"""Load: a service that is quick passes, one that is slow or refuses does not."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import uvicorn
from fastapi import HTTPException, Request
from library.serving.published import make_reloader, publish

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.project import get_project
from mlops_ladder.serving import load_test
from mlops_ladder.serving.app import create_app
from mlops_ladder.serving.load_test import sample_requests, send_load
from mlops_ladder.serving.schemas import Types
from mlops_ladder.settings import Settings
from mlops_ladder.serving.settings import Load

WANTED = Load(seconds=0.4, connections=2, p95_ms=300)
DELAY = 0.31  # seconds: a little more than the budget

Serve = Callable[..., Any]


@pytest.fixture(name="serve")
def _serve(settings: Settings, tmp_path: Path, contract: Contract) -> Serve:
    """`with serve(delay) as url`: a service of which each answer takes longer by the delay."""
    publish(tmp_path, 1, contract)

    def guarded(request: Request) -> None:
        if request.headers.get("authorization") != "Bearer right":
            raise HTTPException(401, "who are you?")

    @contextmanager
    def serve(delay: float = 0, locked: bool = False) -> Iterator[str]:
        reloader = make_reloader(tmp_path, contract)
        reloader.refresh()
        assert reloader.current
        scores = reloader.current.model.scores

        def slow(rows: list[dict[str, Any]]) -> Any:
            time.sleep(delay)
            return scores(rows)

        vars(reloader.current.model)["scores"] = slow
        app = create_app(settings, reloader, (), guarded if locked else None)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
        thread = threading.Thread(target=server.run)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()

    return serve


@pytest.fixture(name="requests")
def _requests(frame: pd.DataFrame, contract: Contract) -> list[bytes]:
    return sample_requests(frame, contract, 1)


def broken(url: str, requests: list[bytes], key: str = "") -> list[str]:
    """The budgets that the service breaks."""
    judged = load_test.list_budgets(send_load(url, requests, WANTED, key), None, WANTED)
    return [budget.name for budget in judged if budget.is_broken]


@pytest.mark.parametrize(("delay", "over"), [(0, []), (DELAY, ["p95"])])
def test_a_delay_in_the_model_breaks_the_budget(
    serve: Serve, requests: list[bytes], delay: float, over: list[str]
) -> None:
    """The service as it is keeps its budgets; with a model that is slow it breaks that of p95."""
    with serve(delay) as url:
        assert broken(url, requests) == over


def test_requests_without_the_key_are_no_answers(serve: Serve, requests: list[bytes]) -> None:
    """With the key of a service its answers count; where all is refused, that is an error."""
    with serve(locked=True) as url:
        assert not broken(url, requests, "right")
        with pytest.raises(ProjectError, match="no request was answered .*'401'"):
            broken(url, requests)


def test_refused_requests_break_the_budget(serve: Serve, requests: list[bytes]) -> None:
    """A request that is refused now and then counts as an error."""
    with serve() as url:
        assert broken(url, [*requests[:3], b"{}"]) == ["errors"]


@pytest.mark.parametrize("size", [1, 3])
def test_requests_are_rows_that_the_service_takes(
    frame: pd.DataFrame, contract: Contract, size: int
) -> None:
    """Rows of the configured data, alone or in lists, as the API wants them."""
    types = Types.from_contract(contract, [], size)
    for body in sample_requests(frame, contract, size):
        assert len(types.parse_rows(body)[0]) == size


def test_a_process_that_holds_more_breaks_the_budget() -> None:
    """Memory is judged where it is measured."""
    sent = [(0.0, 0.001, 200)]
    assert [budget.is_broken for budget in load_test.list_budgets(sent, 401, Load())] == [
        False,
        False,
        True,
    ]
    assert [budget.is_broken for budget in load_test.list_budgets(sent, None, Load())] == [
        False
    ] * 3
    assert load_test.read_peak_memory(2**30) is None


@pytest.fixture(name="short")
def _short(folder: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in which load takes less than a second."""
    monkeypatch.setattr(load_test, "read_data", lambda _: frame)
    monkeypatch.setenv(f"{get_project().prefix}LOAD__SECONDS", "0.4")
    return folder


def test_the_command_reports_and_fails_over_a_budget(
    serve: Serve,
    command: Callable[..., int],
    short: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A table, a picture and a file; and an exit status that CI can use."""
    monkeypatch.setenv(
        f"{get_project().prefix}LOAD__P95_MS", "60000"
    )  # however busy this machine is
    with serve() as url:
        assert command("load", "--url", url) == 0
        monkeypatch.setenv(f"{get_project().prefix}LOAD__P95_MS", "0.001")
        assert command("load", "--url", url) == 1
    told = capsys.readouterr()
    assert "BROKEN" in told.out and "over budget: p95" in told.err
    assert json.loads((short / load_test.REPORT).read_text(encoding="utf-8"))["requests"] > 0


def test_a_service_that_is_not_there_is_named(
    command: Callable[..., int], short: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody waits for the end of a load that nothing answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert command("load", "--url", url) == 1
    assert f"Error: URL {url}: no service answers: " in capsys.readouterr().err
    assert not (short / load_test.REPORT).exists()


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://a", "http://a:b"])
def test_what_is_no_address_is_refused(url: str) -> None:
    """An address has a scheme and a host."""
    with pytest.raises(ProjectError, match="no address of a service"):
        send_load(url, [b""], WANTED)
