"""Slices: is the model good for each part of the rows, or only on average?

In each slice with enough rows the model is compared, by the metric of `config.toml` and on the same
rows, with the champion, and with the floor or else the baseline.  It is refused where in one slice
it is worse by more than is allowed and than chance explains: the gain's standard error is that of
the paired bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 6 and
13), its p-value that of the normal distribution; `sure` allows for the number of comparisons.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from statistics import NormalDist
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pydantic import Field

from mlops_ladder.data.contract import Contract
from mlops_ladder.model.prediction import LOWER_IS_BETTER
from mlops_ladder.model.resampling import bootstrap_scores, Draws
from mlops_ladder.registry import checks, questions
from mlops_ladder.registry.checks.picture import Line, picture
from mlops_ladder.strict_model import StrictModel


def compare(mine: Draws, other: Draws, sign: int, allowed: float) -> dict[str, Any]:
    """How much better the model is than another one, and how likely by chance if it is too bad."""
    gain, error = sign * (mine.whole - other.whole), spread(mine - other)
    room = gain + allowed * abs(other.whole)
    chance = NormalDist().cdf(room / error) if error > 0 else float(room >= 0)
    return {"score": other.whole, "gain": gain, "error": error, "p": chance}


def spread(draws: Draws) -> float:
    """The standard error; NaN where the metric is not defined, or not on most draws."""
    known = draws.drawn[np.isfinite(draws.drawn)]
    if not isfinite(draws.whole) or len(known) < 0.9 * len(draws.drawn):
        return float("nan")
    return float(draws.scale * known.std(ddof=1))


RESAMPLES = 200  # enough for a standard error, says chapter 6


class Slice(StrictModel):
    """Rows by one column: these values, or numbers from `low` up to and without `high`.

    What else is set here holds instead of what is set for all slices.
    """

    column: str
    name: str = ""
    values: list[str] | None = None
    low: float | None = None
    high: float | None = None
    min_n: int | None = Field(default=None, ge=2)
    floor: float | None = None
    max_regression: float | None = Field(default=None, ge=0)


class Settings(checks.Declared):
    """Which slices there are, and what holds for all of them.

    `max_regression` is a share of the score that the model is compared with.  Without `columns`,
    each value of a category, a boolean or a group is a slice, where a column has no more than
    `most_values`.
    """

    min_n: int = Field(default=100, ge=2)
    floor: float | None = None
    max_regression: float = Field(default=0.05, ge=0)
    most_values: int = Field(default=20, ge=2)
    columns: list[str] | None = None
    slices: list[Slice] = []

    def faults(self, contract: Contract) -> list[str]:
        """Columns that the contract lacks."""
        return checks.unknown([*(self.columns or []), *(it.column for it in self.slices)], contract)


@dataclass(frozen=True)
class Part:
    """The rows of a slice, and what holds for it."""

    name: str
    rows: np.ndarray
    min_n: int
    floor: float | None
    max_regression: float


def ask(asked: questions.Asked, settings: Settings) -> questions.Reply:
    """Is the model nowhere surely worse than the champion, the baseline, or its floor?"""
    found, metric = parts(asked, settings), asked.trained.settings.metric
    scored = [score(asked, it) for it in found if it.rows.sum() >= it.min_n]
    small = {it.name: int(it.rows.sum()) for it in found if it.rows.sum() < it.min_n}
    compared = [other for it in scored for other in it["against"].values()]
    for other, certain in zip(compared, checks.sure([it["p"] for it in compared]), strict=True):
        other["worse"] = certain
    evidence = {"metric": metric, "slices": scored, "too small": small}
    if not compared:
        told = f"none of {len(found)} slices has rows enough, {settings.min_n} by default"
        return questions.Reply("not enough rows", told, evidence)
    bad = [*failures(scored)]
    told = f"{len(scored)} slices, each as good as it has to be; {len(small)} with too few rows"
    told = f"{len(bad)} of {len(compared)} comparisons failed: {'; '.join(bad)}" if bad else told
    return questions.Reply("refused" if bad else "passed", told, evidence, drawn(scored, metric))


def failures(scored: list[dict[str, Any]]) -> Iterator[str]:
    """What each slice is worse than, in words."""
    for it in scored:
        for name, other in it["against"].items():
            if other["worse"]:
                found = f"{it['score']:.4g} against {name} {other['score']:.4g}"
                yield f"{it['slice']} ({it['n']:,} rows): {found}"


def parts(asked: questions.Asked, settings: Settings) -> list[Part]:
    """The slices of the held-out rows: those of each column, and those that are declared."""
    contract = asked.trained.contract
    named = inferred(contract) if settings.columns is None else settings.columns
    wanted = []
    for column in named:
        words = asked.column(column).dropna().astype("str").unique()
        if settings.columns is not None or 1 < len(words) <= settings.most_values:
            wanted += [Slice(column=column, values=[word]) for word in sorted(words)]
            wanted += [Slice(column=column, name=f"{column} missing", values=[])]
    found = [part(asked, it, settings) for it in [*wanted, *settings.slices]]
    return [it for it in found if it.rows.any()]


def inferred(contract: Contract) -> list[str]:
    """The columns that make slices where none are declared."""
    grouped = contract.names("feature", "group")
    kinds = ("category", "boolean", "text")
    return [name for name in grouped if contract.columns[name].kind in kinds]


def part(asked: questions.Asked, it: Slice, settings: Settings) -> Part:
    """The rows of a slice; of one without values and bounds those where the column is missing."""
    values = asked.column(it.column)
    if it.low is not None or it.high is not None:
        low = -np.inf if it.low is None else it.low
        high = np.inf if it.high is None else it.high
        rows, words = (values >= low) & (values < high), f"{low:g} to {high:g}"
    elif it.values:
        rows, words = values.notna() & values.astype("str").isin(it.values), ", ".join(it.values)
    else:
        rows, words = values.isna(), "missing"
    return Part(
        it.name or f"{it.column} = {words}",
        rows.to_numpy(dtype=bool),
        it.min_n or settings.min_n,
        settings.floor if it.floor is None else it.floor,
        settings.max_regression if it.max_regression is None else it.max_regression,
    )


def score(asked: questions.Asked, it: Part) -> dict[str, Any]:
    """The score of a slice with its 95 % interval, and each comparison with its p-value."""
    metric = asked.trained.settings.metric
    mine, others = draws_of(asked, it)
    sign = -1 if metric in LOWER_IS_BETTER else 1
    against = {
        name: compare(mine, other, sign, 0 if name == "floor" else it.max_regression)
        for name, other in others.items()
        if isfinite(spread(mine - other))
    }
    low, high = (mine.whole + step * spread(mine) for step in (-1.96, 1.96))
    said = {"slice": it.name, "n": int(it.rows.sum()), "score": mine.whole, "low": low}
    return said | {"high": high, "against": against}


def draws_of(asked: questions.Asked, it: Part) -> tuple[Draws, dict[str, Draws]]:
    """The metric on draws of a slice: the model's, and those that it is compared with."""
    trained = asked.trained
    known = {"model": trained.predictions, "baseline": trained.baseline}
    if asked.champion is not None:
        known["champion"] = asked.champion
    said = {name: found[it.rows] for name, found in known.items()}
    settings, truth = trained.settings, trained.truth[it.rows]
    draws = bootstrap_scores(settings.metric, truth, said, settings.seed, RESAMPLES)
    mine = draws.pop("model")
    if it.floor is not None:
        del draws["baseline"]
        draws["floor"] = Draws(it.floor, np.full(RESAMPLES, it.floor), 1)
    return mine, draws


def drawn(scored: list[dict[str, Any]], metric: str) -> Figure:
    """The score of each slice with its interval, and what it is compared with; the worst first."""
    worst = sorted(scored, key=lambda it: min([1, *(o["p"] for o in it["against"].values())]))
    lines = []
    for it in worst:
        name, others = f"{it['slice'][:40]}  ({it['n']:,})", it["against"]
        scores = {other: found["score"] for other, found in others.items()}
        wrong = any(found["worse"] for found in others.values())
        lines.append(Line(name, it["low"], it["score"], it["high"], wrong, scores))
    return picture("How good the model is in each slice", f"{metric}, 95 % interval", lines)
