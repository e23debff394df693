"""Behaviour: does the model answer as it should, if that is known without a true value?

Two tests need the contract alone: the answer must be usable if a nullable input is missing, and if
an input is at an end of its range.  `config/behaviour.toml` declares inputs that must not matter,
and inputs that move the answer one way: the invariance and directional tests of Ribeiro et al.,
Beyond Accuracy: Behavioral Testing of NLP Models with CheckList, ACL 2020.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import cast_columns
from mlops_ladder.data.contract import Contract, Kind
from mlops_ladder.model.prediction import predict_rows
from mlops_ladder.model.training import Trained
from mlops_ladder.registry.checks import CheckSettings
from mlops_ladder.registry.checks.interval_plot import Interval, plot_intervals
from mlops_ladder.registry.gate import make_result
from mlops_ladder.registry.gate_checks import CheckContext, CheckResult
from mlops_ladder.strict_model import StrictModel

NUMBERS: tuple[Kind, ...] = ("number", "integer")
STEPS = 21  # values from the lowest to the highest
EDGE_ROWS = 20  # rows for each edge
TRIES = 5  # other values for each row, of an input that must not matter


class Invariance(StrictModel):
    """Other allowed values of this column change no answer by more than `largest`.

    For classes that is a probability, for numbers standard deviations of the training answers.
    `violations`: the share of rows that may break it.
    """

    column: str
    largest: float = Field(default=0.05, ge=0)
    violations: float = Field(default=0, ge=0, le=1)


class Direction(StrictModel):
    """More of this column moves the answer up, or down; against it by no more than `tolerance`.

    The answer is a number, or the probability of the class `answer`, by default the last.  `by` is
    the step, by default a tenth of the column's range.  `violations` and the unit of `tolerance`
    are those of `Invariance`.
    """

    column: str
    effect: Literal["up", "down"]
    by: float | None = Field(default=None, gt=0)
    answer: str | None = None
    tolerance: float = Field(default=0.01, ge=0)
    violations: float = Field(default=0.05, ge=0, le=1)


class Settings(CheckSettings):
    """The declared tests, and the number of held-out rows for each.

    A numeric answer is usable within the range of the training answers, extended on both sides by
    `margin` times its width.
    """

    rows: int = Field(default=200, ge=1)
    margin: float = Field(default=1, ge=0)
    invariance: list[Invariance] = []
    direction: list[Direction] = []

    def find_faults(self, contract: Contract) -> list[str]:
        """Return columns that are no input of the model, and directions of non-numeric columns."""
        inputs, numbers = contract.inputs(), contract.inputs(*NUMBERS)
        names = [test.column for test in self.invariance + self.direction]
        message, holds = f"no input of the model; these are {inputs}", ", ".join(numbers)
        faults = [f"{name}: {message}" for name in names if name not in inputs]
        directed = [test.column for test in self.direction if test.column in inputs]
        message = f"holds no numbers; {holds or 'no input'} does"
        others = [name for name in directed if name not in numbers]
        return faults + [f"direction of {name}: {message}" for name in others]


@dataclass(frozen=True)
class Test:
    """The result of a test: the rows that broke it, of how many, and the share that may.

    `answers`: the lowest, the median and the highest one.
    """

    name: str
    broken: int
    rows: int
    allowed: float = 0
    answers: tuple[float, float, float] | None = None
    error: str = ""

    @property
    def is_passed(self) -> bool:
        """Whether no more rows break the test than allowed."""
        return self.broken <= self.allowed * self.rows

    def __str__(self) -> str:
        return f"{self.name}: {self.error or f'{self.broken} of {self.rows} rows'}"


def check_candidate(context: CheckContext, settings: Settings) -> CheckResult:
    """Check that the model passes every test."""
    trained = context.trained
    tests = [
        *run_edge_tests(trained, settings),
        *(run_invariance_test(test, trained, settings.rows) for test in settings.invariance),
        *(run_direction_test(test, trained, settings.rows) for test in settings.direction),
    ]
    failed = [str(test) for test in tests if not test.is_passed]
    evidence = {"tests": [vars(test) | {"answers": list(test.answers or ())} for test in tests]}
    message = f"{len(tests)} tests, each passed"
    if failed:
        more = f" and {len(failed) - 3} more" if len(failed) > 3 else ""
        message = f"{len(failed)} of {len(tests)} tests failed: {'; '.join(failed[:3])}{more}"
    verdict = make_result(not failed, message)
    return replace(verdict, evidence=evidence, picture=plot_tests(tests, trained))


def run_edge_tests(trained: Trained, settings: Settings) -> Iterator[Test]:
    """Test each nullable input missing, all of them at once, and each input at its edges."""
    rows, contract = sample_inputs(trained, EDGE_ROWS), trained.contract
    nullable = [name for name in contract.inputs() if contract.columns[name].nullable]
    gaps = {f"{name} missing": [name] for name in nullable}
    if len(nullable) > 1:
        gaps["all missing that may be"] = nullable
    for title, names in gaps.items():
        changed = set_values(rows, {name: [None] for name in names}, contract)
        yield run_usability_test(title, changed, trained, settings)
    for name in contract.inputs():
        values = find_edge_values(name, trained)
        count = max(len(values), EDGE_ROWS)
        changed = set_values(rows.iloc[np.arange(count) % len(rows)], {name: values}, contract)
        shown = " and ".join(map(str, values)) if len(values) < 3 else f"{len(values)} values"
        yield run_usability_test(f"{name} at {shown}", changed, trained, settings)


def run_usability_test(name: str, rows: pd.DataFrame, trained: Trained, settings: Settings) -> Test:
    """Test that the model gives a usable answer for each of these rows."""
    try:
        predictions = predict_rows(trained.model, rows)
    except Exception as error:  # pylint: disable=broad-exception-caught  # a model is any code
        return Test(name, len(rows), len(rows), error=f"{type(error).__name__}: {error}")
    shares = predictions.filter(regex="^probability_").to_numpy()
    if shares.size:
        usable = np.isclose(shares.sum(axis=1), 1, atol=1e-3) & (shares >= 0).all(axis=1)
    elif trained.settings.problem == "regression":
        low, high = trained.train[trained.contract.target].agg(["min", "max"])
        room = settings.margin * (high - low)
        usable = predictions["prediction"].between(low - room, high + room).to_numpy()
    else:
        usable = predictions["prediction"].notna().to_numpy()
    answers = summarize_answers(select_answers(predictions))
    return Test(name, int((~usable).sum()), len(rows), answers=answers)


def run_invariance_test(test: Invariance, trained: Trained, count: int) -> Test:
    """Test that other values of the column leave the answer as it is."""
    rows, random = sample_inputs(trained, count), np.random.default_rng(trained.settings.seed)
    values, before = list_allowed_values(test.column, trained), predict_rows(trained.model, rows)
    difference = np.zeros(len(rows))
    for _ in range(TRIES):
        chosen = [values[place] for place in random.integers(0, len(values), len(rows))]
        changed = set_values(rows, {test.column: chosen}, trained.contract)
        after = predict_rows(trained.model, changed)
        difference = np.maximum(difference, measure_change(after, before, trained))
    broken = int((difference > test.largest).sum())
    answers = summarize_answers(select_answers(after))
    return Test(f"{test.column} does not matter", broken, len(rows), test.violations, answers)


def run_direction_test(test: Direction, trained: Trained, count: int) -> Test:
    """Test that more of the column moves the answer up, or down."""
    rows, name = sample_inputs(trained, count), f"more {test.column}, answer {test.effect}"
    rows = rows[rows[test.column].notna()]
    if rows.empty:
        return Test(name, 0, 0)
    before = select_answers(predict_rows(trained.model, rows), test.answer)
    raised = increase_values(rows, test, trained)
    after = select_answers(predict_rows(trained.model, raised), test.answer)
    change = (after - before) / answer_unit(trained)
    broken = int(((change if test.effect == "down" else -change) > test.tolerance).sum())
    return Test(name, broken, len(rows), test.violations, summarize_answers(after))


def sample_inputs(trained: Trained, count: int) -> pd.DataFrame:
    """Return the inputs of some held-out rows, always the same ones."""
    rows = trained.holdout[trained.contract.inputs()]
    return rows.sample(min(count, len(rows)), random_state=trained.settings.seed)


def set_values(
    rows: pd.DataFrame, values: dict[str, list[Any]], contract: Contract
) -> pd.DataFrame:
    """Return the rows with these values in some columns, repeated in turn and cast."""
    turns = range(len(rows))
    columns = {name: [items[row % len(items)] for row in turns] for name, items in values.items()}
    cast, breaches = cast_columns(pd.DataFrame(columns, dtype="object"), contract, columns)
    if breaches:
        raise ProjectError("; ".join(map(str, breaches)))
    return rows.assign(**{name: cast[name].array for name in columns})


def find_edge_values(name: str, trained: Trained) -> list[Any]:
    """Return the lowest and the highest allowed value of a column; of text all known values."""
    column, learned = trained.contract.columns[name], trained.train[name].dropna()
    if column.kind in ("category", "text"):
        return column.categories or sorted(learned.unique())[:100] or [None]
    if column.kind == "boolean":
        return [False, True]
    if column.range and column.kind in NUMBERS:
        return list(column.range)
    return [learned.min(), learned.max()] if len(learned) else [None]


def list_allowed_values(name: str, trained: Trained) -> list[Any]:
    """Return allowed values of a column; of numbers and times steps from lowest to highest."""
    values, kind = find_edge_values(name, trained), trained.contract.columns[name].kind
    if kind in NUMBERS and len(values) == 2:
        steps = np.linspace(float(values[0]), float(values[1]), STEPS)
        return [float(step) for step in (steps.round() if kind == "integer" else steps)]
    if kind == "time" and len(values) == 2:
        return list(pd.date_range(*values, periods=STEPS))
    return values


def increase_values(rows: pd.DataFrame, test: Direction, trained: Trained) -> pd.DataFrame:
    """Return the rows with larger values in a column, at most its highest allowed value.

    By default the step is a tenth of the column's range.
    """
    low, high = find_edge_values(test.column, trained)
    step = (high - low) / 10 if test.by is None else test.by
    if trained.contract.columns[test.column].kind == "integer":
        step = max(1, round(step))
    raised = np.minimum(rows[test.column].to_numpy(dtype="float64") + step, high)
    return set_values(rows, {test.column: list(raised)}, trained.contract)


def select_answers(predictions: pd.DataFrame, answer: str | None = None) -> pd.Series:
    """Return the answers as numbers: the prediction, or the probability of a class.

    By default that is the last class.  Raises ProjectError if there is no such class.
    """
    shares = predictions.filter(regex="^probability_")
    if answer is None and shares.empty:
        return pd.to_numeric(predictions["prediction"], errors="coerce")
    column = shares.columns[-1] if answer is None else f"probability_{answer}"
    if column not in shares:
        names = ", ".join(shares.columns.str.removeprefix("probability_"))
        message = f"config/behaviour.toml: answer = {answer!r}: no such class; there are {names}"
        raise ProjectError(message)
    return shares[column]


def summarize_answers(answers: pd.Series) -> tuple[float, float, float]:
    """Return the lowest, the median and the highest answer."""
    return float(answers.min()), float(answers.median()), float(answers.max())


def measure_change(one: pd.DataFrame, other: pd.DataFrame, trained: Trained) -> np.ndarray:
    """Return the difference of two answers for the same rows, in the unit of `answer_unit`.

    For classes it is the largest difference of a probability; without probabilities 1 for another
    class.
    """
    numbers = one.columns[1:] if one.shape[1] > 1 else one.columns
    if trained.settings.problem == "regression" or one.shape[1] > 1:
        change = (one[numbers] - other[numbers]).abs().max(axis=1) / answer_unit(trained)
    else:
        change = one["prediction"] != other["prediction"]
    return change.to_numpy(dtype="float64")


def answer_unit(trained: Trained) -> float:
    """Return the unit of differences: 1 for probabilities, else the training answers' spread."""
    if trained.settings.problem == "classification":
        return 1.0
    return float(trained.train[trained.contract.target].std()) or 1.0


def plot_tests(tests: list[Test], trained: Trained) -> Figure:
    """Plot the range of the answers in each test."""
    is_number = trained.settings.problem == "regression"
    scale = trained.contract.target if is_number else "probability of the last class"
    answered = [(test, test.answers) for test in tests if test.answers]
    lines = [Interval(test.name, *ends, wrong=not test.is_passed) for test, ends in answered]
    return plot_intervals("The model's answers at the edges", f"{scale}, low to high", lines)
