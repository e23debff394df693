"""Explaining: the inputs that made one logged prediction, and those that the champion uses most.

The model of the registry answers the logged row again, and must give the logged answer.  A
contribution says what the model used.  It does not say what would change the world.
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
from mlops_ladder.model.breakdown import draw_breakdown, Explanation, format_breakdown
from mlops_ladder.model.prediction import predict_rows
from mlops_ladder.model.shapley import compute_shapley_values, Output
from mlops_ladder.monitoring.archive import Archive, build_inputs, to_logged_contract
from mlops_ladder.monitoring.skew import load_registered_model, measure_differences
from mlops_ladder.monitoring.training_reference import (
    read_bundled_reference,
    read_reference,
    Reference,
)
from mlops_ladder.registry import history, publishing, versions
from mlops_ladder.serving.store import pair_rows
from mlops_ladder.settings import load_settings, Settings

BACKGROUND = 50  # rows of the training that stand for "not known"
ROWS, ORDERS = 30, 4  # rows over which importance is averaged; a rough estimate for each will do
PICTURE, IMPORTANCE = Path("reports/explanation.png"), Path("reports/importance.png")


def explain_row(
    model: Any, row: pd.DataFrame, label: Any, champion: Reference, seed: int
) -> Explanation:
    """Return what each input adds to the explained output.

    Args:
        model: Any model that `predict` knows.
        row: One row with the inputs.
        label: The predicted class whose probability is explained, or the predicted number.
        champion: Rows of the training, from which the background is drawn.
        seed: Draws the background and the orders of the inputs.
    """
    output, name = make_output(model, label)
    with threadpool_limits(1):
        base, parts = compute_shapley_values(output, row, draw_background(champion, seed), seed)
        whole = float(output(row)[0])
    values = {str(column): str(value) for column, value in row.iloc[0].items()}
    return Explanation(name, base, whole, pd.Series(parts, index=row.columns), values)


def make_output(model: Any, label: Any) -> tuple[Output, str]:
    """Return the function whose output is explained, and its name.

    It is the probability of the class; without probabilities, 1 for this class and 0 for others.
    """
    column = f"probability_{label}"

    def compute_output(rows: pd.DataFrame) -> np.ndarray:
        answers = predict_rows(model, rows)
        values = answers[column if column in answers else "prediction"]
        if column not in answers and isinstance(label, (bool, str)):
            values = values.astype(str) == str(label)
        return values.to_numpy("float64")

    has_probabilities = hasattr(model, "predict_proba")
    return compute_output, f"probability of {label}" if has_probabilities else "prediction"


def draw_background(champion: Reference, seed: int, count: int = BACKGROUND) -> pd.DataFrame:
    """Return rows of the training, drawn by the seed."""
    rows = champion.rows
    return rows.sample(min(count, len(rows)), random_state=seed).reset_index(drop=True)


def measure_importance(model: Any, champion: Reference, seed: int) -> pd.Series:
    """Return how much each input moves the model's answers on average, the largest first."""
    background, rows = draw_background(champion, seed), draw_background(champion, seed + 1, ROWS)
    sizes = []
    with threadpool_limits(1):  # threads cost more than they save while other processes compute
        for place, label in enumerate(predict_rows(model, rows)["prediction"].tolist()):
            row, (output, _) = rows.iloc[[place]].reset_index(drop=True), make_output(model, label)
            sizes.append(np.abs(compute_shapley_values(output, row, background, seed, ORDERS)[1]))
    parts = pd.Series(np.mean(sizes, axis=0), index=rows.columns)
    return parts.sort_values(ascending=False, kind="stable")


def find_promoting_decision(model_version: str) -> history.Entry:
    """Return the decision that made this model champion.  Raise ProjectError without one."""
    for entry in reversed(versions.read_state().entries):
        if entry.model_version == model_version and entry.action not in history.NON_MOVING_ACTIONS:
            return entry
    raise ProjectError(f"model {model_version}: no decision of the registry is about it")


def load_reference(entry: history.Entry) -> Reference:
    """Return the reference of a version, from its bundle here or from its run."""
    number = str(entry.version)
    if (publishing.SERVING / number).is_dir():
        return read_bundled_reference(publishing.SERVING / number, number)
    with tempfile.TemporaryDirectory() as folder:
        return read_bundled_reference(publishing.download_bundle(entry.run_id, folder), number)


def explain_logged_row(settings: Settings, request_id: str, place: int) -> None:
    """Print and plot the explanation of a logged row.

    Raises ProjectError if there is no such row, a fallback answered it, or the model gives another
    answer now.
    """
    with Archive(settings.serving.prediction_log_url) as archive:
        request = archive.read_request(request_id)
    lines = pair_rows(request_id, request.inputs, request.output)
    if not 1 <= place <= len(lines):
        raise ProjectError(f"ROW={place}: request {request_id} has {len(lines)} rows, from 1 on")
    inputs, answer = lines[place - 1]
    if answer.get("fallback"):
        raise ProjectError(f"{request_id}: a stand-in has answered it; no model says why")
    entry = find_promoting_decision(request.model_version)
    champion, model = load_reference(entry), load_registered_model(str(entry.version))
    logged = [(request_id, request.time, inputs, answer)]
    row = build_inputs(logged, to_logged_contract(champion.contract))
    difference = compare_answers(model, row, answer, request_id)
    explanation = explain_row(model, row, answer["prediction"], champion, settings.seed)
    print(f"{request_id}, row {place}, of {request.time:%Y-%m-%d %H:%M} UTC")
    again = f"answered again, the difference is {difference:.2g}"
    print(f"answered {answer['prediction']!r} by v{entry.version}; {again}\n")
    print(format_breakdown(explanation))
    plot_explanation(explanation)
    print(f"\nEach line says what the model used, not what would change the world.\nSee {PICTURE}")


def compare_answers(model: Any, row: pd.DataFrame, answer: Any, request_id: str) -> float:
    """Return the difference of the model's answer and the logged one.

    Raises ProjectError if it is too large.
    """
    current = predict_rows(model, row)
    difference = float(measure_differences(current, pd.Series([answer]))[0])
    if difference > TOLERANCE:
        both = f"the model says {current.iloc[0].to_dict()}, logged is {answer}"
        raise ProjectError(f"{request_id}: the answer cannot be had again: {both}; run `make skew`")
    return difference


def plot_explanation(explanation: Explanation) -> None:
    """Write the picture of an explanation."""
    values = explanation.values
    parts = explanation.parts.rename(lambda name: f"{name} = {values[str(name)][:16]}")
    average = f"(on average {explanation.base:.4g})"
    draw_breakdown(parts, f"{explanation.what}: {explanation.output:.4g} {average}", PICTURE)


def explain_champion(settings: Settings) -> None:
    """Print and plot how much each input moves the champion's answers."""
    champion = read_reference()
    parts = measure_importance(load_registered_model(champion.number), champion, settings.seed)
    width = max(map(len, map(str, parts.index)))
    print("\n".join(f"{name!s:{width}}  {value:10.4f}" for name, value in parts.items()))
    draw_breakdown(parts, f"How much each input moves an answer of v{champion.number}", IMPORTANCE)
    print(f"\nHow much each input moves an answer, on average.  See {IMPORTANCE}")


def main(
    request: Annotated[str, typer.Option("--id", help="X-Request-ID of a logged prediction")] = "",
    row: Annotated[int, typer.Option(help="which of its rows (default: the first)")] = 1,
) -> None:
    """Explain a logged prediction, or, without an id, the champion as a whole."""
    if request:
        explain_logged_row(load_settings(), request, row)
    else:
        explain_champion(load_settings())
