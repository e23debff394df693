"""Slices: is the model good for each part of the rows, or only on average?

In each slice with enough rows the model is compared with the champion, and with the floor or else
the baseline: by the metric of `config.toml`, on the same rows.  It is refused if it is worse in one
slice by more than is allowed and than chance explains.  The gain's standard error is that of the
paired bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and 13).
Its p-value is that of the normal distribution; `apply_holm` allows for the number of comparisons.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pydantic import Field

from mlops_ladder.data.contract import Contract
from mlops_ladder.model.prediction import LOWER_IS_BETTER
from mlops_ladder.model.resampling import bootstrap_scores, Draws
from mlops_ladder.registry.checks import apply_holm, CheckSettings, compute_chance
from mlops_ladder.registry.checks import find_unknown_columns
from mlops_ladder.registry.checks.interval_plot import Interval, plot_intervals
from mlops_ladder.registry.gate_checks import CheckContext, CheckResult
from mlops_ladder.strict_model import StrictModel

RESAMPLES = 200  # enough for a standard error, by chapter 6
LIMITS = {"min_n", "floor", "max_regression"}


class Slice(StrictModel):
    """Rows by one column: these values, or numbers from `low` up to but not including `high`.

    Further keys override those for all slices.
    """

    column: str
    name: str = ""
    values: list[str] | None = None
    low: float | None = None
    high: float | None = None
    min_n: int | None = Field(default=None, ge=2)
    floor: float | None = None
    max_regression: float | None = Field(default=None, ge=0)


class Settings(CheckSettings):
    """The slices, and the limits for all of them.

    `max_regression` is a share of the score that the model is compared with.  Without `columns`,
    each value of a category, a boolean or a group is a slice, if a column has no more than
    `most_values`.
    """

    min_n: int = Field(default=100, ge=2)
    floor: float | None = None
    max_regression: float = Field(default=0.05, ge=0)
    most_values: int = Field(default=20, ge=2)
    columns: list[str] | None = None
    slices: list[Slice] = []

    def find_faults(self, contract: Contract) -> list[str]:
        """Return the columns that the contract lacks."""
        names = [*(self.columns or []), *(declared.column for declared in self.slices)]
        return find_unknown_columns(names, contract)


@dataclass(frozen=True)
class SliceRows:
    """The rows of a slice, and its limits."""

    name: str
    rows: np.ndarray
    min_n: int
    floor: float | None
    max_regression: float


def check_candidate(context: CheckContext, settings: Settings) -> CheckResult:
    """Check that in no slice the model is worse than champion, baseline or floor, beyond chance."""
    slices, metric = select_slices(context, settings), context.trained.settings.metric
    scored = [score_slice(context, part) for part in slices if part.rows.sum() >= part.min_n]
    small = {part.name: int(part.rows.sum()) for part in slices if part.rows.sum() < part.min_n}
    compared = [other for row in scored for other in row["against"].values()]
    for other, mark in zip(compared, apply_holm([one["p"] for one in compared]), strict=True):
        other["worse"] = mark
    evidence = {"metric": metric, "slices": scored, "too small": small}
    if not compared:
        message = f"none of {len(slices)} slices has enough rows, {settings.min_n} by default"
        return CheckResult("not enough rows", message, evidence)
    failures = []
    for row in scored:
        about = f"{row['slice']} ({row['n']:,} rows): {row['score']:.4g} against"
        worse = {name: other for name, other in row["against"].items() if other["worse"]}
        failures += [f"{about} {name} {other['score']:.4g}" for name, other in worse.items()]
    plot = plot_slices(scored, metric)
    if failures:
        message = f"{len(failures)} of {len(compared)} comparisons failed: {'; '.join(failures)}"
        return CheckResult("refused", message, evidence, plot)
    message = f"{len(scored)} slices, each as good as it has to be; {len(small)} with too few rows"
    return CheckResult("passed", message, evidence, plot)


def select_slices(context: CheckContext, settings: Settings) -> list[SliceRows]:
    """Return the slices of the held-out rows: one for each value, and the declared ones."""
    singles, inferred = [], list_slice_columns(context.trained.contract)
    for column in inferred if settings.columns is None else settings.columns:
        values = sorted(context.column(column).dropna().astype("str").unique())
        if settings.columns is not None or 1 < len(values) <= settings.most_values:
            singles += [Slice(column=column, values=[value]) for value in values]
            singles += [Slice(column=column, name=f"{column} missing", values=[])]
    slices = [select_rows(context, declared, settings) for declared in [*singles, *settings.slices]]
    return [part for part in slices if part.rows.any()]


def list_slice_columns(contract: Contract) -> list[str]:
    """Return the columns that make slices by default."""
    kinds = ("category", "boolean", "text")
    names = contract.names("feature", "group")
    return [name for name in names if contract.columns[name].kind in kinds]


def select_rows(context: CheckContext, declared: Slice, settings: Settings) -> SliceRows:
    """Return the rows of a slice; without values and bounds those with a missing value."""
    values = context.column(declared.column)
    if declared.low is not None or declared.high is not None:
        low = -np.inf if declared.low is None else declared.low
        high = np.inf if declared.high is None else declared.high
        rows, label = (values >= low) & (values < high), f"{low:g} to {high:g}"
    elif declared.values:
        rows = values.notna() & values.astype("str").isin(declared.values)
        label = ", ".join(declared.values)
    else:
        rows, label = values.isna(), "missing"
    limits = settings.model_dump(include=LIMITS)
    limits |= declared.model_dump(include=LIMITS, exclude_none=True)
    name = declared.name or f"{declared.column} = {label}"
    return SliceRows(name, rows.to_numpy(dtype=bool), **limits)


def score_slice(context: CheckContext, part: SliceRows) -> dict[str, Any]:
    """Return the score of a slice with its 95 % interval, and each comparison with its p-value."""
    trained = context.trained
    champion = {} if context.champion is None else {"champion": context.champion}
    models = {"model": trained.predictions, "baseline": trained.baseline} | champion
    predictions = {name: rows[part.rows] for name, rows in models.items()}
    metric, seed = trained.settings.metric, trained.settings.seed
    draws = bootstrap_scores(metric, trained.truth[part.rows], predictions, seed, RESAMPLES)
    mine = draws.pop("model")
    if part.floor is not None:
        del draws["baseline"]
        draws["floor"] = Draws(part.floor, np.full(RESAMPLES, part.floor), 1)
    sign = -1 if metric in LOWER_IS_BETTER else 1
    against = {
        name: compare_draws(mine, other, sign, 0 if name == "floor" else part.max_regression)
        for name, other in draws.items()
        if isfinite(standard_error(mine - other))
    }
    low, high = (mine.whole + step * standard_error(mine) for step in (-1.96, 1.96))
    score = {"slice": part.name, "n": int(part.rows.sum()), "score": mine.whole}
    return score | {"low": low, "high": high, "against": against}


def compare_draws(mine: Draws, other: Draws, sign: int, allowed: float) -> dict[str, Any]:
    """Return the gain over another model, and the p-value of a loss above the allowed share."""
    gain, error = sign * (mine.whole - other.whole), standard_error(mine - other)
    chance = compute_chance(gain + allowed * abs(other.whole), error)
    return {"score": other.whole, "gain": gain, "error": error, "p": chance}


def standard_error(draws: Draws) -> float:
    """Return the standard error; NaN if the metric is not defined on all rows or most draws."""
    scores = draws.drawn[np.isfinite(draws.drawn)]
    if not isfinite(draws.whole) or len(scores) < 0.9 * len(draws.drawn):
        return float("nan")
    return float(draws.scale * scores.std(ddof=1))


def plot_slices(scored: list[dict[str, Any]], metric: str) -> Figure:
    """Plot the score of each slice with its interval beside the others' scores, the worst first."""

    def find_least_p(row: dict[str, Any]) -> float:
        return min((other["p"] for other in row["against"].values()), default=1)

    intervals = []
    for row in sorted(scored, key=find_least_p):
        name, others = f"{row['slice'][:40]}  ({row['n']:,})", row["against"]
        scores = {other: comparison["score"] for other, comparison in others.items()}
        wrong = any(comparison["worse"] for comparison in others.values())
        intervals.append(Interval(name, row["low"], row["score"], row["high"], wrong, scores))
    return plot_intervals("The score in each slice", f"{metric}, 95 % interval", intervals)
