"""Predictions of a model, their scores, and the saved model with its code."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn import metrics

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data.contract import Contract
from mlops_ladder.model.artifacts import pickle_own_code

MODEL = Path("models/model.joblib")
METRICS = {
    "classification": ("roc_auc", "accuracy", "balanced_accuracy"),
    "regression": ("mae", "rmse", "r2"),
}
LOWER_IS_BETTER = ("mae", "rmse")


def predict_rows(model: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the `prediction` of each row; of a classifier also `probability_CLASS` of each class.

    The model is a fitted one, or a bundle.
    """
    if hasattr(model, "answer_frame"):
        return pd.DataFrame(model.answer_frame(rows))
    answers = pd.DataFrame({"prediction": np.ravel(model.predict(rows))}, index=rows.index)
    if hasattr(model, "predict_proba"):
        answers[[f"probability_{label}" for label in model.classes_]] = model.predict_proba(rows)
    return answers


def compute_scores(problem: str, truth: pd.Series, predictions: pd.DataFrame) -> dict[str, float]:
    """Return each metric of the problem, for predictions as `predict_rows` returns them.

    An undefined metric is NaN: `roc_auc` unless there are two classes and both occur, `r2` of a
    single row.
    """
    guess = predictions["prediction"]
    if problem == "regression":
        return {
            "mae": float(metrics.mean_absolute_error(truth, guess)),
            "rmse": float(metrics.root_mean_squared_error(truth, guess)),
            "r2": float(metrics.r2_score(truth, guess)) if len(truth) > 1 else float("nan"),
        }
    hit = truth == guess
    return {
        "roc_auc": compute_roc_auc(truth, predictions.filter(regex="^probability_")),
        "accuracy": float(hit.mean()),
        "balanced_accuracy": float(hit.groupby(truth).mean().mean()),
    }


def compute_roc_auc(truth: pd.Series, shares: pd.DataFrame) -> float:
    """Return the area under the ROC curve of the second of two classes; NaN if undefined."""
    if shares.shape[1] != 2:  # a classifier without probabilities has none
        return float("nan")
    positive = truth.astype(str) == shares.columns[1].removeprefix("probability_")
    if positive.nunique() != 2:
        return float("nan")
    return float(metrics.roc_auc_score(positive, shares.iloc[:, -1]))


def save_model(model: Any, contract: Contract, version: str, path: Path = MODEL) -> None:
    """Write a model with its code, its contract and its version; whole or not at all."""
    saved = {"model": model, "contract": contract.model_dump(), "version": version}
    with pickle_own_code() as cloudpickle:
        write_file_atomically(path, cloudpickle.dumps(saved))


def load_model(path: Path = MODEL) -> dict[str, Any]:
    """Return the saved `model`, `contract` and `version`.  Raise ProjectError without a model."""
    if not path.exists():
        raise ProjectError(f"{path}: no model is trained yet; run `make train`")
    saved = joblib.load(path)
    return {**saved, "contract": Contract.model_validate(saved["contract"])}
