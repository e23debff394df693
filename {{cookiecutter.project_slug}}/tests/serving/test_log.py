"""Every answered request is a row of the prediction log."""

import sqlite3
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from mlops_ladder.model.training import Trained
from mlops_ladder.serving.app import create_service


def test_every_answered_request_is_logged(
    place: Path, rows: list[dict[str, Any]], trained: Trained
) -> None:
    """As many rows of the log as answers, each with its model; a refused request is none."""
    with TestClient(create_service()) as client:
        answers = [client.post("/predict", json=row) for row in rows]
        assert client.post("/predict", json=[]).status_code == 422
    with sqlite3.connect(place / "predictions.db") as log:
        logged = log.execute("select request_id, model_version from predictions order by id")
        known = [(it.headers["x-request-id"], trained.version) for it in answers]
        assert logged.fetchall() == known
