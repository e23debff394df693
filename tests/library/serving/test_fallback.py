"""Fallback: an answer where no model can give one, a switch, and a mark on strange rows."""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from library.serving.published import make_reloader
from library.serving.referenced import KINDS, refer, REFERENCE, ROW
from pydantic import TypeAdapter

from mlops_ladder.serving import metrics
from mlops_ladder.serving.app import create_app
from mlops_ladder.serving.events import Observer
from mlops_ladder.serving.fallback import FallbackSelector, report_fallback
from mlops_ladder.serving.model_reloader import POINTER
from mlops_ladder.serving.prediction_log import create_prediction_log
from mlops_ladder.settings import Settings
from mlops_ladder.serving.settings import Fallback

INSTEAD = REFERENCE["fallback"] | {"fallback": True}


def service(settings: Settings, folder: Path, **wanted: Any) -> FastAPI:
    """A service of this folder, with a fallback that looks before each request."""
    fallback = Fallback(switch=str(folder / "off"), **wanted)
    serving = settings.serving.model_copy(
        update={"poll_seconds": 1e-9, "prediction_log_url": f"sqlite:///{folder}/log.db"}
    )
    settings = settings.model_copy(update={"fallback": fallback, "serving": serving})
    reloader, choice = make_reloader(folder, KINDS), FallbackSelector(settings, folder)
    told: list[Observer] = [create_prediction_log(settings), metrics.Metrics(settings)]
    app = create_app(settings, reloader, told, selectors=[choice])
    for extension in (report_fallback, metrics.serve_metrics):
        extension(app, settings)
    return app


def asked(client: TestClient, row: Any = None) -> Any:
    """What the service answers, without the number of the request."""
    answer = client.post("/predict", json=ROW if row is None else row)
    said = answer.json()
    said.pop("request_id", None)
    return said


def test_without_a_champion_the_newest_bundle_stands_in(settings: Settings, tmp_path: Path) -> None:
    """Each row gets the answer of the reference, marked; and nobody is told to be ready."""
    refer(tmp_path, 1, REFERENCE)
    (tmp_path / POINTER).unlink()
    with TestClient(service(settings, tmp_path)) as client:
        assert asked(client) == INSTEAD | {"model_version": "fallback-model-1"}
        assert asked(client, [ROW, ROW])["predictions"] == [INSTEAD, INSTEAD]
        assert client.get("/ready").status_code == 503
        assert client.get("/health").json()["observers"]["fallback"] == {
            "answering": 1,
            "fallback": 3,
            "abstain": 0,
            "outside": 0,
        }


@pytest.mark.parametrize("abstain", [True, False])
@pytest.mark.parametrize("off", [False, True])
def test_strange_values_are_counted_by_column_whoever_answers(
    settings: Settings, tmp_path: Path, abstain: bool, off: bool
) -> None:
    """Marked or not, by the model or its stand-in: the same columns, as often."""
    refer(tmp_path, 1, REFERENCE)
    if off:
        (tmp_path / "off").touch()
    with TestClient(service(settings, tmp_path, abstain=abstain)) as client:
        said = asked(client, [ROW, ROW | {"count": 11, "colour": "green"}, ROW | {"count": -1}])
        text = client.get("/metrics").text
    counted = dict(re.findall(r'^serving_out_of_range_total{column="(.*)"} (.*)$', text, re.M))
    assert {name: float(value) for name, value in counted.items() if float(value)} == {
        "count": 2,
        "colour": 1,
    }
    marks = ["abstain" in answer for answer in said["predictions"]]
    assert marks == [False, *[abstain and not off] * 2]


def test_a_model_that_cannot_be_loaded_is_stood_in_for(settings: Settings, tmp_path: Path) -> None:
    """A champion whose model is broken does not leave its clients without an answer."""
    refer(tmp_path, 7, REFERENCE)  # 7 cannot answer
    with TestClient(service(settings, tmp_path)) as client:
        assert asked(client) == INSTEAD | {"model_version": "fallback-model-7"}
        assert "a model that cannot answer" in client.get("/ready").json()["detail"]


def test_a_model_that_fails_is_stood_in_for(settings: Settings, tmp_path: Path) -> None:
    """A request at which the model raises is answered, marked and named; the next by the model."""
    refer(tmp_path, 1, REFERENCE)
    app = service(settings, tmp_path)
    with TestClient(app) as client:
        model = app.state.reloader.current.model
        scores = model.scores
        vars(model)["scores"] = lambda rows: 1 / 0
        assert asked(client) == INSTEAD | {"model_version": "fallback-model-1"}
        vars(model)["scores"] = scores
        assert asked(client)["model_version"] == "model-1"
        assert client.get("/health").json()["observers"]["fallback"]["answering"] == 0


def test_nothing_known_is_no_answer(settings: Settings, tmp_path: Path) -> None:
    """Without a bundle, or with one whose reference was changed, the request is refused."""
    with TestClient(service(settings, tmp_path)) as client:
        assert client.post("/predict", json=ROW).status_code == 503
        refer(tmp_path, 7, REFERENCE)
        changed = json.dumps(REFERENCE | {"rows": 1})
        (tmp_path / "7" / "reference.json").write_text(changed, encoding="utf-8")
        assert client.post("/predict", json=ROW).status_code == 503
        assert client.get("/health").json()["observers"]["fallback"]["answering"] == 0


