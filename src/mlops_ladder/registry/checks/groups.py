"""Groups: what Fairlearn measures of each.  The only file that imports fairlearn."""

from math import sqrt
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import mean_absolute_error

from mlops_ladder import ProjectError
from mlops_ladder.model.training import Trained

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
            frame = MetricFrame(
                metrics=functions(measure), y_true=truth, y_pred=said, sensitive_features=groups
            )
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
        raise ProjectError(
            f"config/fairness.toml: positive = {positive!r}: no such class; there are {known}"
        )
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
