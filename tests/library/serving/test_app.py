"""The service: what it answers, and that it says in OpenAPI all that it answers."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import uvicorn
from fastapi import HTTPException, Request
from fastapi.testclient import TestClient
from library.serving.published import CLASSES, make_reloader, MOST, publish

from mlops_ladder.data.columns import Row
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.serving import command
from mlops_ladder.serving.app import create_app
from mlops_ladder.serving.command import OPTIONS
from mlops_ladder.serving.events import PredictionEvent
from mlops_ladder.serving.model_reloader import ModelReloader
from mlops_ladder.serving.predict_route import Authenticator
from mlops_ladder.serving.schemas import Types
from mlops_ladder.settings import Settings


class Witness:
    """An observer that keeps what it is told."""

    name = "witness"

    def __init__(self) -> None:
        self.seen: list[PredictionEvent] = []
        self.closed = False

    def __call__(self, event: PredictionEvent) -> None:
        self.seen.append(event)

    def counts(self) -> dict[str, int]:
        """How often it was told."""
        return {"seen": len(self.seen)}

    def close(self) -> None:
        """Note the end."""
        self.closed = True


@pytest.fixture(name="reloader")
def _reloader(tmp_path: Path, contract: Contract) -> ModelReloader:
    """A reloader of a folder in which model 1 is published."""
    publish(tmp_path, 1, contract)
    return make_reloader(tmp_path, contract)


@pytest.fixture(name="witness")
def _witness() -> Witness:
    return Witness()


@pytest.fixture(name="client")
def _client(settings: Settings, reloader: ModelReloader, witness: Witness) -> Iterator[TestClient]:
    """A client of a service that serves model 1."""
    app = create_app(settings, reloader, [witness])
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def test_a_row_is_answered_by_a_row(client: TestClient, reloader: ModelReloader) -> None:
    """One object in, one object out: prediction, model and request."""
    answer = client.post("/predict", json=reloader.types.example)
    number = answer.headers["x-request-id"]
    assert answer.json() == {
        "prediction": "first",
        "probability": {"none": 0.0, "first": 1.0, "second": 0.0},
        "model_version": "model-1",
        "request_id": number,
    }


def test_a_list_is_answered_by_a_list(client: TestClient, reloader: ModelReloader) -> None:
    """A list in, a list out, of the same length, with the model and the request once."""
    answer = client.post("/predict", json=[reloader.types.example] * 3).json()
    assert answer.keys() == {"predictions", "model_version", "request_id"}
    assert [said["prediction"] for said in answer["predictions"]] == ["first"] * 3


def test_a_row_that_is_not_expected_is_answered_marked_and_told(
    settings: Settings, tmp_path: Path, witness: Witness
) -> None:
    """Its answer names the columns; the row beside it has no mark; the observers see the same."""
    columns = {
        "amount": Column(kind="number", role="feature", range=(0, 10)),
        "colour": Column(kind="category", role="feature", categories=["red", "blue"]),
        "site": Column(kind="category", role="feature", categories=["a", "b"], enforce=True),
        "y": Column(kind="category", role="target", categories=CLASSES),
    }
    publish(tmp_path, 1, Contract(columns=columns))
    row = {"amount": 10, "colour": "red", "site": "a"}
    strange = {"amount": 10.5, "colour": "green", "site": "b"}
    with TestClient(
        create_app(settings, make_reloader(tmp_path, Contract(columns=columns)), [witness])
    ) as client:
        said = client.post("/predict", json=[row, strange]).json()["predictions"]
        refused = client.post("/predict", json=[row, strange | {"site": "c"}])
    assert [answer.get("outside") for answer in said] == [None, ["amount", "colour"]]
    assert [answer["prediction"] for answer in said] == ["first", "first"]
    assert [answer.get("outside") for answer in witness.seen[0].answers] == [
        None,
        ["amount", "colour"],
    ]
    assert refused.status_code == 422
    assert [fault["loc"] for fault in refused.json()["detail"]] == [["body", 1, "site"]]


def test_a_regression_answers_a_number(
    settings: Settings, tmp_path: Path, contract: Contract
) -> None:
    """A model without classes answers a number alone."""
    publish(tmp_path, 2, contract, classifies=False)
    reloader = make_reloader(tmp_path, contract)
    with TestClient(create_app(settings, reloader)) as client:
        answer = client.post("/predict", json=reloader.types.example).json()
    assert (answer["prediction"], "probability" in answer) == (2.0, False)


@pytest.mark.parametrize(
    ("given", "kept"), [("a-1", True), ("a" * 65, False), ("<b>", False), ("", False)]
)
def test_a_request_has_an_id(
    client: TestClient, reloader: ModelReloader, given: str, kept: bool
) -> None:
    """The client's own id is kept where it is short and plain; every answer has one."""
    answer = client.post("/predict", json=reloader.types.example, headers={"X-Request-ID": given})
    found = answer.headers["x-request-id"]
    assert (found == given) == kept and found == answer.json()["request_id"]
    assert client.post("/predict", content="{").headers["x-request-id"]


