# mypy: disable-error-code="import-not-found,import-untyped"
# pylint: disable=import-error  # the project's environment has them
"""The peer of `make predict` that one writes by hand: read all rows, predict, write all of them.

`python batch_script.py ROWS.parquet OUT.parquet` in a project that has trained; no checks.
"""

import sys

import joblib
import pandas as pd

if __name__ == "__main__":
    saved = joblib.load("models/model.joblib")
    rows = pd.read_parquet(sys.argv[1])
    for name in saved["contract"].inputs("time"):
        rows[name] = pd.to_datetime(rows[name])
    found = saved["model"].predict_proba(rows[saved["contract"].inputs()])
    rows.assign(probability=found[:, 1]).to_parquet(sys.argv[2], index=False)
