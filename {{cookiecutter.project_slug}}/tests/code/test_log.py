"""Every answered request is a row of the prediction log."""

import json
import sqlite3
from datetime import datetime, UTC
from pathlib import Path

from mlops_ladder.model.training import Trained
from mlops_ladder.serving.events import PredictionEvent
from mlops_ladder.serving.prediction_log import create_prediction_log


def test_every_answered_request_is_logged(trained: Trained, tmp_path: Path) -> None:
    """With its inputs and its model; a refused request is none."""
    url, settings = f"sqlite:///{tmp_path}/log.db", trained.settings
    serving = settings.serving.model_copy(update={"prediction_log_url": url})
    log = create_prediction_log(settings.model_copy(update={"serving": serving}))
    rows = json.loads(trained.holdout[trained.contract.inputs()].head(20).to_json(orient="records"))
    answers = [{"prediction": it} for it in trained.predictions["prediction"].head(20).tolist()]
    log(PredictionEvent("1", datetime.now(UTC), 200, 0.1, trained.version, rows, answers))
    log(PredictionEvent("2", datetime.now(UTC), 422, 0.1, trained.version))
    log.close()
    with sqlite3.connect(tmp_path / "log.db") as store:
        ((name, version, inputs),) = store.execute(
            "select request_id, model_version, inputs from predictions"
        ).fetchall()
    assert (name, version, json.loads(inputs)) == ("1", trained.version, rows)
