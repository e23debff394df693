"""Losses: is the live quality worse than what was promised, beyond what chance explains?

Each score is compared by the normal distribution of its difference from the promise, with the
standard errors of the bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapters 6 and 13), as the gate does with slices.  A bias, the mean of what was wrong, is compared
by Welch's test (Biometrika 34, 1947): it shows that the answers have changed, not the rows alone.
How many comparisons there are is allowed for (Holm, Scandinavian Journal of Statistics 6, 1979).

The window is fixed, so the stated share of false alarms is that of single reports: of overlapping
ones several may be false at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import hypot, isfinite, nan, sqrt
from statistics import NormalDist

import numpy as np
import pandas as pd

from mlops_ladder.data.contract import Contract
from mlops_ladder.model.prediction import LOWER_IS_BETTER
from mlops_ladder.model.resampling import bootstrap_scores, Draws
from mlops_ladder.model.training import Trained
from mlops_ladder.monitoring.joining import Joined, Promise
from mlops_ladder.registry.checks import apply_holm, read_check_settings, slices
from mlops_ladder.registry.gate_checks import CheckContext
from mlops_ladder.settings import Settings

RESAMPLES = 200  # enough for a standard error, says chapter 6
SURE = NormalDist().inv_cdf(0.975)  # standard errors to the end of a 95 % interval
ALL = "all rows"


@dataclass(frozen=True)
class Loss:
    """A score of some rows with its 95 % interval, beside what was promised of such rows.

    `p`: how likely it would be this far off by chance; 1 where nothing was promised.
    """

    name: str
    metric: str
    rows: int
    value: float
    low: float
    high: float
    promised: float
    p: float
    degraded: bool = False


def losses(live: Joined, promised: Promise, settings: Settings) -> list[Loss]:
    """The score overall, each bias, and the score of each slice; which of them are worse.

    Half of the false alarms is for all rows, the other half for the slices.
    """
    whole = [scored(live, promised, settings), *biases(live, promised, settings)]
    parts = list(of_slices(live, promised, settings))
    share = settings.quality.false_alarms / 2
    return [*judged(whole, share), *judged(parts, share)]


def judged(found: list[Loss], alarms: float) -> list[Loss]:
    """The same, those marked that are worse by more than chance, however many there are."""
    marks = apply_holm([it.p for it in found], alarms)
    return [replace(it, degraded=mark) for it, mark in zip(found, marks, strict=True)]


def drawn(metric: str, truth: pd.Series, said: pd.DataFrame, seed: int) -> Draws:
    """A metric on draws of some rows."""
    rows = truth.reset_index(drop=True), said.reset_index(drop=True)
    return bootstrap_scores(metric, rows[0], {"": rows[1]}, seed, RESAMPLES)[""]


def scored(live: Joined, promised: Promise, settings: Settings) -> Loss:
    """The metric of `config.toml` on all rows."""
    metric, target = settings.metric, promised.champion.contract.target
    mine = drawn(metric, live.rows[target], live.said, settings.seed)
    held = drawn(metric, promised.truth, promised.said, settings.seed + 1)
    found = Loss(ALL, metric, len(live.rows), *around(mine), held.whole, 1)
    error = hypot(slices.standard_error(mine), slices.standard_error(held))
    return replace(found, p=chance(found, error, settings.quality.allowed))


def around(draws: Draws) -> tuple[float, float, float]:
    """A score, and both ends of its interval."""
    error = SURE * slices.standard_error(draws)
    return draws.whole, draws.whole - error, draws.whole + error


def chance(it: Loss, error: float, allowed: float) -> float:
    """How likely a score is so much worse than promised, and than allowed, by chance."""
    sign = -1 if it.metric in LOWER_IS_BETTER else 1
    room = sign * (it.value - it.promised) + allowed * abs(it.promised)
    if not isfinite(room) or not isfinite(error):
        return 1.0
    if error == 0:
        return 1.0 if room >= 0 else 0.0
    return NormalDist().cdf(room / error)


def wrong(truth: pd.Series, said: pd.DataFrame, problem: str) -> Iterator[tuple[str, np.ndarray]]:
    """What was wrong in each row: of a number by how much, of a class by what probability.

    Of two classes the second one; of a model that gives no probabilities nothing.
    """
    if problem == "regression":
        yield "bias", (truth - said["prediction"]).to_numpy("float64")
        return
    shares = said.filter(regex="^probability_")
    for name in shares.columns[1:] if shares.shape[1] == 2 else shares.columns:
        label = name.removeprefix("probability_")
        hit = (truth.astype(str) == label).to_numpy("float64")
        yield f"bias: {label}", hit - shares[name].to_numpy("float64")


def biases(live: Joined, promised: Promise, settings: Settings) -> Iterator[Loss]:
    """By how much the answers are above what was predicted, on average, beside the promise."""
    target = promised.champion.contract.target
    before = dict(wrong(promised.truth, promised.said, settings.problem))
    for name, now in wrong(live.rows[target], live.said, settings.problem):
        if len(now) > 1 and len(then := before.get(name, now[:0])) > 1:
            yield bias(name, now, then, settings.quality.effect)


def bias(name: str, now: np.ndarray, then: np.ndarray, effect: float) -> Loss:
    """A bias beside the promised one; what is smaller than `effect` is no loss, however sure."""
    value, held, spreads = now.mean(), then.mean(), (now.std(ddof=1), then.std(ddof=1))
    mine, error = spreads[0] / sqrt(len(now)), hypot(*(spreads / np.sqrt([len(now), len(then)])))
    away = abs(value - held)
    p = 2 * NormalDist().cdf(-away / error) if error else float(value == held)
    if away < effect * hypot(*spreads) / sqrt(2):
        p = 1.0
    low, high = float(value - SURE * mine), float(value + SURE * mine)
    return Loss(ALL, name, len(now), float(value), low, high, float(held), p)


def of_slices(live: Joined, promised: Promise, settings: Settings) -> Iterator[Loss]:
    """The score of each slice with rows enough, by `config/slices.toml`."""
    contract = promised.champion.contract
    told = read_check_settings("slices", slices, contract)
    about = asked(live, promised, settings)
    for part in slices.select_slices(about, inside(told, live.rows, contract)):
        if part.rows.sum() >= part.min_n:
            yield of_slice(part, live, promised, settings)


def of_slice(part: slices.SliceRows, live: Joined, promised: Promise, settings: Settings) -> Loss:
    """The score of one slice."""
    truth = live.rows.loc[part.rows, promised.champion.contract.target]
    mine = drawn(settings.metric, truth, live.said[part.rows], settings.seed)
    score, low, high = promised.slices.get(part.name, (nan,) * 3)
    found = Loss(part.name, settings.metric, len(truth), *around(mine), score, 1)
    error = hypot(slices.standard_error(mine), (high - low) / 2 / SURE)
    return replace(found, p=chance(found, error, settings.quality.allowed))


def inside(told: slices.Settings, rows: pd.DataFrame, contract: Contract) -> slices.Settings:
    """The same slices, but for those of columns that the service is not asked about."""
    inputs, columns = contract.inputs(), told.columns
    if columns is None:
        counts = {it: rows[it].dropna().astype("str").nunique() for it in inputs}
        known = [it for it in slices.list_slice_columns(contract) if it in inputs]
        columns = [it for it in known if 1 < counts[it] <= told.most_values]
    changes = {
        "columns": [name for name in columns if name in inputs],
        "slices": [it for it in told.slices if it.column in inputs],
    }
    return told.model_copy(update=changes)


def asked(live: Joined, promised: Promise, settings: Settings) -> CheckContext:
    """The live rows as the gate's questions see the rows held out."""
    learned, contract = live.rows.iloc[:0], promised.champion.contract
    trained = Trained(settings, contract, None, learned, live.rows, live.said, live.said, seconds=0)
    return CheckContext(trained)