def test_a_refusal_names_the_field(
    client: TestClient, reloader: ModelReloader, contract: Contract
) -> None:
    """422 says which column of which row is wrong, in FastAPI's own form, and repeats no value."""
    name, row = contract.inputs()[0], reloader.types.example
    answer = client.post("/predict", json=[row, row | {name: ["a secret"]}])
    assert answer.status_code == 422 and "a secret" not in answer.text
    assert answer.json()["detail"][0]["loc"][:3] == ["body", 1, name]
    assert answer.json()["detail"][0].keys() == {"type", "loc", "msg"}


def test_a_personal_column_reaches_neither_model_nor_log(
    settings: Settings, tmp_path: Path, contract: Contract, witness: Witness
) -> None:
    """A column of role personal is refused by name, and no observer sees its value."""
    name = contract.inputs()[0]
    personal = contract.columns[name].model_copy(update={"role": "personal"})
    columns = contract.columns | {"name of a person": personal}
    publish(tmp_path, 1, Contract(columns=columns))
    reloader = make_reloader(tmp_path, contract)
    with TestClient(create_app(settings, reloader, [witness])) as client:
        row = reloader.types.example
        answer = client.post("/predict", json=row | {"name of a person": row[name]})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "name of a person"]
    assert [(event.status, event.rows) for event in witness.seen] == [(422, ())]


def test_a_model_that_comes_later_is_served(
    settings: Settings, tmp_path: Path, contract: Contract
) -> None:
    """Without a model the process lives, is not ready and answers 503; then it serves."""
    reloader = make_reloader(tmp_path, contract)
    with TestClient(create_app(settings, reloader)) as client:
        row = reloader.types.example
        assert client.get("/health").status_code == 200
        assert client.get("/version").json()["model_version"] is None
        for answer in (client.get("/ready"), client.post("/predict", json=row)):
            assert answer.status_code == 503
            assert "no champion is published" in answer.json()["detail"]
        publish(tmp_path, 1, contract)
        reloader.refresh()
        assert client.get("/ready").json() == {"model_version": "model-1"}
        assert client.post("/predict", json=row).status_code == 200


def test_version_says_what_is_served(client: TestClient, settings: Settings) -> None:
    """Number, model, run, runtime with the reason, and the commit of the code."""
    found = client.get("/version").json()
    del found["python"]
    assert found == {
        "version": "1",
        "model_version": "model-1",
        "run_id": "run-1",
        "runtime": "native",
        "why": "a model of the tests",
        "commit": settings.serving.commit,
    }


def test_a_broken_publication_is_told_by_health(
    client: TestClient, reloader: ModelReloader
) -> None:
    """Health says why a new model is not served; the one before answers on."""
    (reloader.folder / "champion.json").write_text("{", encoding="utf-8")
    reloader.refresh()
    assert client.get("/health").json()["trouble"]
    assert client.post("/predict", json=reloader.types.example).status_code == 200


async def refuse(_: Request) -> None:
    """Let nobody in."""
    raise HTTPException(401, "who are you?", {"WWW-Authenticate": "Bearer"})


def refuse_at_once(_: Request) -> None:
    """Let nobody in, without waiting."""
    raise HTTPException(401, "who are you?", {"WWW-Authenticate": "Bearer"})


