"""The temporary folder: the project's settings and rows, and no reference back to the project."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import tomlkit

from mlops_ladder import project, ProjectError
from mlops_ladder.data import sources
from mlops_ladder.data.contract import CONTRACT, Contract
from mlops_ladder.data.datafile import write_rows_like
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.model.training import prepare_training_rows
from mlops_ladder.privacy.rules import RULES
from mlops_ladder.problem import read_data
from mlops_ladder.settings import CONFIG, FOLDER, get_settings_file, Settings
from mlops_ladder.simulation.clock import START
from mlops_ladder.simulation.world import World, build_world

WORLD, STORY = Path("world.joblib"), Path("story.joblib")
HISTORY = 1_000  # rows to train the first champion
WEEKS = 26  # over which these rows are spread
FOREIGN = ("MLFLOW_", "PREFECT_", "PIPELINE_")  # variables that name other servers
# With few rows, requests and days, thresholds are lower than those of a service.  The right answers
# change on purpose: so a candidate may differ from the champion, and floors do not apply.
CHANGED: dict[str, dict[str, Any]] = {
    "tuning": {"trials": 1},
    "gate": {"floors": {}},
    "serving": {"prediction_log_url": "sqlite:///predictions.db", "poll_seconds": 0.05},
    "drift": {"hours": 168, "rows": 50_000, "fewest": 200, "pushgateway": ""},
    "access": {"key_file": "models/serving/keys.json", "requests_per_minute": 0},
    "approval": {"needed": "never"},
    "rollout": {"enabled": True, "shares": [0.3, 0.6], "units": 30, "minutes": 2_000}
    | {"shift": 1e12, "latency": 1_000.0},
    "batch": {"source": "data/arrivals/*", "by": "file", "settle_s": 0},
    "quality": {"hours": 720, "rows": 50_000, "fewest": 200},
}


def prepare_folder(place: Path, settings: Settings, contract: Contract, seed: int) -> None:
    """Fill a folder in which the project runs, with rows of its own.

    Raises ProjectError if the rows are in no file, or cannot be shifted.
    """
    like = list_data_files(settings.data.path)[0].resolve()
    rows = prepare_training_rows(read_data(settings), contract, settings)
    world = build_world(rows, contract, settings)
    (place / RULES.parent).mkdir()
    for path in filter(Path.exists, [CONFIG, CONTRACT, RULES, project.PYPROJECT]):
        shutil.copy(path, place / path)
    shutil.copytree(FOLDER, place / FOLDER)
    history = place / "data" / f"history{like.suffix}"
    history.parent.mkdir()
    write_rows_like(draw_first_rows(world, seed), like, history, settings.data, contract)
    joblib.dump(world, place / WORLD)
    with edit_toml(place / CONFIG) as config:
        config["seed"], config["data"]["path"] = seed, f"data/{history.name}"
    for section, keys in CHANGED.items():
        with edit_toml(place / get_settings_file(section)) as document:
            document.setdefault(section, {}).update(keys)
    with edit_toml(place / CONTRACT) as document:  # a sample can lack more values than all rows
        for column in document["columns"].values():
            if "missing" in column:
                column["missing"] = min(1.0, 0.05 + 1.5 * column["missing"])


def draw_first_rows(world: World, seed: int) -> pd.DataFrame:
    """Return the rows before the first day, each with an id of its own."""
    random = np.random.default_rng([seed, 0])
    rows = world.drawn(HISTORY, 0, None, random)
    weeks = pd.to_timedelta(7 * random.integers(0, WEEKS, HISTORY), unit="D")
    ends = pd.Series(pd.Timestamp(START).tz_localize(None) - weeks)
    rows = world.dated(rows, ends)
    for name in world.contract.names("id"):
        numbers = world.contract.columns[name].kind in ("number", "integer")
        rows[name] = [at if numbers else f"history-{at}" for at in range(1, HISTORY + 1)]
    return rows


@contextmanager
def edit_toml(path: Path) -> Iterator[Any]:
    """Give the document of a TOML file, which may be missing, and write it back."""
    document = tomlkit.parse(path.read_text(encoding="utf-8") if path.exists() else "")
    yield document
    path.write_text(tomlkit.dumps(document), encoding="utf-8")


def declare_data(settings: Settings) -> None:
    """Write `data/sources.toml` for the rows of the folder.

    Raises ProjectError if the project reads its rows from elsewhere.
    """
    if len(read_data(settings)) != HISTORY:
        why = "read_data() does not read the files of [data] path, so it would read the real rows"
        raise ProjectError(f"make simulate: problem.py: {why}")
    sources.declare_files(settings)


def build_environment() -> dict[str, str]:
    """Return the environment without variables of the user's registry, log or settings."""
    foreign = (project.get_project().prefix, *FOREIGN)
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
