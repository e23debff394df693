"""SQLite databases, and the store of MLflow in one: read as data, by this tool's own Python."""

import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.capabilities import LOADER

SECONDS = 30  # a query takes no longer, whatever a database holds
MOST = 200_000  # rows of an answer
RUNS = 200  # newest runs that are read
LARGE = 1_000_000  # bytes of an MLmodel
ACTIVE = """select r.run_uuid, r.experiment_id, r.status, r.start_time, r.artifact_uri
from runs r join experiments e on e.experiment_id = r.experiment_id
where r.lifecycle_stage = 'active' and e.lifecycle_stage = 'active' and {}
order by r.start_time desc, r.run_uuid limit {}"""
FINISHED = """r.status = 'FINISHED' and exists
(select 1 from tags t where t.run_uuid = r.run_uuid and t.key = 'role' and t.value = 'model')"""

Facts = dict[str, Any]
Ask = Callable[..., list[tuple[Any, ...]]]


@contextmanager
def open_database(path: Path) -> Iterator[Ask]:
    """A function that answers a query.  Unknown where this is no database, or it cannot answer.

    Nothing is written, not even beside it; what a database defines of its own calls no function.
    """
    if not path.is_file():
        raise Unknown(f"{path.name}: no such file")
    busy = any(path.with_name(path.name + end).exists() for end in ("-wal", "-journal"))
    address = f"{path.absolute().as_uri()}?mode=ro{'' if busy else '&immutable=1'}"
    until = time.monotonic() + SECONDS
    try:
        connection = sqlite3.connect(address, uri=True)
    except sqlite3.Error as error:
        raise Unknown(f"{path.name}: {error}") from error
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)

    def ask(query: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return connection.execute(query, values).fetchmany(MOST)
        except (sqlite3.Error, OverflowError) as error:
            raise Unknown(f"{path.name}: {error}") from error

    try:
        ask("pragma trusted_schema = off")
        yield ask
    finally:
        connection.close()


def mlflow_records(path: Path) -> Facts:
    """What MLflow holds in this database: the same as `records.py` gets from a server."""
    with open_database(path) as ask:
        tables = {name for (name,) in ask("select name from sqlite_master where type = 'table'")}
        if not {"runs", "experiments", "params", "latest_metrics", "tags"} <= tables:
            raise Unknown(f"{path.name}: is no store of MLflow")
        runs = [run_of(ask, tables, row) for row in ask(ACTIVE.format(FINISHED, RUNS))]
        every = ask(ACTIVE.format("r.status != 'RUNNING'", RUNS))
        known = {"runs": runs, "all": [run_of(ask, tables, row) for row in every]}
        newest = model_of(ask, tables, runs[0]) if runs else {}
        return known | {"newest": newest, "registry": registry_of(ask, tables)}


def run_of(ask: Ask, tables: set[str], row: tuple[Any, ...]) -> Facts:
    """A run in plain words."""
    run_id, experiment, status, started, artifacts = row
    metrics = ask("select key, value, is_nan from latest_metrics where run_uuid = ?", run_id)
    outputs = "select destination_id from inputs where source_id = ? and destination_type = ?"
    models = ask(outputs, run_id, "MODEL_OUTPUT") if "inputs" in tables else []
    return {
        "id": run_id,
        "experiment": str(experiment),
        "status": status,
        "started": (started or 0) / 1000,
        "artifacts": artifacts or "",
        "params": dict(ask("select key, value from params where run_uuid = ?", run_id)),
        "metrics": {key: math.nan if is_nan else value for key, value, is_nan in metrics},
        "tags": dict(ask("select key, value from tags where run_uuid = ?", run_id)),
        "models": [name for (name,) in models],
    }


def model_of(ask: Ask, tables: set[str], run: Facts) -> Facts:
    """The inputs and the example of the model that a run logged, as its MLmodel says."""
    if not run["models"] or "logged_models" not in tables:
        return {}
    where = "select artifact_location from logged_models where model_id = ?"
    places = [Path(str(it).removeprefix("file://")) for (it,) in ask(where, run["models"][-1])]
    path = places[0] / "MLmodel" if places else Path()
    if not path.is_file() or path.stat().st_size > LARGE:
        return {}
    try:
        found = yaml.load(path.read_text("utf-8"), Loader=LOADER)
        inputs = json.loads((found.get("signature") or {}).get("inputs") or "[]")
        names = [it["name"] for it in inputs]
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError, yaml.YAMLError):
        return {}
    return {"inputs": names, "example": bool(found.get("saved_input_example_info"))}


def registry_of(ask: Ask, tables: set[str]) -> Facts:
    """Every registered model with its aliases, tags and versions."""
    if not {"registered_models", "registered_model_aliases", "model_versions"} <= tables:
        return {}
    found: Facts = {}
    for (name,) in ask("select name from registered_models order by name"):
        aliases = ask("select alias, version from registered_model_aliases where name = ?", name)
        versions: Facts = {}
        listed = "select version, run_id from model_versions where name = ? and current_stage != ?"
        for number, run in ask(listed, name, "Deleted_Internal"):
            of_version = "select key, value from model_version_tags where name = ? and version = ?"
            versions[str(number)] = {"run": run, "tags": dict(ask(of_version, name, number))}
        found[name] = {
            "aliases": {alias: str(number) for alias, number in aliases},
            "tags": dict(ask("select key, value from registered_model_tags where name = ?", name)),
            "versions": versions,
        }
    return found
