"""Explaining: what made one logged prediction what it is, and what the champion uses in general.

The model of the registry answers the logged row again; that must be the logged answer.  A
contribution says what the model used, not what would change the world.
"""

import tempfile
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from threadpoolctl import threadpool_limits

from mlops_ladder import ProjectError
from mlops_ladder.export.bundle import TOLERANCE
from mlops_ladder.model.breakdown import bars, Explanation, table
from mlops_ladder.model.prediction import predict
from mlops_ladder.model.shapley import contributions, Output
from mlops_ladder.monitoring.archive import Archive, framed, logged
from mlops_ladder.monitoring.skew import apart, trained
from mlops_ladder.monitoring.training_reference import bundled, read, Reference
from mlops_ladder.registry import history, publishing, versions
from mlops_ladder.serving.store import pairs
from mlops_ladder.settings import load, Settings

BACKGROUND = 50  # rows of the training that stand for "not known"
ROWS, ORDERS = 30, 4  # rows over which importance is averaged; for each a rough estimate will do
PICTURE, IMPORTANCE = Path("reports/explanation.png"), Path("reports/importance.png")


def explain(
    model: Any, row: pd.DataFrame, label: Any, champion: Reference, seed: int
) -> Explanation:
    """What each input adds to the probability of `label`, or to the number that is predicted."""
    output, what = measured(model, label)
    with threadpool_limits(1):
        base, parts = contributions(output, row, background(champion, seed), seed)
        whole = float(output(row)[0])
    values = {str(name): str(value) for name, value in row.iloc[0].items()}
    return Explanation(what, base, whole, pd.Series(parts, index=row.columns), values)


def measured(model: Any, label: Any) -> tuple[Output, str]:
    """The function whose output is explained, and its name.

    The probability of a class where the model gives some, else whether it is that class.
    """
    column = f"probability_{label}"

    def output(rows: pd.DataFrame) -> np.ndarray:
        found = predict(model, rows)
        if column in found:
            return found[column].to_numpy("float64")
        if isinstance(label, (bool, str)):
            return (found["prediction"].astype(str) == str(label)).to_numpy("float64")
        return found["prediction"].to_numpy("float64")

    probable = hasattr(model, "predict_proba")
    return output, f"probability of {label}" if probable else "prediction"


def background(champion: Reference, seed: int) -> pd.DataFrame:
    """Rows of the training, drawn by the seed."""
    rows = champion.rows
    return rows.sample(min(BACKGROUND, len(rows)), random_state=seed).reset_index(drop=True)


def importance(model: Any, champion: Reference, seed: int) -> pd.Series:
    """How much each input moves the model's answers, on average, the most important first."""
    rows = champion.rows.sample(min(ROWS, len(champion.rows)), random_state=seed + 1)
    known, found = background(champion, seed), []
    with threadpool_limits(1):  # threads cost more than they bring where others compute too
        labels = predict(model, rows)["prediction"].tolist()
        for place, label in enumerate(labels):
            row = rows.iloc[[place]].reset_index(drop=True)
            output, _ = measured(model, label)
            found.append(np.abs(contributions(output, row, known, seed, ORDERS)[1]))
    parts = pd.Series(np.mean(found, axis=0), index=rows.columns)
    return parts.sort_values(ascending=False, kind="stable")


def decided(model_version: str) -> history.Entry:
    """The decision that made this model champion.  ProjectError where the registry knows none."""
    for entry in reversed(versions.held().entries):
        if entry.model_version == model_version and entry.action not in history.STILL:
            return entry
    raise ProjectError(f"model {model_version}: no decision of the registry is about it")


def reference_of(entry: history.Entry) -> Reference:
    """The reference of a version, from its bundle here or from its run."""
    number = str(entry.version)
    if (publishing.SERVING / number).is_dir():
        return bundled(publishing.SERVING / number, number)
    with tempfile.TemporaryDirectory() as folder:
        return bundled(publishing.download(entry.run_id, folder), number)


def logged_row(settings: Settings, request_id: str, place: int) -> tuple[Any, Any, Any]:
    """The logged request, and of one row in it the inputs and the answer.

    Raises ProjectError where there is no such row, or a stand-in has answered it.
    """
    with Archive(settings.serving.prediction_log_url) as archive:
        request = archive.request(request_id)
    lines = pairs(request_id, request.inputs, request.output)
    if not 1 <= place <= len(lines):
        raise ProjectError(f"ROW={place}: request {request_id} has {len(lines)} rows, from 1 on")
    row, answer = lines[place - 1]
    if answer.get("fallback"):
        raise ProjectError(f"{request_id}: a stand-in has answered it; no model says why")
    return request, row, answer


def again(model: Any, row: pd.DataFrame, answer: Any, request_id: str) -> float:
    """How far the model's answer is from the logged one.  ProjectError where that is too far."""
    found = predict(model, row)
    off = float(apart(found, pd.Series([answer]))[0])
    if off > TOLERANCE:
        told = f"the model says {found.iloc[0].to_dict()}, logged is {answer}; run `make skew`"
        raise ProjectError(f"{request_id}: the answer cannot be had again: {told}")
    return off


def one(settings: Settings, request_id: str, place: int) -> None:
    """Explain a logged row.  ProjectError where the model now says something else of it."""
    request, inputs, answer = logged_row(settings, request_id, place)
    entry = decided(request.model_version)
    champion, model = reference_of(entry), trained(str(entry.version))
    row = framed([(request_id, request.time, inputs, answer)], logged(champion.contract))
    off = again(model, row, answer, request_id)
    found = explain(model, row, answer["prediction"], champion, settings.seed)
    print(f"{request_id}, row {place}, of {request.time:%Y-%m-%d %H:%M} UTC")
    print(f"answered {answer['prediction']!r} by v{entry.version}; again: apart by {off:.2g}\n")
    print(table(found))
    shown = found.parts.rename(lambda name: f"{name} = {found.values[str(name)][:16]}")
    bars(shown, f"{found.what}: {found.output:.4g} (on average {found.base:.4g})", PICTURE)
    print(f"\nEach line says what the model used, not what would change the world.  See {PICTURE}")


def overall(settings: Settings) -> None:
    """Show what the champion uses, on average."""
    champion = read()
    parts = importance(trained(champion.number), champion, settings.seed)
    width = max(map(len, map(str, parts.index)))
    print("\n".join(f"{name!s:{width}}  {value:10.4f}" for name, value in parts.items()))
    bars(parts, f"How much each input moves an answer of v{champion.number}", IMPORTANCE)
    print(f"\nHow much each input moves an answer, on average.  See {IMPORTANCE}")


def main(
    request: Annotated[
        str, typer.Option("--id", help="the X-Request-ID of a logged prediction")
    ] = "",
    row: Annotated[int, typer.Option(help="which of its rows (default: the first)")] = 1,
) -> None:
    """Explain a logged prediction, or, without an id, the champion as a whole."""
    settings = load()
    if request:
        one(settings, request, row)
    else:
        overall(settings)
