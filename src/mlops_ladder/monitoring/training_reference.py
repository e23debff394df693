"""The reference: a sample of the champion's training, kept in its bundle for the monitoring."""

import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.export.runtime import read_bundle, read_verified
from mlops_ladder.model.training import Trained
from mlops_ladder.serving.model_reloader import FOLDER, POINTER

ROWS, PREDICTIONS, FACTS = "reference.parquet", "reference_predictions.parquet", "reference.json"
SAMPLE = 10_000  # rows: enough to tell shares that are 0.02 apart, and a small file
MAX_LISTED_TEXTS = 200  # different texts that are still worth a list


@dataclass(frozen=True)
class Reference:
    """The published champion as its bundle describes it.

    `rows` are a sample of the inputs of the training.  `predictions` are those for held-out rows,
    as `add_score` returns them.  `facts` is `reference.json`.
    """

    number: str
    version: str
    contract: Contract
    rows: pd.DataFrame
    predictions: pd.DataFrame
    facts: dict[str, Any]


def build_reference_files(trained: Trained) -> dict[str, bytes]:
    """Return the files of a model's bundle: samples of inputs and predictions, and the facts.

    They hold no column that the model does not see.  Equal trainings give equal files.
    """
    seed = trained.settings.seed
    facts = json.dumps(collect_facts(trained), ensure_ascii=False, allow_nan=False)
    return {
        ROWS: sample_to_parquet(trained.train[trained.contract.inputs()], seed),
        PREDICTIONS: sample_to_parquet(add_score(trained.predictions), seed),
        FACTS: facts.encode(),
    }


def sample_to_parquet(rows: pd.DataFrame, seed: int) -> bytes:
    """Return a Parquet file of these rows, or of 10,000 of them."""
    buffer, sample = BytesIO(), rows.sample(min(len(rows), SAMPLE), random_state=seed)
    sample.to_parquet(buffer, index=False)
    return buffer.getvalue()


def add_score(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return `prediction` and `score`, its probability; NaN if the model has no probabilities."""
    score = predictions.filter(regex="^probability_").max(axis=1).astype("float64")
    return predictions[["prediction"]].assign(score=score)


def collect_facts(trained: Trained) -> dict[str, Any]:
    """Return the facts about all rows of the training that the service needs."""
    contract, predictions = trained.contract, add_score(trained.predictions)
    has_scores = predictions["score"].notna().any()
    values = predictions["score" if has_scores else "prediction"]
    is_numeric = pd.api.types.is_float_dtype(values) or trained.settings.problem == "regression"
    deciles = values.quantile(np.linspace(0, 1, 11)).tolist() if is_numeric else []
    rows, columns = trained.train, contract.columns
    return {
        "trained_at": int(trained.at),
        "rows": len(rows),
        "columns": {
            name: summarize_column(rows[name], columns[name]) for name in contract.inputs()
        },
        "fallback": choose_fallback(trained),
        "scores": [float(score) for score in deciles],
    }


def summarize_column(values: pd.Series, column: Column) -> dict[str, Any]:
    """Return the lowest and highest value of a column, or all its values, and the missing share.

    Times are seconds since 1970 on the clock of their column.
    """
    present, share = values.dropna(), {"missing": float(values.isna().mean())}
    if column.kind in ("number", "integer", "time") and len(present):
        if column.kind == "time":
            present = (present - pd.Timestamp(0)).dt.total_seconds()
        cast: type = float if column.kind == "number" else int
        return {"low": cast(present.min()), "high": cast(present.max())} | share
    is_short = column.kind == "text" and present.nunique() <= MAX_LISTED_TEXTS
    if column.kind in ("boolean", "category") or is_short:
        present = present.astype("bool") if column.kind == "boolean" else present
        return {"values": sorted(present.unique().tolist())} | share
    return share


def choose_fallback(trained: Trained) -> dict[str, Any]:
    """Return the answer when no model can answer: the most frequent class, or the median."""
    truth = trained.train[trained.contract.target]
    if trained.settings.problem == "regression":
        return {"prediction": float(truth.median())}
    shares = truth.value_counts(normalize=True).sort_index()
    labels = np.asarray(getattr(trained.model, "classes_", shares.index)).tolist()
    by_label = {label: float(shares.get(label, 0)) for label in labels}
    answer: dict[str, Any] = {"prediction": max(by_label, key=by_label.__getitem__)}
    if hasattr(trained.model, "predict_proba"):
        answer["probability"] = {str(label): share for label, share in by_label.items()}
    return answer


def read_reference(folder: Path = FOLDER) -> Reference:
    """Return the reference of the champion that is published in this folder.

    Raises ProjectError if there is none, or if its bundle is damaged or has no reference.
    """
    number = read_published_number(folder)
    return read_bundled_reference(folder / number, number)


def read_champion_facts() -> dict[str, Any]:
    """Return the facts alone, without reading Parquet.  Raise ProjectError as `read_reference`.

    A command that reads Parquet last may abort when it ends (apache/arrow issue 34314).
    """
    number = read_published_number(FOLDER)
    _, contents = verify_reference_files(FOLDER / number, number)
    return dict(json.loads(contents[FACTS]))


def read_published_number(folder: Path) -> str:
    """Return the version that is served from this folder.  Raise ProjectError if there is none."""
    pointer = folder / POINTER
    if not pointer.exists():
        raise ProjectError(f"{pointer}: no champion is published; run `make pipeline`")
    return str(json.loads(pointer.read_bytes())["version"])


def read_bundled_reference(place: Path, number: str) -> Reference:
    """Return the reference in the bundle of a version.

    Raises ProjectError if the bundle is damaged or has no reference.
    """
    bundle, contents = verify_reference_files(place, number)
    return Reference(
        number=number,
        version=str(bundle["model_version"]),
        contract=Contract(**bundle["contract"]),
        rows=pd.read_parquet(BytesIO(contents[ROWS])),
        predictions=pd.read_parquet(BytesIO(contents[PREDICTIONS])),
        facts=json.loads(contents[FACTS]),
    )


def verify_reference_files(place: Path, number: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the description of a bundle, and the files of its reference by name.

    Raises ProjectError if a file is missing or damaged.
    """
    bundle, names = read_bundle(place), (ROWS, PREDICTIONS, FACTS)
    if missing := [name for name in names if name not in bundle["files"]]:
        older = "it was made before this project was monitored; `make pipeline` brings them"
        raise ProjectError(f"v{number}: its bundle has no {', '.join(missing)}: {older}")
    return bundle, {name: read_verified(place / name, bundle["files"][name]) for name in names}
