"""The service answers as the model does, and refuses what the contract does not know."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from mlops_ladder.model.training import Trained
from mlops_ladder.serving.app import create_service

Rows = list[dict[str, Any]]


def test_an_answer_is_the_prediction_of_the_model(
    client: TestClient, rows: Rows, trained: Trained
) -> None:
    """The same prediction for each row, and the version of the model."""
    answer = client.post("/predict", json=rows).json()
    said = [it["prediction"] for it in answer["predictions"]]
    known = trained.predictions["prediction"].head(len(rows)).tolist()
    assert answer["model_version"] == client.get("/version").json()["model_version"]
    if trained.settings.problem == "regression":
        assert said == pytest.approx(known, rel=1e-4)
    else:
        assert [str(it).lower() for it in said] == [str(it).lower() for it in known]


def test_a_wrong_value_is_refused_by_its_column(
    client: TestClient, rows: Rows, trained: Trained
) -> None:
    """A list where a value belongs, and a missing column: 422 names the column."""
    for name in trained.contract.inputs():
        for wrong in (rows[0] | {name: ["a list"]}, {n: rows[0][n] for n in rows[0] if n != name}):
            answer = client.post("/predict", json=wrong)
            assert (answer.status_code, answer.json()["detail"][0]["loc"][1]) == (422, name)


def test_a_personal_column_reaches_neither_model_nor_log(client: TestClient, rows: Rows) -> None:
    """A column that the contract does not offer to clients is refused by its name."""
    answer = client.post("/predict", json=rows[0] | {"name of a person": "Ada"})
    assert (answer.status_code, answer.json()["detail"][0]["loc"][-1]) == (422, "name of a person")


def test_without_a_model_the_service_is_not_ready(place: Path) -> None:
    """It lives, and says so; it is ready once a champion is published."""
    (place / "models/serving/champion.json").unlink()
    with TestClient(create_service()) as client:
        assert client.get("/health").status_code == 200
        assert client.get("/ready").status_code == 503
