"""Predictions, and how good they are: a file in, a file out, one row for each row."""

import argparse
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn import metrics

from . import ProjectError
from .contract import Contract, conform
from .reading import files, read_table
from .settings import load

MODEL = Path("models/model.joblib")
OUTPUT = "predictions.csv"
METRICS = {
    "classification": ("roc_auc", "accuracy", "balanced_accuracy"),
    "regression": ("mae", "rmse", "r2"),
}
LOWER_IS_BETTER = ("mae", "rmse")


def predict(model: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """The prediction for each row; for a classifier also `probability_CLASS` of each class."""
    if not hasattr(model, "predict_proba"):
        return pd.DataFrame({"prediction": model.predict(rows)}, index=rows.index)
    shares = model.predict_proba(rows)
    columns = {f"probability_{label}": shares[:, i] for i, label in enumerate(model.classes_)}
    best = model.classes_[shares.argmax(axis=1)]
    return pd.DataFrame({"prediction": best, **columns}, index=rows.index)


def score(problem: str, truth: pd.Series, found: pd.DataFrame) -> dict[str, float]:
    """Each metric of the problem, by its name, of predictions as `predict` gives them.

    A metric that `truth` does not define is NaN: `roc_auc` unless there are two classes and both
    occur, `r2` of a single row.
    """
    guess = found["prediction"]
    if problem == "regression":
        return {
            "mae": float(metrics.mean_absolute_error(truth, guess)),
            "rmse": float(metrics.root_mean_squared_error(truth, guess)),
            "r2": float(metrics.r2_score(truth, guess)) if len(truth) > 1 else float("nan"),
        }
    hit = truth == guess
    return {
        "roc_auc": roc_auc(truth, found.filter(regex="^probability_")),
        "accuracy": float(hit.mean()),
        "balanced_accuracy": float(hit.groupby(truth).mean().mean()),
    }


def roc_auc(truth: pd.Series, shares: pd.DataFrame) -> float:
    """The area under the ROC curve of the second of two classes; NaN where it is not defined."""
    positive = truth.astype(str) == shares.columns[-1].removeprefix("probability_")
    if shares.shape[1] != 2 or positive.nunique() != 2:
        return float("nan")
    return float(metrics.roc_auc_score(positive, shares.iloc[:, -1]))


def score_file(saved: dict[str, Any], frame: pd.DataFrame) -> pd.DataFrame:
    """The ids and times of the rows, their predictions, and the version of the model in each row.

    Raises ProjectError where a column that the model needs is missing or not of its kind.
    """
    contract: Contract = saved["contract"]
    found = predict(saved["model"], conform(frame, contract, contract.inputs()))
    known = [name for name in contract.names("id", "time") if name in frame.columns]
    return pd.concat([frame[known], found], axis=1).assign(model_version=saved["version"])


def save_model(model: Any, contract: Contract, version: str, path: Path = MODEL) -> None:
    """Write a model with its contract and version; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    joblib.dump({"model": model, "contract": contract, "version": version}, unfinished)
    unfinished.replace(path)


def load_model(path: Path = MODEL) -> dict[str, Any]:
    """What training saved: `model`, `contract`, `version`.  ProjectError where nothing is."""
    if not path.exists():
        raise ProjectError(f"{path}: no model is trained yet; run `make train`")
    saved: dict[str, Any] = joblib.load(path)
    return saved


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a CSV, or a Parquet file where the name says so; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    if path.suffix == ".parquet":
        frame.to_parquet(unfinished)
    else:
        frame.to_csv(unfinished, index=False)
    unfinished.replace(path)


def main(arguments: list[str]) -> None:
    """Predict for each row of a file."""
    parser = argparse.ArgumentParser(prog="predict", description="Predict for each row of a file.")
    parser.add_argument(
        "--data", help="CSV or Parquet file, or a pattern (default: as config.toml)"
    )
    parser.add_argument("--out", help=f"CSV or Parquet file to write (default: {OUTPUT})")
    options = parser.parse_args(arguments)
    settings, saved = load(), load_model()
    pattern, out = options.data or settings.data.path, Path(options.out or OUTPUT)
    if out.exists() and out.resolve() in [path.resolve() for path in files(pattern)]:
        raise ProjectError(f"{out}: the file that is read; write to another: OUT=file")
    found = score_file(saved, read_table(pattern, settings.data, saved["contract"]))
    write(found, out)
    print(f"{len(found):,} predictions by model {saved['version']} written to {out}")
    print(found.head(3).to_string(index=False))
