"""The store of the runs in this folder: made once, and moved with the project."""

import sqlite3
import sys
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from mlops_ladder import ProjectError

STORE = "mlflow.db"
LOCK_TIMEOUT_S = 300  # seconds in which another process may make or move the store
LOCATION_COLUMNS = (  # the columns of MLflow's tables that hold absolute places
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@cache
def prepare_store(mlflow: Any, here: Path) -> None:
    """Create the store of this folder, or update its paths if the project has moved here.

    One process at a time: two that create its tables at once break each other.
    """
    if "%" in mlflow.__file__:  # its migrations take it for a placeholder
        fault = "MLflow fails if a folder has `%`; rename the folder"
        raise ProjectError(f"{mlflow.__file__}: {fault}")
    with closing(sqlite3.connect("mlflow-lock.db", LOCK_TIMEOUT_S)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        if Path(STORE).exists():
            relocate_store(here)
        mlflow.MlflowClient().search_experiments(max_results=1)


def relocate_store(here: Path) -> None:
    """Change the paths of artifacts in the store from the folder it comes from to this one.

    Only paths in the `mlruns` of that folder are changed; other addresses stay.
    """
    store = sqlite3.connect(STORE, LOCK_TIMEOUT_S)
    with closing(store), store:
        tables = store.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        if not {("experiments",), *((table,) for table, _ in LOCATION_COLUMNS)} <= set(tables):
            return
        first = "SELECT artifact_location FROM experiments WHERE experiment_id = 0"
        old = next((row[0].removesuffix("0") for row in store.execute(first)), "")
        new = f"{here}/mlruns/"
        if old != new and old.startswith("/") and old.endswith("/mlruns/"):
            for table, column in LOCATION_COLUMNS:
                store.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?)"
                    f" WHERE substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, len(old), old),
                )
            print(f"{STORE}: moved from {old}; its runs are now those in {new}", file=sys.stderr)
