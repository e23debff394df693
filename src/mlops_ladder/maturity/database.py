"""SQLite databases, and the store of MLflow in one: read as data, by this tool's own Python."""

import json
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import yaml

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.capabilities import LOADER

TIMEOUT_S = 30  # of a query, for any database
MAX_ROWS = 200_000  # in an answer
MAX_RUNS = 200  # only the newest are read
MAX_MLMODEL = 1_000_000  # bytes
RUNS = """select r.run_uuid, r.experiment_id, r.status, r.start_time, r.artifact_uri
from runs r join experiments e on e.experiment_id = r.experiment_id
where r.lifecycle_stage = 'active' and e.lifecycle_stage = 'active' and {}
order by r.start_time desc, r.run_uuid limit {}"""
FINISHED_MODELS = """r.status = 'FINISHED' and exists
(select 1 from tags t where t.run_uuid = r.run_uuid and t.key = 'role' and t.value = 'model')"""
TABLES = {"runs", "experiments", "params", "latest_metrics", "tags"}
REGISTRY_TABLES = {"registered_models", "registered_model_aliases", "model_versions"}

Facts = dict[str, Any]
Ask = Callable[..., list[tuple[Any, ...]]]


@contextmanager
def open_database(path: Path) -> Iterator[Ask]:
    """Yield a function that answers a query.  Raise Unknown if this is no database, or it fails.

    Nothing is written, not even beside the database.  SQL in the database cannot call a function.
    """
    if not path.is_file():
        raise Unknown(f"{path.name}: no such file")
    is_busy = any(path.with_name(path.name + end).exists() for end in ("-wal", "-journal"))
    address = f"{path.absolute().as_uri()}?mode=ro{'' if is_busy else '&immutable=1'}"
    until = time.monotonic() + TIMEOUT_S
    try:
        connection = sqlite3.connect(address, uri=True)
    except sqlite3.Error as error:
        raise Unknown(f"{path.name}: {error}") from error
    connection.text_factory = lambda text: text.decode("utf-8", "replace")
    connection.set_progress_handler(lambda: time.monotonic() > until, 10_000)

    def ask(query: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return connection.execute(query, values).fetchmany(MAX_ROWS)
        except (sqlite3.Error, OverflowError) as error:
            raise Unknown(f"{path.name}: {error}") from error

    with closing(connection):
        ask("pragma trusted_schema = off")
        yield ask


def read_mlflow_records(path: Path) -> Facts:
    """Return what MLflow holds in a database: the same as `records.py` gets from a server."""
    with open_database(path) as ask:
        tables = {name for (name,) in ask("select name from sqlite_master where type = 'table'")}
        if not TABLES <= tables:
            raise Unknown(f"{path.name}: is no store of MLflow")
        runs = [read_run(ask, tables, row) for row in ask(RUNS.format(FINISHED_MODELS, MAX_RUNS))]
        every = ask(RUNS.format("r.status != 'RUNNING'", MAX_RUNS))
        return {
            "runs": runs,
            "all": [read_run(ask, tables, row) for row in every],
            "newest": read_model(ask, tables, runs[0]) if runs else {},
            "registry": read_registry(ask) if REGISTRY_TABLES <= tables else {},
        }


def read_run(ask: Ask, tables: set[str], row: tuple[Any, ...]) -> Facts:
    """Return a run as plain values."""
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


def read_model(ask: Ask, tables: set[str], run: Facts) -> Facts:
    """Return the inputs of the model that a run logged, and whether it has an example."""
    if not run["models"] or "logged_models" not in tables:
        return {}
    where = "select artifact_location from logged_models where model_id = ?"
    for (folder,) in ask(where, run["models"][-1])[:1]:
        path = Path(str(folder).removeprefix("file://")) / "MLmodel"
        try:
            if path.is_file() and path.stat().st_size <= MAX_MLMODEL:
                model = yaml.load(path.read_text("utf-8"), Loader=LOADER)
                inputs = json.loads((model.get("signature") or {}).get("inputs") or "[]")
                names = [column["name"] for column in inputs]
                return {"inputs": names, "example": bool(model.get("saved_input_example_info"))}
        except (ValueError, AttributeError, KeyError, TypeError, RecursionError, yaml.YAMLError):
            pass  # a file that cannot be read gives no facts
    return {}


def read_registry(ask: Ask) -> Facts:
    """Return every registered model with its aliases, tags and versions."""
    versions_of = "select version, run_id from model_versions where name = ? and current_stage != ?"
    tags_of_version = "select key, value from model_version_tags where name = ? and version = ?"
    aliases_of = "select alias, version from registered_model_aliases where name = ?"
    tags_of = "select key, value from registered_model_tags where name = ?"
    return {
        name: {
            "aliases": {alias: str(number) for alias, number in ask(aliases_of, name)},
            "tags": dict(ask(tags_of, name)),
            "versions": {
                str(number): {"run": run, "tags": dict(ask(tags_of_version, name, number))}
                for number, run in ask(versions_of, name, "Deleted_Internal")
            },
        }
        for (name,) in ask("select name from registered_models order by name")
    }
