"""Predictions: one for each row, and what the model says."""

import numpy as np
import pandas as pd

from mlops_ladder.batch.scoring import score_file
from mlops_ladder.model.prediction import predict_rows
from mlops_ladder.model.training import Trained


def test_each_row_gets_a_prediction_and_the_version_of_the_model(
    frame: pd.DataFrame, trained: Trained
) -> None:
    """As many predictions as rows, each with the version of the model that made it."""
    saved = {"model": trained.model, "contract": trained.contract, "version": trained.version}
    (scored,) = score_file(saved, [frame.head(50)])
    assert list(scored.answers["model_version"]) == [trained.version] * len(frame.head(50))


def test_a_prediction_is_what_the_fitted_model_says(trained: Trained) -> None:
    """No row is changed on its way into the model, and no answer on its way out."""
    rows, model = trained.holdout[trained.contract.inputs()], trained.model
    found = predict_rows(model, rows)
    assert np.array_equal(found["prediction"], model.predict(rows))
    if hasattr(model, "predict_proba"):
        columns = [f"probability_{label}" for label in model.classes_]
        assert np.array_equal(found[columns], model.predict_proba(rows))
