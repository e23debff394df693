# mypy: disable-error-code="import-not-found,import-untyped"
# pylint: disable=import-error  # the peers' environments have them
"""The peer of level 0: a scikit-learn script, on the same rows, with the same learner and split.

`python scikit_learn_quickstart.py FOLDER` prints the score and saves `model.joblib`.
"""

import sys
from pathlib import Path
from typing import Any

import joblib
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

TARGET, TIME = "late", "scheduled"
UNUSED = ["flight_id", "air_time"]  # a name; and a duration that is not known beforehand
PARAMETERS = {"max_iter": 300, "max_leaf_nodes": 8, "early_stopping": False, "random_state": 0}


def rows(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The earlier three quarters of the rows to train on, the latest quarter held out."""
    parts = [pd.read_csv(path, parse_dates=[TIME]) for path in sorted(folder.glob("*.csv"))]
    frame = pd.concat(parts).sort_values(TIME, kind="stable").drop(columns=UNUSED)
    frame["hour"], frame["weekday"] = frame[TIME].dt.hour, frame[TIME].dt.weekday
    earlier = len(frame) * 3 // 4
    return frame.iloc[:earlier], frame.iloc[earlier:]


def learned(train: pd.DataFrame) -> Any:
    """Boosted trees on the numbers and on the categories, as numbers."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    words = (encoder, make_column_selector(dtype_include="str"))
    numbers = ("passthrough", make_column_selector(dtype_include="number"))
    learner = HistGradientBoostingClassifier(**PARAMETERS)
    model = make_pipeline(make_column_transformer(words, numbers), learner)
    return model.fit(train.drop(columns=TARGET), train[TARGET])


def score(model: Any, holdout: pd.DataFrame) -> float:
    """The area under the ROC curve."""
    shares = model.predict_proba(holdout.drop(columns=TARGET))[:, 1]
    return float(roc_auc_score(holdout[TARGET], shares))


if __name__ == "__main__":
    TRAIN, HOLDOUT = rows(Path(sys.argv[1]))
    MODEL = learned(TRAIN)
    print(f"roc_auc {score(MODEL, HOLDOUT):.4f}")
    joblib.dump(MODEL, "model.joblib")