@pytest.mark.parametrize("authenticate", [refuse, refuse_at_once])
def test_who_is_not_let_in_gets_no_answer(
    settings: Settings, reloader: ModelReloader, authenticate: Authenticator
) -> None:
    """The hook is asked first; what it raises is the answer."""
    with TestClient(create_app(settings, reloader, (), authenticate)) as client:
        answer = client.post("/predict", json=reloader.types.example)
        assert (answer.status_code, answer.json()) == (401, {"detail": "who are you?"})
        assert answer.headers["www-authenticate"] == "Bearer"


def test_observers_are_told_of_every_request(
    client: TestClient, reloader: ModelReloader, witness: Witness
) -> None:
    """Status, model, rows and answers of what was answered; only the status of what was not."""
    client.post("/predict", json=[reloader.types.example] * 2)
    client.post("/predict", json={})
    good, bad = witness.seen
    assert (good.status, good.model_version, len(good.rows)) == (200, "model-1", 2)
    assert [said["prediction"] for said in good.answers] == ["first"] * 2
    assert (bad.status, bad.rows, bad.answers) == (422, (), ())
    assert client.get("/health").json()["observers"] == {"witness": {"seen": 2}}


def test_observers_are_closed_at_the_end(settings: Settings, reloader: ModelReloader) -> None:
    """After the last request every observer is asked to finish."""
    witness = Witness()
    with TestClient(create_app(settings, reloader, [witness])):
        assert not witness.closed
    assert witness.closed


def test_a_failing_observer_costs_no_answer(
    settings: Settings, reloader: ModelReloader, caplog: pytest.LogCaptureFixture
) -> None:
    """An observer that raises is told in the log, and the client gets its answer."""

    class Failing(Witness):
        """An observer that cannot be told."""

        def __call__(self, event: PredictionEvent) -> None:
            raise OSError("no space left")

    with TestClient(create_app(settings, reloader, [Failing()])) as client:
        assert client.post("/predict", json=reloader.types.example).status_code == 200
    assert "witness failed" in caplog.text


