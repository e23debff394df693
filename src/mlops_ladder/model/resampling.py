"""Resampling: scores of several models on the same bootstrap draws of the held-out rows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isfinite, nan

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from mlops_ladder.model.prediction import METRICS

RESAMPLES = 500
MAX_ROWS = 20_000  # a sample of more rows shows the spread in a second instead of minutes
Scorer = Callable[[np.ndarray], float]


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; NaN if it has none."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        sure = isfinite(self.low)
        between = f" ({self.low:z.4g} to {self.high:z.4g})" if sure else ""
        return f"{self.value:z.4g}{between}"


@dataclass(frozen=True)
class Draws:
    """A metric of one model, or the difference of two: on all rows, and on each draw."""

    whole: float
    drawn: np.ndarray
    scale: float

    def __sub__(self, other: "Draws") -> "Draws":
        return Draws(self.whole - other.whole, self.drawn - other.drawn, self.scale)

    def interval(self, value: float, sign: int = 1) -> Estimate:
        """Return a value with its percentile interval; none if many draws are undefined."""
        away = sign * (self.drawn - self.whole)
        away = away[np.isfinite(away)]
        if len(away) < 0.9 * len(self.drawn) or not isfinite(value):
            return Estimate(value, nan, nan)
        low, high = value + self.scale * np.quantile(away, [0.025, 0.975])
        return Estimate(value, float(low), float(high))


def bootstrap_scores(
    metric: str,
    truth: pd.Series,
    predictions: Mapping[str, pd.DataFrame],
    seed: int,
    resamples: int = RESAMPLES,
) -> dict[str, Draws]:
    """Return the metric of each model on 500 common draws of the rows: the paired bootstrap.

    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16.  Of more than
    MAX_ROWS rows a part is drawn from, and the spread scaled by the root of its share.
    """
    random, rows = np.random.default_rng(seed), min(len(truth), MAX_ROWS)
    part = np.arange(rows)
    if rows < len(truth):
        part = random.choice(len(truth), rows, replace=False)
    some, tables = truth.iloc[part], predictions.items()
    scorers = {name: make_scorer(metric, some, table.iloc[part]) for name, table in tables}
    draws = np.empty((len(scorers), resamples))
    with threadpool_limits(1):  # threads cost more than they save on a sum of some thousand numbers
        for column in range(resamples):
            times = np.bincount(random.integers(0, rows, rows), minlength=rows).astype("float64")
            draws[:, column] = [scored(times) for scored in scorers.values()]
    scale, once = (rows / len(truth)) ** 0.5, np.ones(rows)
    pairs = zip(scorers.items(), draws, strict=True)
    return {name: Draws(scored(once), drawn, scale) for (name, scored), drawn in pairs}


def make_scorer(metric: str, truth: pd.Series, predicted: pd.DataFrame) -> Scorer:
    """Return a function from the draw counts of the rows to the metric."""
    if metric == "roc_auc":
        return make_weighted_roc_auc(truth, predicted.filter(regex="^probability_"))
    if metric in METRICS["classification"]:
        hit = (truth == predicted["prediction"]).to_numpy(dtype="float64")
        groups = truth.factorize()[0] if metric == "balanced_accuracy" else np.zeros_like(hit, int)
        return partial(compute_weighted_accuracy, hit, groups)
    error = (truth - predicted["prediction"]).to_numpy(dtype="float64")
    if metric == "mae":
        error = np.abs(error)
        return lambda times: float(times @ error / times.sum())
    error = error**2
    if metric == "rmse":
        return lambda times: float(np.sqrt(times @ error / times.sum()))
    return partial(compute_weighted_r2, truth.to_numpy(dtype="float64"), error)


def compute_weighted_r2(answers: np.ndarray, error: np.ndarray, times: np.ndarray) -> float:
    """Return R² for draw counts of the rows; NaN if the targets are all equal."""
    away = answers - np.average(answers, weights=times)
    spread = times @ away**2
    return float(1 - times @ error / spread) if spread > 1e-9 * (answers @ answers) else nan


def compute_weighted_accuracy(hit: np.ndarray, groups: np.ndarray, times: np.ndarray) -> float:
    """Return the share of hits for draw counts of the rows, averaged over drawn groups."""
    drawn = np.bincount(groups, times)
    return float(np.mean(np.bincount(groups, times * hit)[drawn > 0] / drawn[drawn > 0]))


def make_weighted_roc_auc(truth: pd.Series, probabilities: pd.DataFrame) -> Scorer:
    """Return a function from draw counts to the ROC AUC; rows are sorted once for all draws.

    It is the share of pairs in which the positive row has the higher probability; ties count half
    (Hanley and McNeil, Radiology 143, 1982).
    """
    if probabilities.shape[1] != 2:
        return lambda times: nan
    label = probabilities.columns[-1].removeprefix("probability_")
    order = np.argsort(probabilities.iloc[:, -1].to_numpy(), kind="stable")
    values = probabilities.iloc[:, -1].to_numpy()[order]
    positive = (truth.astype(str) == label).to_numpy()[order].astype("float64")
    starts = np.flatnonzero(np.diff(values, prepend=np.nan) != 0)  # where equal values begin

    def scored(times: np.ndarray) -> float:
        drawn = times[order]
        hits = np.add.reduceat(drawn * positive, starts)
        others = np.add.reduceat(drawn * (1 - positive), starts)
        below = np.cumsum(others) - others / 2
        pairs = hits.sum() * others.sum()
        return float(hits @ below / pairs) if pairs else nan

    return scored
