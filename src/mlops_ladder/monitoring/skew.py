"""Skew: does the service answer what the training code would, from the same inputs?

It finds what goes wrong between a request that is taken and its answer: a unit, a rounding, an
order of columns.  What goes wrong before that is in the inputs, and is drift.
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
from mlops_ladder.monitoring import drift, training_reference
from mlops_ladder.monitoring.archive import Archive, Extent, NoLog, Window, window
from mlops_ladder.registry import promotion, versions
from mlops_ladder.settings import load_settings, Settings
from mlops_ladder.tracking import runs

ROWS = 1_000
SHOWN = 3


@dataclass(frozen=True)
class Skew:
    """How many of the rows are answered otherwise, by how much at most, and which requests."""

    rows: int
    different: int
    largest: float
    requests: list[str]


def skew(model: Any, newest: Window, epsilon: float) -> Skew:
    """What the model itself says of these rows, beside what was answered."""
    found = predict_rows(model, newest.rows)
    off = apart(found, newest.said["answer"])
    wrong = off > epsilon
    named = newest.said["request_id"][wrong].drop_duplicates().tail(SHOWN)
    return Skew(len(off), int(wrong.sum()), float(off.max()), named.tolist())


def apart(found: pd.DataFrame, logged: pd.Series) -> np.ndarray:
    """How far each answer is off: by a probability, or by a share of the size of a number.

    Infinite where another class is answered that is not tied, or where a probability is missing.
    """
    names = [str(name).removeprefix("probability_") for name in found.columns[1:]]
    if not names:
        return differing(found["prediction"], [answer["prediction"] for answer in logged])
    nothing: dict[str, float] = {}
    told = pd.DataFrame([answer.get("probability", nothing) for answer in logged])
    said = told.reindex(columns=names).to_numpy("float64")
    shares = found.iloc[:, 1:].to_numpy("float64")
    off = np.nan_to_num(np.abs(said - shares).max(axis=1), nan=np.inf)
    classes = {str(answer["prediction"]): None for answer in logged} | dict.fromkeys(names)
    place = {name: names.index(name) if name in names else -1 for name in classes}
    best = np.array([place[str(answer["prediction"])] for answer in logged])
    ours = np.array([names.index(str(label)) for label in found["prediction"]])
    row = np.arange(len(shares))
    other = np.abs(shares[row, ours] - shares[row, best]) > TOLERANCE
    return np.where((best < 0) | other, np.inf, off)


def differing(found: pd.Series, said: list[Any]) -> np.ndarray:
    """How far answers without probabilities are off; other words are infinitely far."""
    if pd.api.types.is_bool_dtype(found) or not pd.api.types.is_numeric_dtype(found):
        same = [str(ours) == str(theirs) for ours, theirs in zip(found, said, strict=True)]
        return np.where(same, 0.0, np.inf)
    expected = found.to_numpy("float64")
    off = np.abs(np.array(said, "float64") - expected) / np.maximum(np.abs(expected), 1)
    return np.asarray(off)


def trained(number: str) -> Any:
    """The model of a version as the registry holds it.  ProjectError where it cannot be had."""
    mlflow = runs.connect_mlflow()
    try:
        return mlflow.sklearn.load_model(f"models:/{versions.model_name()}/{number}")
    except (mlflow.exceptions.MlflowException, OSError) as error:
        raise ProjectError(f"v{number}: the registry has no model of it: {error}") from error


def main(rows: Annotated[int, typer.Option(help=f"newest rows (default: {ROWS})")] = ROWS) -> None:
    """Answer logged rows again by the training code.  ProjectError where it says something else."""
    settings = load_settings()
    if rows < 1:
        raise ProjectError(f"ROWS={rows}: at least one row has to be looked at")
    champion = training_reference.read()
    extent = Extent(settings.drift.hours, rows, rows, settings.seed)
    with Archive(settings.serving.prediction_log_url) as archive:
        newest = window(archive, champion.version, champion.contract, extent)
    found = skew(trained(champion.number), newest, TOLERANCE)
    told = f"{found.rows:,} logged rows of v{champion.number} answered again by the training code"
    if found.different:
        first = f"{found.different:,} of them otherwise, by {found.largest:.3g} at most"
        where = f"requests {', '.join(found.requests)}"
        way_out = "Compare what the service and the training do with the inputs; or `make rollback`"
        raise ProjectError(f"{told}: {first} ({where})\n  {way_out}")
    print(f"{told}: apart by {found.largest:.2g} at most ({TOLERANCE:g} allowed)")


def looked(command: Callable[[], None]) -> tuple[bool, str]:
    """Was there anything to look at, and in words.  Raises what the command finds."""
    try:
        if not versions.read_state().champion:
            return False, "there is no champion yet"
        promotion.publish_champion()
        command()
    except NoLog as nothing:
        return False, f"nothing to look at: {nothing}"
    return True, "nothing found"


def inputs(_: Settings) -> tuple[bool, str]:
    """Have the inputs drifted?  ProjectError, which is told, where they have."""
    return looked(lambda: drift.main(fail=True))


def answers(_: Settings) -> tuple[bool, str]:
    """Does the service answer as the training code does?  ProjectError where it does not."""
    return looked(main)
