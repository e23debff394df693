"""Fairness: does the model treat the declared groups alike?

Fairlearn's MetricFrame gives the rates, or the error, of each group.  The model is refused where
two groups of a column are further apart than the threshold and than chance explains: the standard
error of the difference is that of independent groups, its p-value that of the normal distribution;
`sure` allows for the number of pairs.  The only file that imports fairlearn.
"""

import tomllib
from collections.abc import Iterator
from datetime import date, datetime, timedelta, UTC
from itertools import combinations
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import ConfigDict, Field, model_validator, ValidationError
from sklearn.metrics import mean_absolute_error

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.model.training import Trained
from mlops_ladder.registry.checks import Declared, sure, unknown
from mlops_ladder.registry.checks.picture import Line, picture
from mlops_ladder.registry.questions import Asked, Reply
from mlops_ladder.strict_model import StrictModel

PROJECT = Path("pyproject.toml")
LONGEST = timedelta(days=366)  # longer, nobody remembers why


class Decided(StrictModel):
    """What two people answer for, and until when: the form of a waiver in `pyproject.toml`."""

    reason: str = Field(pattern=r"\w+\W+\w+\W+\w+")
    by: str = Field(min_length=1)
    approved_by: str = Field(min_length=1)
    until: date

    @model_validator(mode="after")
    def two_people(self) -> Self:
        """Raises ValueError where one person has approved their own."""
        if self.by.strip().casefold() == self.approved_by.strip().casefold():
            raise ValueError("by and approved_by have to be two people")
        return self

    def holds(self, today: date) -> bool:
        """Is it neither past nor more than a year ahead?"""
        return today <= self.until <= today + LONGEST


class Waiver(Decided):
    """A capability that does not apply."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: Literal["model.fairness"]


class Accepted(Decided):
    """A difference between the groups of a column that is accepted, up to `largest`."""

    column: str
    largest: float = Field(gt=0)


def undeclared() -> Reply:
    """Without groups only a waiver lets a model pass: its predictions affect people."""
    known = tomllib.loads(PROJECT.read_text(encoding="utf-8")) if PROJECT.exists() else {}
    wrong = ["there is none"]
    for said in known.get("tool", {}).get("mlops-ladder", {}).get("waivers", []):
        if said.get("id") != "model.fairness":
            continue
        try:
            waiver = Waiver(**said)
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors()]
            continue
        if waiver.holds(datetime.now(UTC).date()):
            people = f"{waiver.by} and {waiver.approved_by}, until {waiver.until}"
            told = f"no groups are declared; waived: {waiver.reason} ({people})"
            return Reply("passed", told, {"waiver": waiver.model_dump(mode="json")})
        wrong = [f"until {waiver.until}: past, or more than a year ahead"]
    told = "no groups are declared in config/fairness.toml; without them a waiver is needed, in"
    told += f" [[tool.mlops-ladder.waivers]] of {PROJECT}: {'; '.join(wrong)}"
    return Reply("refused", told)


MEASURES = {
    "demographic_parity": ["selection rate"],
    "equalized_odds": ["true positive rate", "false positive rate"],
    "group_loss": ["mean absolute error"],
}


def table(
    groups: pd.Series, trained: Trained, metric: str, positive: str | None = None
) -> pd.DataFrame:
    """Fairlearn's value of each measure in each group, with its standard error.

    A row for each group, class and measure; `n` counts the rows that the measure is about.
    """
    from fairlearn.metrics import MetricFrame  # pylint: disable=import-outside-toplevel  # 1 s

    rows = []
    for label, truth, said in views(trained, positive):
        for measure in MEASURES[metric]:
            given = {"y_true": truth, "y_pred": said, "sensitive_features": groups}
            frame = MetricFrame(metrics=functions(measure), **given)
            for group, found in frame.by_group.iterrows():
                rows.append({"group": str(group), "class": label, "measure": measure, **found})
    return pd.DataFrame(rows, columns=["group", "class", "measure", "value", "error", "n"])


def words(values: pd.Series, edges: list[float] | None) -> pd.Series:
    """The group of each row, in words; where the column is missing that is a group of its own."""
    if edges:
        bounds = [-np.inf, *sorted(edges), np.inf]
        values = pd.cut(values, bounds, right=False).astype("object")
    return values.astype("object").where(values.notna(), "missing").astype("str")


def views(trained: Trained, positive: str | None) -> list[tuple[str, pd.Series, pd.Series]]:
    """Truth and answers as numbers, or for each class that counts: is it the one?

    Raises ProjectError where no row and no answer is of the class that is named.
    """
    truth, said = trained.truth, trained.predictions["prediction"]
    if trained.settings.problem == "regression":
        return [("", truth, said)]
    truth, said = truth.astype("str"), said.astype("str")
    known = sorted({*trained.train[trained.contract.target].astype("str"), *truth})
    if positive is not None and positive not in known:
        told = f"positive = {positive!r}: no such class; there are {known}"
        raise ProjectError(f"config/fairness.toml: {told}")
    chosen = known if len(known) > 2 else known[-1:]
    chosen = chosen if positive is None else [positive]
    return [(it, (truth == it).astype("int64"), (said == it).astype("int64")) for it in chosen]


def functions(measure: str) -> dict[str, Any]:
    """A measure as MetricFrame computes it, its standard error, and how many rows it is about."""
    # pylint: disable-next=import-outside-toplevel  # 1 s that other commands need not pay
    from fairlearn.metrics import false_positive_rate, selection_rate, true_positive_rate

    known: dict[str, tuple[Any, Any]] = {
        "selection rate": (selection_rate, lambda truth: np.full(len(truth), True)),
        "true positive rate": (true_positive_rate, lambda truth: truth == 1),
        "false positive rate": (false_positive_rate, lambda truth: truth == 0),
        "mean absolute error": (mean_absolute_error, lambda truth: np.full(len(truth), True)),
    }
    value, about = known[measure]

    def error(truth: Any, said: Any) -> float:
        if measure == "mean absolute error":
            return float(np.std(np.abs(truth - said)) / sqrt(len(truth)))
        counted = np.asarray(said)[np.asarray(about(truth))]
        share = (counted.sum() + 1) / (len(counted) + 2)  # Agresti and Caffo, 2000
        return sqrt(share * (1 - share) / (len(counted) + 2))

    return {"value": value, "error": error, "n": lambda truth, said: about(truth).sum()}


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
    found = (compared(name, it, compare, allowed[name]) for name, it in tables.items())
    pairs = [pair for part in found for pair in part]
    for pair, certain in zip(pairs, sure([it["p"] for it in pairs]), strict=True):
        pair["apart"] = certain
    evidence = {"metric": metric, "compare": compare, "threshold": threshold, "pairs": pairs}
    evidence["groups"] = {name: it.to_dict("records") for name, it in tables.items()}
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
    lines = []
    for name, found in tables.items():
        for it in found.sort_values(["class", "measure"], kind="stable").to_dict("records"):
            title = f"{it['measure']} {it['class']}  {name} = {it['group']}"[:60]
            span = (it["value"] + step * it["error"] for step in (-1.96, 0, 1.96))
            lines.append(Line(title, *span))
    return picture("Are groups treated alike?", f"{metric}, 95 % intervals", lines)
