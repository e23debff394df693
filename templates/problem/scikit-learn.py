"""The problem: where the rows come from, and which model learns from them.

The only file that you need to touch for another problem, and only where a file and
`config.toml` are not enough.
"""

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.data.reading import read_table
from mlops_ladder.settings import Settings


# {% include "problem/shared.py" %}


def build_model(contract: Contract, settings: Settings) -> Pipeline:
    """An unfitted model: scikit-learn's gradient-boosted trees on the columns of the contract.

    `[model]` of `config.toml` overrides its parameters.
    """
    parameters = {
        "max_iter": 300,
        "max_leaf_nodes": 8,
        "early_stopping": False,
        "random_state": settings.seed,
    } | settings.model
    if settings.problem == "classification":
        estimator = HistGradientBoostingClassifier(**parameters)
    else:
        estimator = HistGradientBoostingRegressor(**parameters)
    return Pipeline([("features", features(contract)), ("model", estimator)])
