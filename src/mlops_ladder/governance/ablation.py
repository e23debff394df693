"""Ablation: what a feature is worth, as the score that is lost without it, and what it costs.

A model learns anew without the feature, from the same rows and with the same seed (leave one
covariate out: Lei et al., Distribution-Free Predictive Inference For Regression, 2018, section 6).
Where that takes too long the feature is shuffled instead, and the model stays (Breiman, Random
Forests, 2001, section 10): of two features that say the same, neither then looks as spare as it is.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd
from scipy.stats import t
from threadpoolctl import threadpool_limits

from mlops_ladder.data.contract import Contract
from mlops_ladder.export.runtime import as_rows
from mlops_ladder.model.prediction import LOWER_IS_BETTER, predict
from mlops_ladder.model.resampling import Draws, Measured, resampled
from mlops_ladder.model.training import build_baseline, fit, Trained
from mlops_ladder.settings import Settings

REPEATS = 5  # pairs of models: how much the score hangs on the rows that were there to learn from
PASSES, PLACES = 20, (5, 14)  # the 6th and 15th of 20 in order hold their median with 96 %
BATCH = 1000  # rows that are answered in a pass
QUICK = 2000  # rows that a model learns from which is only timed


@dataclass(frozen=True)
class Worth:
    """What one feature is worth and costs.

    `value`: the score that is lost without it, above 0 where it helps; `milliseconds` that 1,000
    rows take longer with it; `size`: its bytes in a logged row; `missing`: its share without value.
    """

    name: str
    value: Measured
    milliseconds: Measured
    size: float
    missing: float

    @property
    def verdict(self) -> str:
        """Is it worth something, does it do harm, or can neither be told from nothing?"""
        if self.value.low > 0:
            return "valuable"
        return "harmful" if self.value.high < 0 else "no value shown"


def too_slow(whole: Trained, seconds: float) -> bool:
    """Would learning anew without each feature take longer than that?"""
    return whole.seconds * REPEATS * (len(whole.contract.inputs()) + 1) > seconds


def without(contract: Contract, name: str) -> Contract:
    """The contract in which the model does not see this column."""
    unseen = contract.columns[name].model_copy(update={"role": "ignored"})
    return contract.model_copy(update={"columns": contract.columns | {name: unseen}})


def learned(rows: pd.DataFrame, contract: Contract, settings: Settings) -> Any:
    """A model of these rows; where it may see nothing at all, one that ignores the features."""
    if contract.inputs():
        return fit(rows, rows.head(1), contract, settings).model
    return build_baseline(settings).fit(rows[[contract.target]], rows[contract.target])


def answers(model: Any, rows: pd.DataFrame, contract: Contract) -> pd.DataFrame:
    """What a model of this contract says of these rows."""
    return predict(model, rows[contract.inputs() or [contract.target]])


def drawn(rows: pd.DataFrame, contract: Contract, settings: Settings, place: int) -> pd.DataFrame:
    """As many rows, drawn with replacement; of a class as many as it has."""
    chosen: Any = rows.groupby(contract.target) if settings.problem == "classification" else rows
    found: pd.DataFrame = chosen.sample(frac=1, replace=True, random_state=settings.seed + place)
    return found


def review(whole: Trained, ablated: bool) -> Iterator[Worth]:
    """What each input of the model is worth, one after the other: learned anew, or shuffled."""
    contract, settings = whole.contract, whole.settings
    sets = [drawn(whole.train, contract, settings, place) for place in range(REPEATS)]
    quick = whole.train.sample(min(len(whole.train), QUICK), random_state=settings.seed)
    quick = quick if quick[contract.target].nunique() > 1 else whole.train
    with threadpool_limits(1):  # both models of a pair have the same machine
        models = [learned(rows, contract, settings) for rows in sets] if ablated else []
        full = [scored(whole, answers(it, whole.holdout, contract)) for it in models]
        full = full or [scored(whole, whole.predictions)] * REPEATS
        timed = learned(quick, contract, settings)
        for name in contract.inputs():
            less = without(contract, name)
            said = anew(whole, sets, less) if ablated else shuffled(whole, name)
            value = lost(full, [scored(whole, it) for it in said], settings.metric)
            slower = paired(whole, timed, learned(quick, less, settings), less)
            missing = float(whole.train[name].isna().mean())
            yield Worth(name, value, slower, logged_bytes(whole, name), missing)


def anew(whole: Trained, sets: list[pd.DataFrame], less: Contract) -> Iterator[pd.DataFrame]:
    """What models that see less say of the held-out rows, each learned from a set of rows."""
    for rows in sets:
        yield answers(learned(rows, less, whole.settings), whole.holdout, less)


def shuffled(whole: Trained, name: str) -> Iterator[pd.DataFrame]:
    """What the model says of the held-out rows with the values of a column in another order."""
    random = np.random.default_rng(whole.settings.seed)
    for _ in range(REPEATS):
        mixed = whole.holdout[name].sample(frac=1, random_state=random).array
        yield answers(whole.model, whole.holdout.assign(**{name: mixed}), whole.contract)


def scored(whole: Trained, said: pd.DataFrame) -> Draws:
    """The score of what was said of the held-out rows, and of draws of them: always the same."""
    settings = whole.settings
    return resampled(settings.metric, whole.truth, {"": said}, settings.seed)[""]


def lost(full: list[Draws], less: list[Draws], metric: str) -> Measured:
    """The mean loss of score over the pairs, with a 95 % interval.

    Both kinds of chance are in it, as independent ones: which rows were held out, by the paired
    bootstrap, and which were there to learn from, by the spread of the pairs (Student's t).
    """
    sign = -1 if metric in LOWER_IS_BETTER else 1
    pairs = [more - fewer for more, fewer in zip(full, less, strict=True)]
    wholes = np.array([it.whole for it in pairs])
    mean = Draws(float(wholes.mean()), np.mean([it.drawn for it in pairs], axis=0), full[0].scale)
    held = mean.around(sign * mean.whole, sign)
    kept = t.ppf(0.975, len(pairs) - 1) * wholes.std(ddof=1) / len(pairs) ** 0.5
    low, high = (float(np.hypot(edge - held.value, kept)) for edge in (held.low, held.high))
    return Measured(held.value, held.value - low, held.value + high)


def paired(whole: Trained, more: Any, fewer: Any, less: Contract) -> Measured:
    """How much longer 1,000 rows take with a feature, in ms: the median of pairs of passes."""
    short = len(whole.holdout) < BATCH
    rows = whole.holdout.sample(BATCH, replace=short, random_state=whole.settings.seed)
    asked = ((more, whole.contract), (fewer, less))
    found = []
    for _ in range(PASSES):
        ends = [time.perf_counter()]
        for model, contract in asked:
            answers(model, rows, contract)
            ends.append(time.perf_counter())
        found.append(1000 * ((ends[1] - ends[0]) - (ends[2] - ends[1])))
    low, high = (sorted(found)[place] for place in PLACES)
    return Measured(float(np.median(found)), low, high)


def logged_bytes(whole: Trained, name: str) -> float:
    """How many bytes the column takes in a row of the prediction log, on average."""
    rows = as_rows(whole.holdout[[name]].head(BATCH))
    sizes = [len(orjson.dumps(row, default=str)) - 1 for row in rows]  # a brace, the other a comma
    return float(np.mean(sizes))
