"""Print MLflow's records of this project as JSON.  Run by the project's own Python; read-only."""

import json
import os
import sys
from typing import Any

MAX_RUNS = 200
MODELS = "tags.role = 'model' and attributes.status = 'FINISHED'"


def describe_mlflow_run(run: Any) -> dict[str, Any]:
    """Return a run as plain values."""
    info, data = run.info, run.data
    models = run.outputs.model_outputs if run.outputs else []
    return {
        "id": info.run_id,
        "experiment": info.experiment_id,
        "status": info.status,
        "started": info.start_time / 1000,
        "artifacts": info.artifact_uri,
        "params": dict(data.params),
        "metrics": dict(data.metrics),
        "tags": dict(data.tags),
        "models": [model.model_id for model in models],
    }


def search_runs(client: Any, where: str) -> list[dict[str, Any]]:
    """Return the newest matching runs of all experiments."""
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    options = {"order_by": ["attributes.start_time DESC"], "max_results": MAX_RUNS}
    return [
        describe_mlflow_run(run) for run in client.search_runs(ids, filter_string=where, **options)
    ]


def describe_model(mlflow: Any, run: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs of the model that a run logged, and whether it has an example."""
    if not run["models"]:
        return {}
    info = mlflow.models.get_model_info(f"models:/{run['models'][-1]}")
    inputs = (
        [column["name"] for column in info.signature.inputs.to_dict()] if info.signature else []
    )
    return {"inputs": inputs, "example": bool(info.saved_input_example_info)}


def describe_registry(client: Any) -> dict[str, Any]:
    """Return every registered model with its aliases, tags and versions."""
    registry = {}
    for model in client.search_registered_models():
        versions = client.search_model_versions(f"name = '{model.name}'", max_results=10_000)
        registry[model.name] = {
            "aliases": {name: str(number) for name, number in model.aliases.items()},
            "tags": dict(model.tags),
            "versions": {
                str(one.version): {"run": one.run_id, "tags": one.tags} for one in versions
            },
        }
    return registry


def main() -> None:
    """Print the runs and the registry as JSON."""
    os.environ.setdefault("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
    import mlflow  # pylint: disable=import-outside-toplevel  # it reads the environment set above

    client = mlflow.MlflowClient()
    runs = search_runs(client, MODELS)
    records = {
        "runs": runs,
        "all": search_runs(client, "attributes.status != 'RUNNING'"),
        "newest": describe_model(mlflow, runs[0]) if runs else {},
        "registry": describe_registry(client),
    }
    json.dump(records, sys.stdout)


if __name__ == "__main__":
    main()
