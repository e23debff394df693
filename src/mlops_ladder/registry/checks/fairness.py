"""Fairness: does the model treat the declared groups alike?

Fairlearn's MetricFrame gives the rates, or the error, of each group.  The model is refused if two
groups of a column differ by more than the threshold and than chance explains.  The standard error
of the difference is that of independent groups, its p-value that of the normal distribution;
`apply_holm` allows for the number of pairs.  Only this module imports fairlearn.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta, UTC
from itertools import combinations
from math import hypot, sqrt
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import ConfigDict, Field, model_validator, ValidationError
from sklearn.metrics import mean_absolute_error

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.model.training import Trained
from mlops_ladder.registry.checks import apply_holm, CheckSettings, compute_chance
from mlops_ladder.registry.checks import find_unknown_columns
from mlops_ladder.registry.checks.interval_plot import Interval, plot_intervals
from mlops_ladder.registry.gate_checks import CheckContext, CheckResult
from mlops_ladder.strict_model import read_toml, StrictModel

PROJECT = Path("pyproject.toml")
MAX_AGE = timedelta(days=366)  # after a year nobody remembers the reason
# Of each metric: its measures, and the true class that each is about (None: all rows).
MEASURES: dict[str, dict[str, int | None]] = {
    "demographic_parity": {"selection rate": None},
    "equalized_odds": {"true positive rate": 1, "false positive rate": 0},
    "group_loss": {"mean absolute error": None},
}
THRESHOLDS = {
    "difference": 0.1,  # fair by AI Fairness 360 (Bellamy et al., 2018)
    "ratio": 0.2,  # the four-fifths rule of the US guidelines on employee selection, 1978
}
Outcome = Literal["passed", "refused", "not enough rows"]


class Agreement(StrictModel):
    """An exception that two people answer for, until a date; the form of a waiver."""

    reason: str = Field(pattern=r"\w+\W+\w+\W+\w+")
    by: str = Field(min_length=1)
    approved_by: str = Field(min_length=1)
    until: date

    @model_validator(mode="after")
    def check_two_people(self) -> Self:
        """Raise ValueError if one person has approved their own exception."""
        if self.by.strip().casefold() == self.approved_by.strip().casefold():
            raise ValueError("by and approved_by have to be two people")
        return self

    @property
    def is_valid(self) -> bool:
        """Return whether the date is neither past nor more than a year ahead."""
        today = datetime.now(UTC).date()
        return today <= self.until <= today + MAX_AGE


class Waiver(Agreement):
    """A capability that does not apply."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: Literal["model.fairness"]


class Accepted(Agreement):
    """An accepted difference between the groups of a column, up to `largest`."""

    column: str
    largest: float = Field(gt=0)


class Settings(CheckSettings):
    """The columns that make the groups, and the metric that has to be alike in them.

    `edges` cut numbers into groups.  `positive`: the class that is an advantage, or a burden; by
    default the second of two classes, or each of more.
    """

    groups: list[str] = []
    edges: dict[str, list[float]] = {}
    metric: Literal["demographic_parity", "equalized_odds", "group_loss"] | None = None
    compare: Literal["difference", "ratio"] | None = None
    threshold: float | None = Field(default=None, gt=0)
    min_n: int = Field(default=100, ge=2)
    positive: str | None = None
    accepted: list[Accepted] = []

    def find_faults(self, contract: Contract) -> list[str]:
        """Return the columns that the contract lacks."""
        names = [*self.groups, *self.edges, *(accepted.column for accepted in self.accepted)]
        return find_unknown_columns(names, contract)


def compare_all_groups(
    tables: dict[str, pd.DataFrame], compare: str, allowed: dict[str, float]
) -> list[dict[str, Any]]:
    """Return the pairs of groups of all columns; `apart` is whether they differ beyond chance."""
    pairs: list[dict[str, Any]] = []
    for name, table in tables.items():
        pairs += compare_groups(name, table, compare, allowed[name])
    for pair, significant in zip(pairs, apply_holm([pair["p"] for pair in pairs]), strict=True):
        pair["apart"] = significant
    return pairs


