"""Staleness: how a model gets worse with age, and at which age it is too old.

Models that end at several cut points are scored on the slices of time after them.  Two models on
the same slice differ in age alone, so a hard season is not taken for age.
"""

import json
import time
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from matplotlib.figure import Figure

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.model.evaluation import compute_intervals
from mlops_ladder.model.figures import create_figure
from mlops_ladder.model.prediction import compute_scores, LOWER_IS_BETTER, predict_rows
from mlops_ladder.model.study import open_executor
from mlops_ladder.model.training import fit_model, prepare_training_rows, split_holdout, Trained
from mlops_ladder.monitoring.training_reference import read_champion_facts
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings, Settings

REPORT, PICTURE = Path("reports/staleness.json"), Path("reports/staleness.png")
SLICES = 8  # of time, of as many rows each; the first three are in every training
FIRST = 3
DAY = pd.Timedelta(days=1)


@dataclass(frozen=True)
class Point:
    """The score of the model that ends at a cut on a slice, whose rows are `age` days after it."""

    cut: int
    slice: int
    age: float
    value: float


@dataclass(frozen=True)
class Decay:
    """The loss of a model in its metric per day, from `fresh` on.

    After `max_age_days` it reaches `limit` and is too old; `tried` is the oldest age of the points.
    """

    metric: str
    fresh: float
    limit: float
    why: str
    per_day: float
    tried: float
    max_age_days: float
    points: list[Point]


def backtest(rows: pd.DataFrame, contract: Contract, settings: Settings) -> list[Point]:
    """Return the score of each model on each slice after its cut, if it is defined.

    Args:
        rows: The rows of the training, with a time column.
        contract: The contract of the data.
        settings: The settings of the training.
    """
    at = contract.names("time")[0]
    ordered = rows[rows[at].notna()].sort_values(at, kind="stable")
    slices = [ordered.iloc[part] for part in np.array_split(np.arange(len(ordered)), SLICES)]
    with open_executor(settings) as executor:
        scores = executor.map(score_slices, range(FIRST, SLICES), slices, contract, settings)
        return [point for points in scores for point in points if isfinite(point.value)]


def score_slices(
    cut: int, slices: list[pd.DataFrame], contract: Contract, settings: Settings
) -> list[Point]:
    """Return the score of the model that ends at this cut on each later slice.

    Args:
        cut: The number of slices that the model is trained on.
        slices: All slices, the oldest first.
        contract: The contract of the data.
        settings: The settings of the training.
    """
    at, target = contract.names("time")[0], contract.target
    trained = fit_model(pd.concat(slices[:cut]), pd.concat(slices[cut:]), contract, settings)
    end, points = slices[cut - 1][at].iloc[-1], []
    for number, rows in enumerate(slices[cut:], start=cut):
        predictions = predict_rows(trained.model, rows[contract.inputs()])
        scores = compute_scores(settings.problem, rows[target], predictions)
        age = float((rows[at] - end).mean() / DAY)
        points.append(Point(cut, number, age, scores[settings.metric]))
    return points


def fit_slope(points: list[Point]) -> float:
    """Return the change of the metric per day of age, by least squares within each slice.

    Raises ProjectError if no slice was scored at two ages.
    """
    table = pd.DataFrame(points)[["slice", "age", "value"]]
    ages, values = (table - table.groupby("slice").transform("mean"))[["age", "value"]].to_numpy().T
    if not ages.any():
        raise ProjectError("staleness: no slice of time was scored at two ages; bring more rows")
    return float(ages @ values / (ages @ ages))


def find_limit(trained: Trained) -> tuple[float, str]:
    """Return the worst value of the metric that is good enough, and the reason.

    It is the floor of `config/gate.toml`; without one, the worse end of the interval of a fresh
    model, or the baseline if that is better.
    """
    settings, name = trained.settings, trained.settings.metric
    if name in settings.gate.floors:
        return settings.gate.floors[name], "gate.floors"
    sign = -1 if name in LOWER_IS_BETTER else 1
    rows = trained.truth, trained.predictions
    low, high = compute_intervals(settings.problem, *rows, settings.seed)[name]
    worse, baseline = high if sign < 0 else low, trained.baseline_scores[name]
    if not isfinite(worse) or sign * worse < sign * baseline:
        return baseline, "the baseline"
    return worse, "the interval of a fresh model"


