"""Repeating: the same rows and settings give the same predictions, in another process as well."""

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

HASH_SEEDS = ("1", "2")  # the order of Python's sets follows from it
WRITE = typer.Option(metavar="FILE", help="train once, and write the predictions")
SAME = ("git.commit", "data.sha256", "env.lock_sha256", "seed")


def reproduce(
    write: Annotated[Path | None, WRITE] = None,
) -> None:
    """Train twice, in processes of their own, and compare all held-out predictions.

    With the parameters of the champion and with its predictions, where it is of the same commit,
    data, lock and seed.  Raises ProjectError that lists what does not repeat.
    """
    if write:
        write_predictions(write)
        return
    settings = load_settings()
    champion, params = champion_of(
        {name: provenance.get_provenance_tags(settings)[name] for name in SAME}
    )
    print("Training twice, each in a process of its own ...", flush=True)
    first, second = trainings(params or settings.model)
    differences = {"the second training": apart(first, second)}
    if champion is not None:
        differences["the champion"] = apart(written(first), champion)
    epsilon = settings.repro.epsilon
    for name, largest in differences.items():
        print(f"{name:20} is apart by {largest:.3g} at most ({epsilon:g} allowed)")
    faults = [f"{name} is apart by {it:.3g}" for name, it in differences.items() if it > epsilon]
    faults += [f"{name}: no seed; give it settings.seed in build_model" for name in unseeded()]
    raise_for_faults("the training does not repeat", faults)
    print(f"{len(first):,} held-out predictions repeat")


def champion_of(now: dict[str, str]) -> tuple[pd.DataFrame | None, dict[str, object]]:
    """The champion's held-out predictions and its parameters; None where it was made otherwise."""
    last = history.champion(versions.held().entries)
    if not last:
        return None, {}
    mlflow, name = runs.connect_mlflow(), history.title(last)
    tags = mlflow.get_run(last.run_id).data.tags
    if others := [key for key in SAME if tags.get(key) != now[key]]:
        print(f"Not compared with {name}: its {', '.join(others)} differ")
        return None, {}
    text = mlflow.artifacts.load_text(f"runs:/{last.run_id}/predictions.csv")
    return read(text), json.loads(tags.get("model.parameters", "{}"))


def trainings(params: dict[str, object]) -> list[pd.DataFrame]:
    """The held-out predictions of two trainings with these parameters, at the same time."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        places = [Path(folder) / f"{seed}.parquet" for seed in HASH_SEEDS]
        return list(pool.map(partial(elsewhere, params), places))


def elsewhere(params: dict[str, object], place: Path) -> pd.DataFrame:
    """What a training in a new process predicts; the name of the place is its hash seed."""
    given = {
        "PYTHONHASHSEED": place.stem,
        f"{project.get_project().prefix}MODEL": json.dumps(params),
    }
    command = [sys.executable, "-m", "mlops_ladder", "reproduce", "--write", str(place)]
    there = os.environ | given
    done = subprocess.run(command, env=there, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProjectError(f"a training failed\n{done.stderr.strip()}")
    return pd.read_parquet(place)


def apart(first: pd.DataFrame, second: pd.DataFrame) -> float:
    """How far the predictions of two models for the same rows are apart, at most.

    Infinite where they have other columns or other words, or where only one has a number.
    """
    numbers = list(first.select_dtypes("number"))
    if list(first) != list(second) or len(first) != len(second):
        return np.inf
    if (first.drop(columns=numbers).to_numpy() != second.drop(columns=numbers).to_numpy()).any():
        return np.inf
    differences = np.abs(first[numbers].to_numpy() - second[numbers].to_numpy())
    return float(np.nan_to_num(differences, nan=np.inf).max(initial=0))


def written(found: pd.DataFrame) -> pd.DataFrame:
    """Predictions as a file has them, and as they are read from it."""
    return read(found.to_csv(index=False))


def read(text: str) -> pd.DataFrame:
    """The predictions in a CSV; numbers to the last digit, classes as text."""
    rows = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
    found = rows.filter(regex="^(prediction|probability_.*)$")
    words = ["prediction"] if found.shape[1] > 1 else []
    return found.astype({name: float for name in found if name not in words})


def unseeded() -> list[str]:
    """The parameters of the model that should be a seed, and are not set."""
    found = problem.build_model(read_contract(), load_settings()).get_params(deep=True)
    seeds = [name for name in found if name.rsplit("__", 1)[-1] in ("random_state", "seed")]
    return sorted(name for name in seeds if found[name] is None)


def write_predictions(place: Path) -> None:
    """Train on the configured data, and write the held-out predictions."""
    settings = load_settings()
    train_model(problem.read_data(settings), read_contract(), settings).predictions.to_parquet(
        place
    )
