# mypy: disable-error-code="import-not-found,import-untyped"
# pylint: disable=import-error  # the project's environment has them
"""The peer that one writes by hand: read, search, fit, score, log, register; no checks, no gate.

`python tuning_script.py FOLDER` makes as many trials as the pipeline, each a nested MLflow run.
"""

import sys
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pandas as pd
from mlflow.models import infer_signature
from scikit_learn_quickstart import PARAMETERS, rows, score, TARGET
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

TRIALS = 8


def model(parameters: dict[str, Any]) -> Any:
    """Boosted trees on numbers and on categories as numbers."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    words = (encoder, make_column_selector(dtype_include="str"))
    numbers = ("passthrough", make_column_selector(dtype_include="number"))
    learner = HistGradientBoostingClassifier(**PARAMETERS | parameters)
    return clone(make_pipeline(make_column_transformer(words, numbers), learner))


def searched(train: pd.DataFrame) -> dict[str, Any]:
    """The best parameters on the latest quarter of these rows."""
    earlier = len(train) * 3 // 4
    kept, chosen_by = train.iloc[:earlier], train.iloc[earlier:]

    def objective(trial: optuna.Trial) -> float:
        parameters = {
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
            "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, 32, log=True),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 100, log=True),
            "l2_regularization": trial.suggest_float("l2_regularization", 0.001, 10, log=True),
        }
        with mlflow.start_run(nested=True):
            fitted = model(parameters).fit(kept.drop(columns=TARGET), kept[TARGET])
            found = score(fitted, chosen_by)
            mlflow.log_params(parameters)
            mlflow.log_metric("roc_auc", found)
        return found

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, TRIALS)
    return dict(study.best_params)


if __name__ == "__main__":
    TRAIN, HOLDOUT = rows(Path(sys.argv[1]))
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("By hand")
    with mlflow.start_run():
        BEST = searched(TRAIN)
        INPUTS = TRAIN.drop(columns=TARGET)
        MODEL = model(BEST).fit(INPUTS, TRAIN[TARGET])
        mlflow.log_params(BEST)
        mlflow.log_metric("roc_auc", score(MODEL, HOLDOUT))
        mlflow.sklearn.log_model(
            MODEL,
            name="model",
            signature=infer_signature(INPUTS, MODEL.predict(INPUTS)),
            input_example=INPUTS[:5],
            pip_requirements=["scikit-learn", "pandas"],
            registered_model_name="by_hand",
            serialization_format="cloudpickle",  # MLflow's default refuses these trees unasked
        )
