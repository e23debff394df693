"""What MLflow holds of this project, as JSON.  Run by the project's own Python; it only reads."""

import json
import os
import sys
from typing import Any

RUNS = 200


def run_of(found: Any) -> dict[str, Any]:
    """A run in plain words."""
    info, data = found.info, found.data
    models = found.outputs.model_outputs if found.outputs else []
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


def runs_of(client: Any, where: str) -> list[dict[str, Any]]:
    """The newest runs that fit, in all experiments."""
    places = [it.experiment_id for it in client.search_experiments()]
    order = ["attributes.start_time DESC"]
    found = client.search_runs(places, filter_string=where, order_by=order, max_results=RUNS)
    return [run_of(it) for it in found]


def model_of(mlflow: Any, run: dict[str, Any]) -> dict[str, Any]:
    """The inputs and the example of the model that a run logged."""
    if not run["models"]:
        return {}
    info = mlflow.models.get_model_info(f"models:/{run['models'][-1]}")
    inputs = [it["name"] for it in info.signature.inputs.to_dict()] if info.signature else []
    return {"inputs": inputs, "example": bool(info.saved_input_example_info)}


def registry_of(client: Any) -> dict[str, Any]:
    """Every registered model with its aliases, tags and versions."""
    found = {}
    for model in client.search_registered_models():
        versions = client.search_model_versions(f"name = '{model.name}'", max_results=10_000)
        found[model.name] = {
            "aliases": {name: str(number) for name, number in model.aliases.items()},
            "tags": dict(model.tags),
            "versions": {str(it.version): {"run": it.run_id, "tags": it.tags} for it in versions},
        }
    return found


def main() -> None:
    """Print all of it."""
    os.environ.setdefault("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_LOGGING_LEVEL": "ERROR"}
    import mlflow  # pylint: disable=import-outside-toplevel  # once the environment is as it should

    client = mlflow.MlflowClient()
    runs = runs_of(client, "tags.role = 'model' and attributes.status = 'FINISHED'")
    newest = model_of(mlflow, runs[0]) if runs else {}
    others = runs_of(client, "attributes.status != 'RUNNING'")
    known = {"runs": runs, "all": others, "newest": newest, "registry": registry_of(client)}
    json.dump(known, sys.stdout)


if __name__ == "__main__":
    main()
