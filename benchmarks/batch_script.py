# mypy: disable-error-code="import-not-found,import-untyped"
# pylint: disable=import-error  # the project's environment has them
"""The peer of `make predict` that one writes by hand: read all rows, predict, write all of them.

`python batch_script.py MODEL ROWS OUT`: a model of MLflow's registry, CSV or Parquet; no checks.
"""

import sys

import mlflow
import pandas as pd

if __name__ == "__main__":
    model = mlflow.sklearn.load_model(sys.argv[1])
    rows = (pd.read_csv if sys.argv[2].endswith("csv") else pd.read_parquet)(sys.argv[2])
    inputs = mlflow.models.get_model_info(sys.argv[1]).signature.inputs
    for column in inputs:
        if column.type == mlflow.types.DataType.datetime:
            rows[column.name] = pd.to_datetime(rows[column.name])
    found = model.predict_proba(rows[inputs.input_names()])
    answered = rows.assign(probability=found[:, 1])
    (answered.to_csv if sys.argv[3].endswith("csv") else answered.to_parquet)(
        sys.argv[3], index=False
    )
