"""The command `reproduce`: the same rows and settings give the same predictions again."""

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import typer

from mlops_ladder import problem, project, ProjectError, raise_for_faults
from mlops_ladder.data import provenance
from mlops_ladder.data.contract import read_contract
from mlops_ladder.model.training import train_model
from mlops_ladder.registry import history, versions
from mlops_ladder.settings import load_settings
from mlops_ladder.tracking import runs

HASH_SEEDS = ("1", "2")  # they set the order of Python's sets
WRITE = typer.Option(metavar="FILE", help="train once, and write the predictions")
COMPARED_TAGS = ("git.commit", "data.sha256", "env.lock_sha256", "seed")


def reproduce(write: Annotated[Path | None, WRITE] = None) -> None:
    """Train twice, in two new processes, and compare all held-out predictions.

    If the champion has the same commit, data, lock and seed, use its parameters and compare its
    predictions too.  Raises ProjectError that lists what does not repeat.
    """
    settings = load_settings()
    if write:
        trained = train_model(problem.read_data(settings), read_contract(), settings)
        trained.predictions.to_parquet(write)
        return
    champion, params = read_champion(provenance.get_provenance_tags(settings))
    print("Training twice, each in a process of its own ...", flush=True)
    first, second = train_in_subprocesses(params or settings.model)
    differences = {"the second training": max_difference(first, second)}
    if champion is not None:
        text = first.to_csv(index=False)
        differences["the champion"] = max_difference(parse_predictions(text), champion)
    epsilon, faults = settings.repro.epsilon, []
    for name, largest in differences.items():
        print(f"{name:20} differs by {largest:.3g} at most ({epsilon:g} allowed)")
        if largest > epsilon:
            faults.append(f"{name} differs by {largest:.3g}")
    faults += [f"{name}: no seed; set it to settings.seed in build_model" for name in unset_seeds()]
    raise_for_faults("the training does not repeat", faults)
    print(f"{len(first):,} held-out predictions repeat")


def read_champion(now: dict[str, str]) -> tuple[pd.DataFrame | None, dict[str, object]]:
    """Return the champion's predictions and parameters; None if its commit, data, … differ."""
    last = history.find_champion_entry(versions.read_state().entries)
    if not last:
        return None, {}
    mlflow, name = runs.connect_mlflow(), history.name_champion(last)
    tags = mlflow.get_run(last.run_id).data.tags
    if others := [key for key in COMPARED_TAGS if tags.get(key) != now[key]]:
        print(f"Not compared with {name}: its {', '.join(others)} differ")
        return None, {}
    text = mlflow.artifacts.load_text(f"runs:/{last.run_id}/predictions.csv")
    return parse_predictions(text), json.loads(tags.get("model.parameters", "{}"))


def train_in_subprocesses(params: dict[str, object]) -> list[pd.DataFrame]:
    """Return the held-out predictions of two trainings with these parameters, run in parallel."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        files = [Path(folder) / f"{seed}.parquet" for seed in HASH_SEEDS]
        return list(pool.map(partial(train_in_subprocess, params), files))


def train_in_subprocess(params: dict[str, object], file: Path) -> pd.DataFrame:
    """Return the predictions of a training in a new process; the file's name is its hash seed."""
    prefix = project.get_project().prefix
    command = [sys.executable, "-m", "mlops_ladder", "reproduce", "--write", str(file)]
    environment = os.environ | {"PYTHONHASHSEED": file.stem, f"{prefix}MODEL": json.dumps(params)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProjectError(f"a training failed\n{done.stderr.strip()}")
    return pd.read_parquet(file)


def max_difference(first: pd.DataFrame, second: pd.DataFrame) -> float:
    """Return the largest difference between the predictions of two models for the same rows.

    It is infinite if columns or labels differ, or only one of two values is a number.
    """
    numbers = list(first.select_dtypes("number"))
    if list(first) != list(second) or len(first) != len(second):
        return np.inf
    if (first.drop(columns=numbers).to_numpy() != second.drop(columns=numbers).to_numpy()).any():
        return np.inf
    differences = np.abs(first[numbers].to_numpy() - second[numbers].to_numpy())
    return float(np.nan_to_num(differences, nan=np.inf).max(initial=0))


def parse_predictions(text: str) -> pd.DataFrame:
    """Return the predictions in a CSV; numbers to the last digit, classes as text."""
    rows = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
    predictions = rows.filter(regex="^(prediction|probability_.*)$")
    labels = ["prediction"] if predictions.shape[1] > 1 else []
    return predictions.astype({name: float for name in predictions if name not in labels})


def unset_seeds() -> list[str]:
    """Return the parameters of the model that should be a seed, and are not set."""
    params = problem.build_model(read_contract(), load_settings()).get_params(deep=True)
    seeds = [name for name in params if name.rsplit("__", 1)[-1] in ("random_state", "seed")]
    return sorted(name for name in seeds if params[name] is None)
