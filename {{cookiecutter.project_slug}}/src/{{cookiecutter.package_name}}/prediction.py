"""Predictions, and how good they are: a file in, a file out, one row for each row."""

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn import metrics

from . import ProjectError, observers
from .casting import as_boolean, as_number, as_text, as_time
from .contract import Breach, Column, Contract, Kind, merged, refuse
from .reading import files, read_chunks
from .settings import load

MODEL = Path("models/model.joblib")
OUTPUT = "predictions.csv"
ROWS = 50_000  # at a time: a file may be larger than memory
METRICS = {
    "classification": ("roc_auc", "accuracy", "balanced_accuracy"),
    "regression": ("mae", "rmse", "r2"),
}
LOWER_IS_BETTER = ("mae", "rmse")

Check = Callable[[pd.DataFrame, Contract], list[Breach]]
CONVERSIONS: dict[Kind, Callable[[pd.Series, Column], pd.Series]] = {
    "number": as_number,
    "integer": as_number,
    "boolean": as_boolean,
    "category": as_text,
    "text": as_text,
    "time": as_time,
}


def converted(
    frame: pd.DataFrame, contract: Contract, names: Iterable[str]
) -> tuple[pd.DataFrame, list[Breach]]:
    """These columns, each as its kind: float64 or int64, bool, str, datetime64; NaN where missing.

    And a breach for each column that is missing or holds what is not of its kind; it is left out.
    """
    columns, breaches = {}, []
    for name in names:
        if name not in frame.columns:
            known = ", ".join(map(str, frame.columns))
            breaches.append(Breach(name, f"column is missing; there are {known}"))
            continue
        column = contract.columns[name]
        found = (as_text if column.role == "id" else CONVERSIONS[column.kind])(frame[name], column)
        wrong = (found.isna() & frame[name].notna()).to_numpy()
        if wrong.any():
            breaches.append(broken(frame[name], wrong, f"hold no {column.kind}"))
        else:
            columns[name] = found
    return pd.DataFrame(columns, index=frame.index), breaches


def broken(values: pd.Series, wrong: np.ndarray, rule: str) -> Breach:
    """The breach of a rule by these values, of which `wrong` says true."""
    places = np.flatnonzero(wrong)
    rows = tuple(int(values.index[place]) + 1 for place in places[:3])
    first = values.iloc[places[0]]
    shown = "" if pd.isna(first) else repr(getattr(first, "item", lambda: first)())
    return Breach(str(values.name), rule, len(places), len(values), rows, shown)


def conform(
    frame: pd.DataFrame, contract: Contract, names: Iterable[str], checks: Iterable[Check] = ()
) -> pd.DataFrame:
    """These columns, each as its kind.  Raises ProjectError that lists every breach by column."""
    rows, breaches = converted(frame, contract, names)
    refuse(breaches + [breach for check in checks for breach in check(rows, contract)])
    return rows


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


def score_file(
    saved: dict[str, Any], frames: Iterable[pd.DataFrame], checks: Iterable[Check] = ()
) -> Iterator[pd.DataFrame]:
    """The ids and times of the rows, their predictions, and the version of the model in each row.

    Frame by frame.  Raises ProjectError where rows break the model's contract: once all were read,
    with every breach; nothing is predicted any more after the first one.
    """
    contract: Contract = saved["contract"]
    breaches: list[Breach] = []
    seen = 0
    for frame in frames:
        seen += len(frame)
        rows, found = converted(frame, contract, contract.inputs())
        breaches += found + [breach for check in checks for breach in check(rows, contract)]
        if not breaches:
            known = [name for name in contract.names("id", "time") if name in frame.columns]
            answers = predict(saved["model"], rows)
            yield pd.concat([frame[known], answers], axis=1).assign(model_version=saved["version"])
    refuse([breach.of(seen) for breach in merged(breaches)])


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


def write(frames: Iterable[pd.DataFrame], path: Path) -> tuple[int, pd.DataFrame]:
    """Write a CSV, or Parquet where the name says so; whole or not at all.  Rows, first frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    rows, first, into = 0, pd.DataFrame(), None
    try:
        for frame in frames:
            if path.suffix == ".parquet":
                table = pa.Table.from_pandas(
                    frame, into.schema if into else None, preserve_index=False
                )
                into = into or pq.ParquetWriter(unfinished, table.schema)
                into.write_table(table)
            else:
                frame.to_csv(unfinished, index=False, header=not rows, mode="a" if rows else "w")
            rows, first = rows + len(frame), first if rows else frame
        if into:
            into.close()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return rows, first


def main(arguments: list[str]) -> None:
    """Predict for each row of a file, of any length."""
    parser = argparse.ArgumentParser(prog="predict", description="Predict for each row of a file.")
    parser.add_argument("--data", help="CSV or Parquet file, or a pattern (default: config.toml)")
    parser.add_argument("--out", help=f"CSV or Parquet file to write (default: {OUTPUT})")
    options = parser.parse_args(arguments)
    settings, saved = load(), load_model()
    pattern, out = options.data or settings.data.path, Path(options.out or OUTPUT)
    if out.exists() and out.resolve() in [path.resolve() for path in files(pattern)]:
        raise ProjectError(f"{out}: the file that is read; write to another: OUT=file")
    frames = read_chunks(pattern, settings.data, saved["contract"], ROWS)
    scored = score_file(saved, frames, observers("checked"))
    for way in observers("scored"):  # in place of it
        scored = way(saved, pattern, settings)
    rows, first = write(scored, out)
    print(f"{rows:,} predictions by model {saved['version']} written to {out}")
    print(first.head(3).to_string(index=False))