def estimate_decay(points: list[Point], trained: Trained) -> Decay:
    """Return the age at which the metric reaches its limit, if it falls as in the backtest.

    It is never above the age of the oldest model of the backtest.
    """
    name, per_day = trained.settings.metric, fit_slope(points)
    fresh, (limit, why) = trained.scores[name], find_limit(trained)
    tried = max(point.age for point in points)
    sign = -1 if name in LOWER_IS_BETTER else 1
    loss, room = -sign * per_day, max(sign * (fresh - limit), 0)
    age = min(tried, room / loss) if loss > 0 else tried
    return Decay(name, fresh, limit, why, per_day, tried, max(age, 0.1), points)


def draw_decay(decay: Decay) -> Figure:
    """Draw the score of each model by age, as it would be on the held-out rows."""
    figure = create_figure(7, 4.5)
    axes = figure.add_subplot()
    table = pd.DataFrame(decay.points)
    ages, values, part = table["age"], table["value"], table["slice"]
    level = (values - decay.per_day * ages).groupby(part).transform("mean")
    axes.scatter(ages, decay.fresh + values - level, c=part, cmap="viridis", s=30)
    line = np.array([0, decay.tried])
    axes.plot(line, decay.fresh + decay.per_day * line, color="black", label="fitted")
    axes.axhline(decay.limit, color="tab:red", linestyle="--", label=f"limit: {decay.why}")
    axes.axvline(decay.max_age_days, color="tab:red", label=f"too old: {decay.max_age_days:.0f} d")
    axes.set_title("How the model gets worse with age, the same slice of time compared")
    axes.set_xlabel("days between the last row of the training and the rows")
    axes.set_ylabel(f"{decay.metric}, as on the held-out rows")
    axes.legend()
    return figure


def format_decay(decay: Decay, holdout_days: float, settings: Settings) -> str:
    """Return the result for a person.

    Args:
        decay: The result.
        holdout_days: The age of a champion when it is trained, because newer rows are held out.
        settings: The age that is configured.
    """
    age, now = decay.max_age_days, settings.staleness.max_age_days
    seen = " (no older model was tried)" if age == decay.tried else ""
    return (
        f"{decay.metric}: {decay.per_day * 30:+.3g} in 30 days; {decay.fresh:.4g} when fresh,"
        f" at its limit of {decay.limit:.4g} ({decay.why}) after {age:.0f} days{seen}\n"
        f"Wrote {REPORT} and {PICTURE}.  The newest {holdout_days:.0f} days are held out of a"
        f" training, so set in config/staleness.toml, where it says {now:g}:\n"
        f"[staleness]\nmax_age_days = {max(age - holdout_days, 0.1):.1f}"
    )


def main(
    fail: Annotated[bool, typer.Option("--fail", help="exit 1 if the champion is too old")] = False,
) -> None:
    """Derive the largest age of a champion from the data, and print the age of this one."""
    settings, contract = load_settings(), read_contract()
    if contract.names("time"):
        rows = prepare_training_rows(read_data(settings), contract, settings)
        train, holdout = split_holdout(rows, contract, settings)
        trained, at = fit_model(train, holdout, contract, settings), contract.names("time")[0]
        decay = estimate_decay(backtest(rows, contract, settings), trained)
        write_file_atomically(REPORT, json.dumps(asdict(decay), indent=2) + "\n")
        draw_decay(decay).savefig(PICTURE, dpi=120)
        holdout_days = float((holdout[at].max() - train[at].max()) / DAY)
        print(format_decay(decay, max(holdout_days, 0.0), settings))
    else:
        print("No column says the time, so how the model ages cannot be judged from the data")
    most = settings.staleness.max_age_days
    age = (time.time() - read_champion_facts()["trained_at"]) / 86400
    print(f"The champion is {age:.1f} days old; staleness.max_age_days = {most:g}")
    if age > most and fail:
        raise ProjectError(f"the champion is {age:.1f} days old, more than {most:g}: train again")
