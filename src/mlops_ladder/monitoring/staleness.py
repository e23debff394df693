"""Staleness: how a model gets worse with age, and at which age it is too old.

Models that end at several cut points are scored on the slices of time after them.  Of two models
on the same slice only the age differs: so a hard season is not taken for age.
"""

import json
import time
from collections.abc import Iterable
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
from mlops_ladder.monitoring import training_reference
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings, Settings

REPORT, PICTURE = Path("reports/staleness.json"), Path("reports/staleness.png")
SLICES = 8  # of time, of as many rows each; the first three are learned from by every model
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
    """What `per_day` costs a model in its metric, beside a fresh one that reaches `fresh`.

    It is too old after `max_age_days`, where it falls below `limit`; no older than `tried`.
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
    """The score of each model on each slice after its cut; those that are defined.

    `rows` as of `training.prepare_training_rows`, with a time column.
    """
    at = contract.names("time")[0]
    ordered = rows[rows[at].notna()].sort_values(at, kind="stable")
    slices = [ordered.iloc[part] for part in np.array_split(np.arange(len(ordered)), SLICES)]
    with open_executor(settings) as executor:
        found = list(executor.map(tested, range(FIRST, SLICES), slices, contract, settings))
    return [point for points in found for point in points if isfinite(point.value)]


def tested(
    cut: int, slices: list[pd.DataFrame], contract: Contract, settings: Settings
) -> list[Point]:
    """The score of the model that ends at this cut on each later slice."""
    at = contract.names("time")[0]
    aged = fit_model(pd.concat(slices[:cut]), pd.concat(slices[cut:]), contract, settings)
    ended = slices[cut - 1][at].iloc[-1]
    ages = {it: float((slices[it][at] - ended).mean() / DAY) for it in range(cut, SLICES)}
    return [Point(cut, it, age, scored(aged, slices[it])) for it, age in ages.items()]


def scored(aged: Trained, rows: pd.DataFrame) -> float:
    """The metric of a model on these rows."""
    said = predict_rows(aged.model, rows[aged.contract.inputs()])
    found = compute_scores(aged.settings.problem, rows[aged.contract.target], said)
    return found[aged.settings.metric]


def slope(points: Iterable[Point]) -> float:
    """What a day of age adds to the metric, by least squares within each slice.

    Raises ProjectError where no slice was scored at two ages.
    """
    table = pd.DataFrame([asdict(point) for point in points])
    columns = table[["age", "value"]]
    apart = columns - columns.groupby(table["slice"]).transform("mean")
    spread = float((apart["age"] ** 2).sum())
    if not spread:
        raise ProjectError("staleness: no slice of time was scored at two ages; bring more rows")
    return float((apart["age"] * apart["value"]).sum() / spread)


def limit(trained: Trained) -> tuple[float, str]:
    """The worst value of the metric that is still good enough, and why it is.

    The floor of `config/gate.toml`; without one, the worse end of the interval of a fresh model,
    but nothing that is worse than the baseline.
    """
    settings, name = trained.settings, trained.settings.metric
    if name in settings.gate.floors:
        return settings.gate.floors[name], "gate.floors"
    lower = name in LOWER_IS_BETTER
    span = compute_intervals(settings.problem, trained.truth, trained.predictions, settings.seed)[
        name
    ]
    found, baseline = span[1 if lower else 0], trained.baseline_scores[name]
    if not isfinite(found) or (found > baseline if lower else found < baseline):
        return baseline, "the baseline"
    return found, "the interval of a fresh model"


def decay(points: list[Point], trained: Trained) -> Decay:
    """The age at which the metric, falling as in the backtest, is at its limit.

    Never more than the oldest model that was tried: beyond that nothing is known.
    """
    name, per_day = trained.settings.metric, slope(points)
    fresh, (worst, why) = trained.scores[name], limit(trained)
    tried = max(point.age for point in points)
    away = (fresh - worst) * (-1 if name in LOWER_IS_BETTER else 1)
    loss = per_day * (1 if name in LOWER_IS_BETTER else -1)
    age = tried if loss <= 0 else min(tried, max(away, 0) / loss)
    return Decay(name, fresh, worst, why, per_day, tried, max(age, 0.1), points)


def picture(found: Decay) -> Figure:
    """The loss of each model beside the freshest one on the same slice, by age."""
    figure = create_figure(7, 4.5)
    axes = figure.add_subplot()
    table = pd.DataFrame([asdict(point) for point in found.points])
    ages, values = table["age"], table["value"]
    part = table["slice"]
    level = (values - found.per_day * ages).groupby(part).transform("mean")
    axes.scatter(ages, found.fresh + values - level, c=part, cmap="viridis", s=30)
    line = np.array([0, found.tried])
    axes.plot(line, found.fresh + found.per_day * line, color="black", label="fitted")
    axes.axhline(found.limit, color="tab:red", linestyle="--", label=f"limit: {found.why}")
    axes.axvline(found.max_age_days, color="tab:red", label=f"too old: {found.max_age_days:.0f} d")
    axes.set(
        title="How the model gets worse with age, the same slice of time compared",
        xlabel="days between the last row learned from and the rows",
        ylabel=f"{found.metric}, as on the held-out rows",
    )
    axes.legend()
    return figure


def write(found: Decay) -> None:
    """Write the report and its picture."""
    write_file_atomically(REPORT, json.dumps(asdict(found), indent=2) + "\n")
    picture(found).savefig(PICTURE, dpi=120)


def told(found: Decay, held: float, settings: Settings) -> str:
    """What was found, for a person; a champion is `held` days old already when it is trained."""
    age, now = found.max_age_days, settings.staleness.max_age_days
    per_month = f"{found.per_day * 30:+.3g} in 30 days"
    seen = " (no older model was tried)" if age == found.tried else ""
    return (
        f"{found.metric}: {per_month}; {found.fresh:.4g} when fresh, at its limit of"
        f" {found.limit:.4g} ({found.why}) after {age:.0f} days{seen}\n"
        f"Wrote {REPORT} and {PICTURE}.  The newest {held:.0f} days are held out of a training, so"
        f" set in config/staleness.toml, where it says {now:g}:\n"
        f"[staleness]\nmax_age_days = {max(age - held, 0.1):.1f}"
    )


def main(
    fail: Annotated[
        bool, typer.Option("--fail", help="exit 1 where the champion is too old")
    ] = False,
) -> None:
    """Derive how old the champion may get, and say how old it is."""
    settings, contract = load_settings(), read_contract()
    if contract.names("time"):
        rows = prepare_training_rows(read_data(settings), contract, settings)
        learned, newest = split_holdout(rows, contract, settings)
        trained, at = fit_model(learned, newest, contract, settings), contract.names("time")[0]
        found = decay(backtest(rows, contract, settings), trained)
        write(found)
        held = float((newest[at].max() - learned[at].max()) / DAY)
        print(told(found, max(held, 0.0), settings))
    else:
        print("No column says the time, so how the model ages cannot be judged from the data")
    most = settings.staleness.max_age_days
    age = (time.time() - training_reference.champion_facts()["trained_at"]) / 86400
    print(f"The champion is {age:.1f} days old; staleness.max_age_days = {most:g}")
    if age > most and fail:
        raise ProjectError(f"the champion is {age:.1f} days old, more than {most:g}: train again")
