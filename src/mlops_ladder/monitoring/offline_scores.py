"""The promise: how good the gate has found the champion, on rows that it had not seen."""

import json
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import CONVERSIONS
from mlops_ladder.data.contract import Contract
from mlops_ladder.monitoring.training_reference import read, Reference
from mlops_ladder.serving.model_reloader import FOLDER, POINTER
from mlops_ladder.tracking import runs


@dataclass(frozen=True)
class Promise:
    """The held-out rows of the champion, their answers and what was predicted.

    `slices`: the score of each slice with its 95 % interval.
    """

    champion: Reference
    truth: pd.Series
    said: pd.DataFrame
    slices: dict[str, tuple[float, float, float]]


def promise(folder: Path = FOLDER) -> Promise:
    """What was promised of the champion that is published in this folder.

    Raises ProjectError where none is, or its run is not there any more.
    """
    champion = read(folder)
    run_id = str(json.loads((folder / POINTER).read_bytes())["run_id"])
    text = artifact(run_id, "predictions.csv")
    if text is None:
        told = "MLflow has no held-out predictions of it; is MLFLOW_TRACKING_URI the right one?"
        raise ProjectError(f"run {run_id} of the champion v{champion.number}: {told}")
    answers = json.loads(artifact(run_id, "questions.json") or "{}")
    known = answers.get("slices", {}).get("evidence", {}).get("slices", [])
    slices = {it["slice"]: (it["score"], it["low"], it["high"]) for it in known}
    return Promise(champion, *held_out(text, champion.contract), slices)


def artifact(run_id: str, name: str) -> str | None:
    """A text that a run holds; None where there is none."""
    mlflow = runs.connect()
    try:
        return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{name}"))
    except (mlflow.exceptions.MlflowException, OSError):
        return None


def held_out(text: str, contract: Contract) -> tuple[pd.Series, pd.DataFrame]:
    """The answers and the predictions of the rows held out, as a run keeps them."""
    table = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
    column = contract.columns[contract.target]
    convert: Any = CONVERSIONS[column.kind]
    shares = table.filter(regex="^probability_").astype("float64")
    said = pd.DataFrame({"prediction": convert(table["prediction"], column)}).join(shares)
    return convert(table["truth"], column), said
