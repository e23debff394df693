"""The problem: where the rows come from, and which model learns from them.

The only file that you need to touch for another problem, and only where a file and
`config.toml` are not enough.
"""

from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder
from xgboost import XGBClassifier, XGBRegressor

from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.data.reading import read_table
from mlops_ladder.settings import Settings


# {% include "problem/shared.py" %}


class Labelled(ClassifierMixin, BaseEstimator):
    """A classifier for labels of any type around one that knows only 0, 1, 2, …, as XGBoost's."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    # pylint: disable=attribute-defined-outside-init  # what is learned is set by fit, as everywhere
    def fit(self, rows: Any, labels: Any) -> Self:
        """Learn from rows (rows, features) and their labels (rows,)."""
        self.classes_, codes = np.unique(labels, return_inverse=True)
        self.estimator_ = clone(self.estimator).fit(rows, codes)
        return self

    def predict_proba(self, rows: Any) -> Any:
        """Probabilities (rows, classes), in the order of `classes_`."""
        return self.estimator_.predict_proba(rows)

    def predict(self, rows: Any) -> Any:
        """The label of the most probable class, (rows,)."""
        return self.classes_[self.predict_proba(rows).argmax(axis=1)]


def build_model(contract: Contract, settings: Settings) -> Pipeline:
    """An unfitted model: XGBoost's gradient-boosted trees on the columns of the contract.

    `[model]` of `config.toml` overrides its parameters.
    """
    parameters = {
        "n_estimators": 300,
        "grow_policy": "lossguide",
        "max_leaves": 8,
        "random_state": settings.seed,
    } | settings.model
    if settings.problem == "classification":
        estimator = Labelled(XGBClassifier(**parameters))
    else:
        estimator = XGBRegressor(**parameters)
    return Pipeline([("features", features(contract)), ("model", estimator)])