def check_candidate(context: CheckContext, settings: Settings) -> CheckResult:
    """Check that the groups of each declared column are treated alike, beyond chance."""
    if not settings.groups:
        return require_waiver()
    numbers = context.trained.settings.problem == "regression"
    metric = settings.metric or ("group_loss" if numbers else "equalized_odds")
    compare = settings.compare or ("ratio" if numbers else "difference")
    threshold = settings.threshold or THRESHOLDS[compare]
    if (metric == "group_loss") != numbers:
        reason = f"config/fairness.toml: metric {metric} does not fit this kind of problem"
        return CheckResult("refused", reason)
    tables = {name: measure_groups(context, name, metric, settings) for name in settings.groups}
    accepted = [agreement for agreement in settings.accepted if agreement.is_valid]
    allowed = dict.fromkeys(tables, threshold)
    allowed |= {agreement.column: max(agreement.largest, threshold) for agreement in accepted}
    pairs = compare_all_groups(tables, compare, allowed)
    evidence = {
        "metric": metric,
        "compare": compare,
        "threshold": threshold,
        "pairs": pairs,
        "groups": {name: table.to_dict("records") for name, table in tables.items()},
        "accepted": [agreement.model_dump(mode="json") for agreement in accepted],
    }
    verdict, reason = judge_pairs(pairs)
    return CheckResult(verdict, reason, evidence, plot_groups(tables, metric))


def require_waiver() -> CheckResult:
    """Pass a model without declared groups only by a waiver: its predictions affect people."""
    tables = read_toml(PROJECT)["tool"]["mlops-ladder"].get("waivers", [])
    faults = ["there is none"]
    for table in (table for table in tables if table.get("id") == "model.fairness"):
        try:
            waiver = Waiver(**table)
        except ValidationError as error:
            each = error.errors()
            faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in each]
            continue
        if waiver.is_valid:
            people = f"{waiver.by} and {waiver.approved_by}, until {waiver.until}"
            reason = f"no groups are declared; waived: {waiver.reason} ({people})"
            return CheckResult("passed", reason, {"waiver": waiver.model_dump(mode="json")})
        faults = [f"until {waiver.until}: past, or more than a year ahead"]
    reason = "no groups are declared in config/fairness.toml; without them a waiver is needed, in"
    reason += f" [[tool.mlops-ladder.waivers]] of {PROJECT}: {'; '.join(faults)}"
    return CheckResult("refused", reason)


def measure_groups(
    context: CheckContext, name: str, metric: str, settings: Settings
) -> pd.DataFrame:
    """Return Fairlearn's value of each measure in each group of a column with enough rows.

    A row per group, class and measure, with its standard error and the number `n` of its rows.
    """
    from fairlearn import metrics  # pylint: disable=import-outside-toplevel  # slow to import

    groups, rows = label_groups(context.column(name), settings.edges.get(name)), []
    functions = {"value": metrics.selection_rate, "error": estimate_share_error}
    if metric == "group_loss":
        functions = {"value": mean_absolute_error, "error": estimate_loss_error}
    functions["n"] = metrics.count
    for label, truth, answers in encode_classes(context.trained, settings.positive):
        for measure, true_class in MEASURES[metric].items():
            mask = (truth.notna() if true_class is None else truth == true_class).to_numpy()
            if not mask.any():
                continue
            inputs: Any = {"y_true": truth[mask], "y_pred": answers[mask]}
            frame = metrics.MetricFrame(
                metrics=functions, **inputs, sensitive_features=groups[mask]
            )
            for group, values in frame.by_group.iterrows():
                rows.append({"group": str(group), "class": label, "measure": measure, **values})
    table = pd.DataFrame(rows, columns=["group", "class", "measure", "value", "error", "n"])
    return table[table["n"] >= settings.min_n]


def estimate_share_error(_truth: pd.Series, answers: pd.Series) -> float:
    """Return the standard error of a share by Agresti and Caffo, 2000."""
    share = (answers.sum() + 1) / (len(answers) + 2)
    return sqrt(share * (1 - share) / (len(answers) + 2))


def estimate_loss_error(truth: pd.Series, answers: pd.Series) -> float:
    """Return the standard error of the mean absolute error."""
    return float(np.std(np.abs(truth - answers)) / sqrt(len(truth)))


