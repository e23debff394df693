"""Behaviour: does the model answer as it should where that is known without a truth?

From the contract alone: with an input missing that may be, and with each at the edges of what it
may hold, the answer can be used.  Declared in `config/behaviour.toml`: inputs that must not
matter, and inputs that move the answer one way: the invariance and directional tests of Ribeiro
et al., Beyond Accuracy: Behavioral Testing of NLP Models with CheckList, ACL 2020.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import converted
from mlops_ladder.data.contract import Contract, Kind
from mlops_ladder.model.prediction import predict_rows
from mlops_ladder.model.training import Trained
from mlops_ladder.registry.checks import Declared
from mlops_ladder.registry.checks.picture import Line, picture
from mlops_ladder.registry.questions import Asked, Reply
from mlops_ladder.strict_model import StrictModel

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


EDGE_ROWS = 20  # rows in which each edge is tried
TRIES = 5  # other values of an input that must not matter, for each row


class Invariance(StrictModel):
    """Other allowed values of this column change no answer by more than `largest`.

    That is of a probability, or of a number in standard deviations of the answers learned from.
    `violations`: the share of rows in which it may be otherwise.
    """

    column: str
    largest: float = Field(default=0.05, ge=0)
    violations: float = Field(default=0, ge=0, le=1)


class Direction(StrictModel):
    """More of this column brings the answer up, or down: against it goes no more than `tolerance`.

    The answer is a number, or the probability of `answer`, a class, the second of two where none is
    named.  `by` is how much more: a tenth of the column's range, if not said.  `violations` and
    the unit of `tolerance` are those of `Invariance`.
    """

    column: str
    effect: Literal["up", "down"]
    by: float | None = Field(default=None, gt=0)
    answer: str | None = None
    tolerance: float = Field(default=0.01, ge=0)
    violations: float = Field(default=0.05, ge=0, le=1)


class Settings(Declared):
    """What is tried, in so many held-out rows.

    An answer that is a number can be used where it lies within those learned from, or beyond them
    by no more than `margin` times their width.
    """

    rows: int = Field(default=200, ge=1)
    margin: float = Field(default=1, ge=0)
    invariance: list[Invariance] = []
    direction: list[Direction] = []

    def faults(self, contract: Contract) -> list[str]:
        """Columns that the model does not see, and directions of what is no number."""
        seen, numbers = contract.inputs(), contract.inputs(*NUMBERS)
        named = [it.column for it in self.invariance] + [it.column for it in self.direction]
        wrong = [f"{it}: no input of the model; these are {seen}" for it in named if it not in seen]
        return wrong + [
            f"direction of {it.column}: holds no numbers; {', '.join(numbers) or 'no input'} does"
            for it in self.direction
            if it.column in seen and it.column not in numbers
        ]


@dataclass(frozen=True)
class Test:
    """A test by its name: how many of so many rows broke it, and which share of them may.

    `answers`: the lowest, the median and the highest one.
    """

    name: str
    broken: int
    rows: int
    allowed: float = 0
    answers: tuple[float, float, float] | None = None
    error: str = ""

    @property
    def passed(self) -> bool:
        """Did no more rows break it than may?"""
        return self.broken <= self.allowed * self.rows

    def __str__(self) -> str:
        return f"{self.name}: {self.error or f'{self.broken} of {self.rows} rows'}"


def ask(asked: Asked, settings: Settings) -> Reply:
    """Does the model keep every test?"""
    tests = [*edges(asked.trained, settings)]
    tests += [invariance(it, asked.trained, settings.rows) for it in settings.invariance]
    tests += [direction(it, asked.trained, settings.rows) for it in settings.direction]
    bad = [it for it in tests if not it.passed]
    told = f"{len(tests)} tests, each passed"
    if bad:
        rest = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        told = f"{len(bad)} of {len(tests)} tests failed: {'; '.join(map(str, bad[:3]))}{rest}"
    evidence = {"tests": [vars(it) | {"answers": list(it.answers or ())} for it in tests]}
    return Reply("refused" if bad else "passed", told, evidence, drawn(tests, asked.trained))


def edges(trained: Trained, settings: Settings) -> Iterator[Test]:
    """Each input missing, where it may be, all of them at once, and each at its edges."""
    rows, contract = some(trained, EDGE_ROWS), trained.contract
    gaps = [name for name in contract.inputs() if contract.columns[name].nullable]
    for name in gaps:
        yield usable(f"{name} missing", put(rows, {name: [None]}, contract), trained, settings)
    if len(gaps) > 1:
        empty = put(rows, {name: [None] for name in gaps}, contract)
        yield usable("all missing that may be", empty, trained, settings)
    for name in contract.inputs():
        values = extremes(name, trained)
        least = max(len(values), EDGE_ROWS)
        changed = put(rows.iloc[np.arange(least) % len(rows)], {name: values}, contract)
        shown = " and ".join(map(str, values)) if len(values) < 3 else f"{len(values)} values"
        yield usable(f"{name} at {shown}", changed, trained, settings)


def usable(name: str, rows: pd.DataFrame, trained: Trained, settings: Settings) -> Test:
    """Is every answer to these rows one that can be used?"""
    try:
        said = predict_rows(trained.model, rows)
    except Exception as error:  # pylint: disable=broad-exception-caught  # its code is any code
        return Test(name, len(rows), len(rows), error=f"{type(error).__name__}: {error}")
    shares = said.filter(regex="^probability_").to_numpy()
    if shares.size:
        good = np.isclose(shares.sum(axis=1), 1, atol=1e-3) & (shares >= 0).all(axis=1)
    elif trained.settings.problem == "regression":
        low, high = trained.train[trained.contract.target].agg(["min", "max"])
        room = settings.margin * (high - low)
        good = said["prediction"].between(low - room, high + room).to_numpy()
    else:
        good = said["prediction"].notna().to_numpy()
    return Test(name, int((~good).sum()), len(rows), answers=span(answers(said)))


def span(found: pd.Series) -> tuple[float, float, float]:
    """The lowest, the median and the highest."""
    return float(found.min()), float(found.median()), float(found.max())


def invariance(it: Invariance, trained: Trained, count: int) -> Test:
    """Do other values of the column leave the answer as it is?"""
    rows, random = some(trained, count), np.random.default_rng(trained.settings.seed)
    pool, before = allowed(it.column, trained), predict_rows(trained.model, rows)
    moved = np.zeros(len(rows))
    for _ in range(TRIES):
        values = [pool[at] for at in random.integers(0, len(pool), len(rows))]
        after = predict_rows(trained.model, put(rows, {it.column: values}, trained.contract))
        moved = np.maximum(moved, apart(after, before, trained))
    broken = int((moved > it.largest).sum())
    name = f"{it.column} does not matter"
    return Test(name, broken, len(rows), it.violations, span(answers(after)))


def direction(it: Direction, trained: Trained, count: int) -> Test:
    """Does more of the column bring the answer up, or down?"""
    rows = some(trained, count)
    rows, name = rows[rows[it.column].notna()], f"more {it.column}, answer {it.effect}"
    if rows.empty:
        return Test(name, 0, 0)
    before = answers(predict_rows(trained.model, rows), it.answer)
    after = predict_rows(trained.model, more(rows, it.column, it.by, trained))
    change = (answers(after, it.answer) - before) / unit(trained)
    wrong = (change if it.effect == "down" else -change) > it.tolerance
    return Test(name, int(wrong.sum()), len(rows), it.violations, span(answers(after, it.answer)))


def drawn(tests: list[Test], trained: Trained) -> Figure:
    """How far the answers of each test reach."""
    numbers = trained.settings.problem == "regression"
    what = trained.contract.target if numbers else "probability of the last class"
    lines = [Line(it.name, *it.answers, wrong=not it.passed) for it in tests if it.answers]
    return picture("What the model says at the edges", f"{what}, from low to high", lines)
