"""Skew: does the service answer the same as the training code does for the same inputs?

It finds faults between a request and its answer: a unit, a rounding, an order of columns.  A fault
before the request is in the inputs, and is drift.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from mlops_ladder import ProjectError
from mlops_ladder.export.bundle import TOLERANCE
from mlops_ladder.model.prediction import predict_rows
from mlops_ladder.monitoring import drift
from mlops_ladder.monitoring.archive import Archive, Extent, NoLog, read_window, Window
from mlops_ladder.monitoring.training_reference import read_reference
from mlops_ladder.registry import promotion, versions
from mlops_ladder.settings import load_settings, Settings
from mlops_ladder.tracking import runs

ROWS = 1_000
MAX_REQUESTS_PRINTED = 3


@dataclass(frozen=True)
class Skew:
    """How many of the rows were answered otherwise, by how much at most, in which requests."""

    rows: int
    different: int
    largest: float
    requests: list[str]


def find_skew(model: Any, newest: Window, tolerance: float) -> Skew:
    """Compare the answers of the model with those that were logged."""
    differences = measure_differences(predict_rows(model, newest.rows), newest.answers["answer"])
    is_different = differences > tolerance
    names = newest.answers["request_id"][is_different].drop_duplicates()
    requests = names.tail(MAX_REQUESTS_PRINTED).tolist()
    return Skew(len(differences), int(is_different.sum()), float(differences.max()), requests)


def measure_differences(predictions: pd.DataFrame, logged: pd.Series) -> np.ndarray:
    """Return the distance of each answer: of probabilities, or relative to the size of a number.

    It is infinite for another class that is not tied, and for a missing probability.
    """
    index = predictions.columns[1:].str.removeprefix("probability_")
    answers = [answer["prediction"] for answer in logged]
    if index.empty:
        return measure_plain_differences(predictions["prediction"], answers)
    answered = pd.DataFrame([answer.get("probability") or {} for answer in logged])
    shares, rows = predictions.iloc[:, 1:].to_numpy("float64"), np.arange(len(predictions))
    distances = np.abs(answered.reindex(columns=index).to_numpy("float64") - shares).max(axis=1)
    theirs = index.get_indexer(pd.Index(map(str, answers)))
    ours = index.get_indexer(pd.Index(predictions["prediction"].astype("str")))
    is_other = np.abs(shares[rows, ours] - shares[rows, theirs]) > TOLERANCE
    is_wrong = (theirs < 0) | is_other | np.isnan(distances)
    return np.where(is_wrong, np.inf, distances)


def measure_plain_differences(predictions: pd.Series, logged: list[Any]) -> np.ndarray:
    """Return the distance of answers without probabilities; infinite for other words."""
    kinds = pd.api.types
    if kinds.is_bool_dtype(predictions) or not kinds.is_numeric_dtype(predictions):
        is_same = np.array(list(map(str, predictions))) == np.array(list(map(str, logged)))
        return np.where(is_same, 0.0, np.inf)
    expected = predictions.to_numpy("float64")
    distances = np.abs(np.array(logged, "float64") - expected)
    return np.asarray(distances / np.maximum(np.abs(expected), 1))


def load_registered_model(number: str) -> Any:
    """Return the registered model of a version.  Raise ProjectError if it cannot be loaded."""
    mlflow = runs.connect_mlflow()
    try:
        return mlflow.sklearn.load_model(f"models:/{versions.model_name()}/{number}")
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise ProjectError(f"v{number}: the registry has no model of it: {error}") from error


def main(rows: Annotated[int, typer.Option(help=f"newest rows (default: {ROWS})")] = ROWS) -> None:
    """Answer logged rows again by the training code.  Raise ProjectError if an answer differs."""
    settings = load_settings()
    if rows < 1:
        raise ProjectError(f"ROWS={rows}: at least one row has to be looked at")
    champion = read_reference()
    extent = Extent(settings.drift.hours, rows, rows, settings.seed)
    with Archive(settings.serving.prediction_log_url) as archive:
        newest = read_window(archive, champion.version, champion.contract, extent)
    skew = find_skew(load_registered_model(champion.number), newest, TOLERANCE)
    summary = f"{skew.rows:,} logged rows of v{champion.number} answered again by the training code"
    if skew.different:
        first = f"{skew.different:,} of them otherwise, by {skew.largest:.3g} at most"
        where = f"requests {', '.join(skew.requests)}"
        way_out = "Compare what the service and the training do with the inputs; or `make rollback`"
        raise ProjectError(f"{summary}: {first} ({where})\n  {way_out}")
    print(f"{summary}: apart by {skew.largest:.2g} at most ({TOLERANCE:g} allowed)")


def run_check(command: Callable[[], None]) -> tuple[bool, str]:
    """Run a check of the log.  Return whether there was something to check, and a message.

    Raises ProjectError if the command finds a fault.
    """
    try:
        if not versions.read_state().champion:
            return False, "there is no champion yet"
        promotion.publish_champion()
        command()
    except NoLog as reason:
        return False, f"nothing to look at: {reason}"
    return True, "nothing found"


def check_inputs(_: Settings) -> tuple[bool, str]:
    """Check the inputs for drift; a hook.  Raise ProjectError if a column has drifted."""
    return run_check(lambda: drift.main(fail=True))


def check_answers(_: Settings) -> tuple[bool, str]:
    """Check the answers for skew; a hook.  Raise ProjectError if an answer differs."""
    return run_check(main)