def test_a_failing_model_is_told(
    client: TestClient, reloader: ModelReloader, witness: Witness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that raises gives 500 without its words, which are in the log only."""

    def fail(*_: Any) -> None:
        raise ZeroDivisionError("inside")

    assert reloader.current
    monkeypatch.setattr(type(reloader.current.model), "answers", fail)
    answer = client.post("/predict", json=reloader.types.example)
    assert (answer.status_code, "inside" in answer.text) == (500, False)
    assert witness.seen[0].status == 500


def test_every_status_that_is_documented_comes_and_no_other(
    client: TestClient, reloader: ModelReloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What OpenAPI lists for `/predict` are the statuses of its answers, all of them."""
    listed = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["responses"]
    row = reloader.types.example
    found = {
        client.post("/predict", json=row).status_code,
        client.post("/predict", json=[]).status_code,
        client.post("/predict", json=[row] * (MOST + 1)).status_code,
        client.post("/predict", content=b"\xff").status_code,
        client.post("/predict", data={"a": "b"}).status_code,
    }
    assert found == {200, 415, 422}
    assert reloader.current
    monkeypatch.setattr(type(reloader.current.model), "answers", lambda *_: 1 / 0)
    found.add(client.post("/predict", json=row).status_code)
    reloader.current = None
    found.add(client.post("/predict", json=row).status_code)
    assert {str(status) for status in found} == listed.keys()


@pytest.mark.parametrize(("runtime", "beside"), [("native", True), ("onnx", False)])
def test_a_native_model_computes_beside_the_event_loop(
    client: TestClient, reloader: ModelReloader, runtime: str, beside: bool
) -> None:
    """`/health` does not wait for it.  A call of ONNX Runtime is too short to leave the loop."""
    assert reloader.current
    model, places = reloader.current.model, list[bool]()

    def scores(rows: list[Row]) -> tuple[list[str], np.ndarray]:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            places.append(True)
        else:
            places.append(False)
        return ["first"] * len(rows), np.array([[0.0, 1.0, 0.0]] * len(rows))

    vars(model)["scores"] = scores
    model.bundle["runtime"] = runtime
    assert client.post("/predict", json=reloader.types.example).status_code == 200
    assert places == [beside]


def test_a_body_of_unknown_fields_gets_a_short_answer(
    client: TestClient, reloader: ModelReloader
) -> None:
    """Of 50,000 faults 20 are named and the others counted."""
    row = reloader.types.example | {f"x{number}": 1 for number in range(50_000)}
    answer = client.post("/predict", json=row)
    assert len(answer.content) < 5000
    assert (answer.status_code, answer.json()["more"]) == (422, 49_980)
    assert len(answer.json()["detail"]) == 20


def test_truths_are_spelled_as_json_spells_them(
    settings: Settings, reloader: ModelReloader, contract: Contract
) -> None:
    """`true` is the key of the probability of the prediction `true`; OpenAPI says the same."""
    reloader.refresh()
    assert reloader.current
    reloader.current.model.bundle.update(classes=[False, True], names=["False", "True"])
    vars(reloader.current.model)["scores"] = lambda _: ([True], np.array([[0.25, 0.75]]))
    vars(reloader.current)["types"] = Types.from_contract(contract, [False, True], MOST)
    with TestClient(create_app(settings, reloader)) as client:
        answer = client.post("/predict", json=reloader.types.example).json()
        shown = client.get("/openapi.json").json()["components"]["schemas"]["Probability"]
    assert (answer["prediction"], answer["probability"]) == (True, {"false": 0.25, "true": 0.75})
    assert shown["required"] == ["false", "true"]


def test_openapi_names_the_columns(client: TestClient, contract: Contract) -> None:
    """Each input is there, with what is enforced, what is expected, and whether it may be null."""
    row = client.get("/openapi.json").json()["components"]["schemas"]["Row"]
    assert row["required"] == contract.inputs() and row["additionalProperties"] is False
    for name in contract.inputs():
        column, shown = contract.columns[name], row["properties"][name]
        options = shown.get("anyOf", [shown])
        assert ({"type": "null"} in options) == column.nullable
        if column.range and column.enforce:
            assert (options[0]["minimum"], options[0]["maximum"]) == column.range
        elif column.range:
            assert "minimum" not in options[0]
            low, high = column.range
            assert options[0]["description"] == f"expected: {low} to {high}"
        if column.categories and column.enforce:
            assert options[0]["enum"] == column.categories
        elif column.categories:
            assert options[0]["description"] == f"expected: {', '.join(column.categories)}"


@pytest.fixture(name="address")
def _address(
    settings: Settings, reloader: ModelReloader, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, int]]:
    """Where a service listens, below a prefix, that waits a moment for a request to arrive."""
    monkeypatch.setattr(command, "REQUEST_TIMEOUT_S", 0.3)
    app = create_app(settings, reloader)
    options = OPTIONS | {"factory": False, "root_path": "/late", "log_level": "error"}
    server = uvicorn.Server(uvicorn.Config(app, **options))
    listening = socket.create_server(("127.0.0.1", 0))
    thread = Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    yield listening.getsockname()
    server.should_exit = True
    thread.join()


HEAD = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("half", [b"", b"GET /hea", HEAD, HEAD + b"Content-Length: 9\r\n\r\n{"])
def test_half_a_request_is_not_held(address: tuple[str, int], half: bytes) -> None:
    """A connection on which a request does not arrive is closed, also after one that did."""
    whole = b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"
    for first in (b"", whole) if half else (b"",):
        with socket.create_connection(address, timeout=3) as asked:
            asked.sendall(first)
            assert not first or b"200 OK" in asked.recv(4096)
            asked.sendall(half)
            while asked.recv(4096):
                continue


def test_a_service_below_a_prefix_describes_itself(address: tuple[str, int]) -> None:
    """A proxy takes the prefix off; the pages and the description have it."""
    asked = HTTPConnection(*address, timeout=3)
    found = {}
    for path in ("/openapi.json", "/docs", "/health"):
        asked.request("GET", path)
        answer = asked.getresponse()
        found[path] = answer.read().decode()
        assert answer.status == 200
    asked.close()
    assert json.loads(found["/openapi.json"])["servers"] == [{"url": "/late"}]
    assert "'/late/openapi.json'" in found["/docs"]


def test_the_pages_need_no_other_host(client: TestClient) -> None:
    """`/docs` loads its scripts and styles from the service itself."""
    page = client.get("/docs").text
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert loaded and all(place.startswith("/") for place in loaded)
    for place in loaded:
        assert client.get(place).status_code == 200