def test_the_switch_puts_the_stand_in_in_and_out(settings: Settings, tmp_path: Path) -> None:
    """While the file is there no model answers; without it, it does again."""
    refer(tmp_path, 1, REFERENCE)
    with TestClient(service(settings, tmp_path)) as client:
        assert "fallback" not in asked(client)
        (tmp_path / "off").touch()
        assert asked(client) == INSTEAD | {"model_version": "fallback-model-1"}
        (tmp_path / "off").unlink()
        assert asked(client)["prediction"] == "first"


def test_switched_off_without_a_stand_in_is_no_answer(settings: Settings, tmp_path: Path) -> None:
    """The switch is obeyed also where nothing can answer instead."""
    refer(tmp_path, 1, REFERENCE | {"fallback": {}})
    (tmp_path / "off").touch()
    with TestClient(service(settings, tmp_path)) as client:
        answer = client.post("/predict", json=ROW)
    assert answer.status_code == 503 and "make on" in answer.json()["detail"]


def test_a_fallback_that_is_not_wanted_does_not_answer(settings: Settings, tmp_path: Path) -> None:
    """`enabled = false`: without a model the request is refused."""
    refer(tmp_path, 7, REFERENCE)
    with TestClient(service(settings, tmp_path, enabled=False)) as client:
        assert client.post("/predict", json=ROW).status_code == 503


@pytest.mark.parametrize(
    ("strange", "margin", "marked"),
    [
        ({}, 0, False),
        ({"größe": None}, 0, False),
        ({"größe": 2.5}, 0, True),
        ({"größe": 2.5}, 0.5, False),
        ({"größe": 2.51}, 0.5, True),
        ({"count": -1}, 0, True),
        ({"colour": "green"}, 0, True),
        ({"a word": " yes\t"}, 0, False),
        ({"a word": "y es"}, 0, True),
        ({"at": "2099-01-01T00:00:00Z"}, 0, False),
    ],
)
def test_a_row_that_training_did_not_see_is_marked(
    settings: Settings, tmp_path: Path, strange: dict[str, Any], margin: float, marked: bool
) -> None:
    """Such a row has `abstain` beside its prediction, and the row beside it has not."""
    refer(tmp_path, 1, REFERENCE)
    with TestClient(service(settings, tmp_path, margin=margin)) as client:
        one, other = asked(client, [ROW | strange, ROW])["predictions"]
    assert (one["prediction"], one.get("abstain", False)) == ("first", marked)
    assert "abstain" not in other


def test_blanks_around_the_words_of_the_training_are_none(
    settings: Settings, tmp_path: Path
) -> None:
    """A word that training saw with a blank beside it is known, with the blank and without."""
    columns = REFERENCE["columns"] | {"a word": {"values": [" yes", "no "], "missing": 0}}
    refer(tmp_path, 1, REFERENCE | {"columns": columns})
    asked_for = [ROW | {"a word": word} for word in ("yes", " yes", "no", " no ", "maybe")]
    with TestClient(service(settings, tmp_path)) as client:
        said = asked(client, asked_for)["predictions"]
    assert ["abstain" in answer for answer in said] == [False, False, False, False, True]


def test_rows_are_not_marked_where_that_is_not_wanted(settings: Settings, tmp_path: Path) -> None:
    """`abstain = false`: the model alone answers."""
    refer(tmp_path, 1, REFERENCE)
    with TestClient(service(settings, tmp_path, abstain=False)) as client:
        assert "abstain" not in asked(client, ROW | {"count": 99})


def test_the_log_holds_the_marks(settings: Settings, tmp_path: Path) -> None:
    """A row that was marked is marked in the log, with who has answered."""
    refer(tmp_path, 1, REFERENCE)
    with TestClient(service(settings, tmp_path)) as client:
        asked(client, ROW | {"count": 99})
        (tmp_path / "off").touch()
        asked(client)
    with sqlite3.connect(tmp_path / "log.db") as log:
        found = log.execute("select model_version, output from predictions order by id").fetchall()
    assert [name for name, _ in found] == ["model-1", "fallback-model-1"]
    first, second = (json.loads(output)[0] for _, output in found)
    assert first["abstain"] is True and second == INSTEAD


def test_every_marked_answer_is_of_the_type_that_is_documented(
    settings: Settings, tmp_path: Path
) -> None:
    """Clients made from the description can read what a stand-in says, and a mark."""
    refer(tmp_path, 1, REFERENCE)
    app = service(settings, tmp_path)
    with TestClient(app) as client:
        said = [client.post("/predict", json=ROW | {"count": 99}).json()]
        (tmp_path / "off").touch()
        said += [client.post("/predict", json=ROW).json()]
        for answer in said:
            assert TypeAdapter(app.state.reloader.types.answer).validate_python(answer) == answer
