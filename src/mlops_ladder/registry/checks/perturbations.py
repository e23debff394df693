"""Changes: rows of which some columns hold other values, ones that the contract allows."""

from typing import Any

import numpy as np
import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import converted
from mlops_ladder.data.contract import Contract, Kind
from mlops_ladder.model.training import Trained

NUMBERS: tuple[Kind, ...] = ("number", "integer")
STEPS = 21  # values from the lowest to the highest


def some(trained: Trained, count: int) -> pd.DataFrame:
    """What the model sees of some held-out rows, always the same ones."""
    rows = trained.holdout[trained.contract.inputs()]
    return rows.sample(min(count, len(rows)), random_state=trained.settings.seed)


def put(rows: pd.DataFrame, values: dict[str, list[Any]], contract: Contract) -> pd.DataFrame:
    """The rows with these values in some columns, in turn, each as its kind."""
    places = np.arange(len(rows))
    columns = {
        name: pd.Series([given[at % len(given)] for at in places], dtype="object")
        for name, given in values.items()
    }
    found, breaches = converted(pd.DataFrame(columns), contract, columns)
    if breaches:
        raise ProjectError("; ".join(map(str, breaches)))
    return rows.assign(**{name: found[name].array for name in columns})


def extremes(name: str, trained: Trained) -> list[Any]:
    """The lowest and the highest value that a column may hold; of words all that are known."""
    column, learned = trained.contract.columns[name], trained.train[name].dropna()
    if column.kind in ("category", "text"):
        return column.categories or sorted(learned.unique())[:100] or [None]
    if column.kind == "boolean":
        return [False, True]
    if column.range and column.kind in NUMBERS:
        return list(column.range)
    return [learned.min(), learned.max()] if len(learned) else [None]


def allowed(name: str, trained: Trained) -> list[Any]:
    """Values that a column may hold; of numbers and times steps from the lowest to the highest."""
    values, kind = extremes(name, trained), trained.contract.columns[name].kind
    if kind in NUMBERS and len(values) == 2:
        steps = np.linspace(float(values[0]), float(values[1]), STEPS)
        return [float(it) for it in (steps.round() if kind == "integer" else steps)]
    if kind == "time" and len(values) == 2:
        return list(pd.date_range(*values, periods=STEPS))
    return values


def more(rows: pd.DataFrame, name: str, by: float | None, trained: Trained) -> pd.DataFrame:
    """The rows with more in a column of numbers, by a tenth of its range where it is not said.

    None gets more than the column may hold.
    """
    low, high = extremes(name, trained)
    step = (high - low) / 10 if by is None else by
    if trained.contract.columns[name].kind == "integer":
        step = max(1, round(step))
    raised = np.minimum(rows[name].to_numpy(dtype="float64") + step, high)
    return put(rows, {name: list(raised)}, trained.contract)


def answers(said: pd.DataFrame, answer: str | None = None) -> pd.Series:
    """The answers as numbers: predicted ones, or the probability of a class, the last by default.

    Raises ProjectError where there is no such class.
    """
    shares = said.filter(regex="^probability_")
    if answer is None and shares.empty:
        return pd.to_numeric(said["prediction"], errors="coerce")
    known = [str(name).removeprefix("probability_") for name in shares]
    wanted = known[-1] if answer is None else answer
    if wanted not in known:
        there = ", ".join(known)
        told = f"config/behaviour.toml: answer = {answer!r}: no such class; there are {there}"
        raise ProjectError(told)
    return shares[f"probability_{wanted}"]


def apart(one: pd.DataFrame, other: pd.DataFrame, trained: Trained) -> np.ndarray:
    """How far two answers to the same rows are apart, in the unit of their kind: see `unit`.

    Of classes the largest difference of a probability; without probabilities 1 for another class.
    """
    if trained.settings.problem == "regression" or one.shape[1] > 1:
        numbers = one.columns[1:] if one.shape[1] > 1 else one.columns
        off = (one[numbers] - other[numbers]).abs().max(axis=1) / unit(trained)
    else:
        off = one["prediction"] != other["prediction"]
    return off.to_numpy(dtype="float64")


def unit(trained: Trained) -> float:
    """In what differences are measured: 1 of probabilities, else the spread of what was learned."""
    if trained.settings.problem == "classification":
        return 1.0
    return float(trained.train[trained.contract.target].std()) or 1.0
