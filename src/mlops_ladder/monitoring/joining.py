"""Joining: logged rows, what was answered, and what became of them, beside what was promised."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import CASTS, validate_and_cast
from mlops_ladder.data.columns import make_row_type
from mlops_ladder.data.contract import Contract
from mlops_ladder.monitoring.archive import logged
from mlops_ladder.monitoring.outcomes import Key, Outcome, Outcomes
from mlops_ladder.monitoring.training_reference import read, Reference
from mlops_ladder.serving.model_reloader import FOLDER, POINTER
from mlops_ladder.tracking import runs

Pair = tuple[Outcome, dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class Joined:
    """Rows with the target, each column as its kind; `said` as `prediction.predict` gives it.

    `keys` name request and row; `left_out` are those that the contract does not allow any more.
    """

    rows: pd.DataFrame
    said: pd.DataFrame
    keys: list[Key]
    left_out: int = 0


def pairs(archive: Outcomes, found: list[Outcome]) -> Iterator[Pair]:
    """Each outcome with the row that was asked, and the answer."""
    numbers = sorted({it.prediction for it in found})
    grouped = groupby(found, key=lambda it: it.prediction)
    for (_, _, asked, said), (_, its) in zip(archive.requests(numbers), grouped, strict=True):
        rows, answers = orjson.loads(asked), orjson.loads(said)
        for outcome in its:
            yield outcome, rows[outcome.row - 1], answers[outcome.row - 1]


def joined(them: Iterator[Pair], contract: Contract, answered: bool = True) -> Joined:
    """The rows that this contract allows; with `answered` without those of a stand-in."""
    wanted = [it for it in them if not (answered and it[2].get("fallback"))]
    kept = [it for it, fits in zip(wanted, allowed(wanted, contract), strict=True) if fits]
    inputs, column = contract.inputs(), contract.columns[contract.target]
    frame = pd.DataFrame([asked for _, asked, _ in kept], columns=inputs)
    rows = validate_and_cast(frame, logged(contract), inputs)
    values = pd.Series([json.loads(it.value) for it, _, _ in kept], dtype="object")
    rows[contract.target] = CASTS[column.kind](values, column)
    keys = [(it.request_id, it.row) for it, _, _ in kept]
    said = predictions([it for *_, it in kept], contract)
    return Joined(rows, said, keys, len(wanted) - len(kept))


def allowed(them: list[Pair], contract: Contract) -> Iterator[bool]:
    """Would the service take each of these rows by this contract?"""
    known, inputs = TypeAdapter(make_row_type(logged(contract))), contract.inputs()
    for _, asked, _ in them:
        try:
            known.validate_json(orjson.dumps({it: asked[it] for it in inputs if it in asked}))
            yield True
        except ValidationError:
            yield False


def predictions(said: list[dict[str, Any]], contract: Contract) -> pd.DataFrame:
    """Answers of the service as `prediction.predict` gives them."""
    column = contract.columns[contract.target]
    values = pd.Series([it["prediction"] for it in said], dtype="object")
    shares = pd.DataFrame([it.get("probability", {}) for it in said], dtype="float64")
    found = pd.DataFrame({"prediction": CASTS[column.kind](values, column)})
    return found.join(shares.add_prefix("probability_"))


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
    mlflow = runs.connect_mlflow()
    try:
        return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{name}"))
    except (mlflow.exceptions.MlflowException, OSError):
        return None


def held_out(text: str, contract: Contract) -> tuple[pd.Series, pd.DataFrame]:
    """The answers and the predictions of the rows held out, as a run keeps them."""
    table = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
    column = contract.columns[contract.target]
    convert: Any = CASTS[column.kind]
    shares = table.filter(regex="^probability_").astype("float64")
    said = pd.DataFrame({"prediction": convert(table["prediction"], column)}).join(shares)
    return convert(table["truth"], column), said