def label_groups(values: pd.Series, edges: list[float] | None) -> pd.Series:
    """Return the group of each row as text; missing values are a group of their own."""
    if edges:
        bounds = [-np.inf, *sorted(edges), np.inf]
        values = pd.cut(values, bounds, right=False).astype("object")
    return values.astype("object").where(values.notna(), "missing").astype("str")


def encode_classes(
    trained: Trained, positive: str | None
) -> list[tuple[str, pd.Series, pd.Series]]:
    """Return truth and answers as numbers; for classes once for each class that counts, 0 or 1.

    Raises ProjectError if no row is of the class `positive`.
    """
    truth, answers = trained.truth, trained.predictions["prediction"]
    if trained.settings.problem == "regression":
        return [("", truth, answers)]
    truth, answers = truth.astype("str"), answers.astype("str")
    classes = sorted({*trained.train[trained.contract.target].astype("str"), *truth})
    if positive is not None and positive not in classes:
        message = f"positive = {positive!r}: no such class; there are {classes}"
        raise ProjectError(f"config/fairness.toml: {message}")
    chosen = [positive] if positive is not None else classes if len(classes) > 2 else classes[-1:]
    return [
        (label, (truth == label).astype("int64"), (answers == label).astype("int64"))
        for label in chosen
    ]


def judge_pairs(pairs: list[dict[str, Any]]) -> tuple[Outcome, str]:
    """Return the verdict on the pairs of groups, and the reason."""
    if not pairs:
        return "not enough rows", "no two groups of a column have enough rows to be compared"
    if bad := [pair for pair in pairs if pair["apart"]]:
        bad.sort(key=lambda pair: -float(pair["gap"]))
        worst = "; ".join(map(describe_pair, bad[:3]))
        return "refused", f"{len(bad)} of {len(pairs)} pairs of groups differ too much: {worst}"
    widest = max(pairs, key=lambda pair: float(pair["gap"]) / pair["allowed"])
    message = f"{len(pairs)} pairs of groups, none too far apart beyond chance; the largest:"
    return "passed", f"{message} {describe_pair(widest)}"


def describe_pair(pair: dict[str, Any]) -> str:
    """Return a pair of groups as text."""
    one, two = (f"{pair['column']} {group} {value:.3g}" for group, value in pair["between"].items())
    allowed = f"{pair['allowed']:g} allowed"
    return f"{pair['measure']}: {one}, {two} (difference {pair['gap']:.3g}, {allowed})"


def compare_groups(
    column: str, table: pd.DataFrame, compare: str, allowed: float
) -> Iterator[dict[str, Any]]:
    """Yield the gap of each pair of groups, and the probability of such a gap by chance.

    As a ratio, the gap is the share of the larger value that the smaller lacks.
    """
    for (label, measure), rows in table.groupby(["class", "measure"], sort=False):
        for pair in combinations(rows.to_dict("records"), 2):
            low, high = sorted(pair, key=lambda group: float(group["value"]))
            gap = high["value"] - low["value"]
            if compare == "ratio":
                gap = 1 - low["value"] / high["value"] if high["value"] else 0.0
            yield {
                "column": column,
                "measure": f"{measure} of {label}" if label else str(measure),
                "between": {str(group["group"]): group["value"] for group in (high, low)},
                "gap": gap,
                "allowed": allowed,
                "p": compute_p_value(low, high, compare, allowed),
            }


def compute_p_value(low: Any, high: Any, compare: str, allowed: float) -> float:
    """Return the probability of this gap by chance if the true gap is the allowed one."""
    share, plus = (1 - allowed, 0.0) if compare == "ratio" else (1.0, allowed)
    room = low["value"] - share * high["value"] + plus
    return compute_chance(room, hypot(low["error"], share * high["error"]))


def plot_groups(tables: dict[str, pd.DataFrame], metric: str) -> Figure:
    """Plot each measure of each group with its 95 % interval."""
    intervals = []
    for name, table in tables.items():
        for row in table.sort_values(["class", "measure"], kind="stable").to_dict("records"):
            title = f"{row['measure']} {row['class']}  {name} = {row['group']}"[:60]
            ends = (row["value"] + step * row["error"] for step in (-1.96, 0, 1.96))
            intervals.append(Interval(title, *ends))
    return plot_intervals("Are groups treated alike?", f"{metric}, 95 % intervals", intervals)
