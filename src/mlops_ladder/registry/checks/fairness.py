"""Fairness: does the model treat the declared groups alike?

Fairlearn's MetricFrame gives the rates, or the error, of each group.  The model is refused where
two groups of a column are further apart than the threshold and than chance explains: the standard
error of the difference is that of independent groups, its p-value that of the normal distribution;
`sure` allows for the number of pairs.
"""

from collections.abc import Iterator
from datetime import datetime, UTC
from itertools import combinations
from math import sqrt
from statistics import NormalDist
from typing import Any, Literal

import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from mlops_ladder.data.contract import Contract
from mlops_ladder.registry.checks import Declared, sure, unknown
from mlops_ladder.registry.checks.decided import Accepted, undeclared
from mlops_ladder.registry.checks.groups import table, words
from mlops_ladder.registry.checks.picture import Line, picture
from mlops_ladder.registry.questions import Asked, Reply

THRESHOLDS = {
    "difference": 0.1,  # what AI Fairness 360 calls fair (Bellamy et al., 2018)
    "ratio": 0.2,  # the four-fifths rule of the US guidelines on employee selection, 1978
}


class Settings(Declared):
    """Which columns make the groups, and what has to be alike in them.

    `edges` cut numbers into groups.  `positive`: the class that is an advantage, or a burden; if
    not said the second of two classes, or each of more.
    """

    groups: list[str] = []
    edges: dict[str, list[float]] = {}
    metric: Literal["demographic_parity", "equalized_odds", "group_loss"] | None = None
    compare: Literal["difference", "ratio"] | None = None
    threshold: float | None = Field(default=None, gt=0)
    min_n: int = Field(default=100, ge=2)
    positive: str | None = None
    accepted: list[Accepted] = []

    def faults(self, contract: Contract) -> list[str]:
        """Columns that the contract lacks."""
        named = [*self.groups, *self.edges, *(it.column for it in self.accepted)]
        return unknown(named, contract)

    def chosen(self, problem: str) -> tuple[str, str, float]:
        """The metric, how groups are compared, and how far apart they may be."""
        numbers = problem == "regression"
        metric = self.metric or ("group_loss" if numbers else "equalized_odds")
        compare = self.compare or ("ratio" if numbers else "difference")
        return metric, compare, self.threshold or THRESHOLDS[compare]


def ask(asked: Asked, settings: Settings) -> Reply:
    """Are the groups of each declared column treated alike, as far as can be known?"""
    trained = asked.trained
    metric, compare, threshold = settings.chosen(trained.settings.problem)
    if not settings.groups:
        return undeclared()
    if (metric == "group_loss") != (trained.settings.problem == "regression"):
        return Reply("refused", f"config/fairness.toml: metric {metric} is none of this problem's")
    tables = {name: measured(asked, name, metric, settings) for name in settings.groups}
    decided = [it for it in settings.accepted if it.holds(datetime.now(UTC).date())]
    allowed = dict.fromkeys(tables, threshold)
    allowed |= {it.column: max(it.largest, threshold) for it in decided}
    pairs = [
        pair
        for name, found in tables.items()
        for pair in compared(name, found, compare, allowed[name])
    ]
    for pair, certain in zip(pairs, sure([it["p"] for it in pairs]), strict=True):
        pair["apart"] = certain
    evidence = {"metric": metric, "compare": compare, "threshold": threshold, "pairs": pairs}
    evidence["groups"] = {name: found.to_dict("records") for name, found in tables.items()}
    evidence["accepted"] = [it.model_dump(mode="json") for it in decided]
    return replied(pairs, evidence, drawn(tables, metric))


def measured(asked: Asked, name: str, metric: str, settings: Settings) -> pd.DataFrame:
    """What Fairlearn measures of the groups of a column that have rows enough."""
    groups = words(asked.column(name), settings.edges.get(name))
    found = table(groups, asked.trained, metric, settings.positive)
    return found[found["n"] >= settings.min_n]


def replied(pairs: list[dict[str, Any]], evidence: dict[str, Any], shown: Figure) -> Reply:
    """The reply to what the pairs of groups show."""
    if not pairs:
        told = "no two groups of a column have rows enough to be compared"
        return Reply("not enough rows", told, evidence, shown)
    bad = sorted((it for it in pairs if it["apart"]), key=lambda it: -float(it["gap"]))
    if bad:
        worst = "; ".join(map(worded, bad[:3]))
        told = f"{len(bad)} of {len(pairs)} pairs of groups are too far apart: {worst}"
        return Reply("refused", told, evidence, shown)
    most = max(pairs, key=lambda it: float(it["gap"]) / it["allowed"])
    told = f"{len(pairs)} pairs of groups, none too far apart beyond chance; the furthest:"
    return Reply("passed", f"{told} {worded(most)}", evidence, shown)


def worded(pair: dict[str, Any]) -> str:
    """A pair of groups in words."""
    one, two = (f"{pair['column']} {it} {value:.3g}" for it, value in pair["between"].items())
    return f"{pair['measure']}: {one}, {two} (apart {pair['gap']:.3g}, {pair['allowed']:g} allowed)"


def compared(
    column: str, found: pd.DataFrame, compare: str, allowed: float
) -> Iterator[dict[str, Any]]:
    """Each pair of groups of a column: how far apart they are, and how likely by chance."""
    for (label, measure), rows in found.groupby(["class", "measure"], sort=False):
        for pair in combinations(rows.to_dict("records"), 2):
            low, high = sorted(pair, key=lambda it: float(it["value"]))
            yield {
                "column": column,
                "measure": f"{measure} of {label}" if label else str(measure),
                "between": {str(it["group"]): it["value"] for it in (high, low)},
                "gap": gap(low["value"], high["value"], compare),
                "allowed": allowed,
                "p": chance(low, high, compare, allowed),
            }


def gap(low: float, high: float, compare: str) -> float:
    """The difference, or the share of the larger that the smaller lacks."""
    if compare == "difference":
        return high - low
    return 1 - low / high if high else 0.0


def chance(low: Any, high: Any, compare: str, allowed: float) -> float:
    """How likely two groups are as far apart by chance, were they as far apart as is allowed."""
    share, plus = (1 - allowed, 0.0) if compare == "ratio" else (1.0, allowed)
    room = low["value"] - share * high["value"] + plus
    error = sqrt(low["error"] ** 2 + (share * high["error"]) ** 2)
    return NormalDist().cdf(room / error) if error else float(room >= 0)


def drawn(tables: dict[str, pd.DataFrame], metric: str) -> Figure:
    """Each measure of each group with its 95 % interval."""
    lines = [
        Line(
            f"{it['measure']} {it['class']}  {name} = {it['group']}"[:60],
            *(it["value"] + step * it["error"] for step in (-1.96, 0, 1.96)),
        )
        for name, found in tables.items()
        for it in found.sort_values(["class", "measure"], kind="stable").to_dict("records")
    ]
    return picture("Are groups treated alike?", f"{metric}, 95 % intervals", lines)
