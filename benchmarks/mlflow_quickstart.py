# mypy: disable-error-code="import-not-found,import-untyped"
# pylint: disable=import-error  # the peers' environments have them
"""The peer of level 1: MLflow's quickstart, on the same rows, with the same learner and split.

`python mlflow_quickstart.py FOLDER` records one run in `mlflow.db`: parameters, a score, a tag, the
model with its signature and an input example.  No intervals, plots, baseline or sums of the data.
"""

import sys
from pathlib import Path

import mlflow
from mlflow.models import infer_signature
from scikit_learn_quickstart import learned, PARAMETERS, rows, score, TARGET

if __name__ == "__main__":
    TRAIN, HOLDOUT = rows(Path(sys.argv[1]))
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("MLflow Quickstart")
    with mlflow.start_run():
        mlflow.log_params(PARAMETERS)
        MODEL = learned(TRAIN)
        mlflow.log_metric("roc_auc", score(MODEL, HOLDOUT))
        mlflow.set_tag("Training Info", "Boosted trees for late flights")
        INPUTS = TRAIN.drop(columns=TARGET)
        SIGNATURE = infer_signature(INPUTS, MODEL.predict(INPUTS))
        mlflow.sklearn.log_model(
            MODEL,
            name="model",
            signature=SIGNATURE,
            input_example=INPUTS[:5],
            serialization_format="cloudpickle",  # MLflow's default refuses these trees unasked
        )
