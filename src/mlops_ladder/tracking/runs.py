"""Tracking: every training as an MLflow run.  The only file that imports mlflow."""

import logging
import os
import shutil
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, UTC
from math import isfinite
from pathlib import Path
from typing import Any

from mlops_ladder import ProjectError
from mlops_ladder.data.provenance import get_provenance_tags, list_packages, list_requirements
from mlops_ladder.model.artifacts import pickle_own_code
from mlops_ladder.model.evaluation import collect_metrics, draw_figures
from mlops_ladder.model.training import Trained
from mlops_ladder.project import get_project
from mlops_ladder.tracking.store import prepare_store, STORE

DEFAULT = f"sqlite:///{STORE}"


@dataclass(frozen=True)
class Run:
    """A finished run: what MLflow holds about it."""

    run_id: str
    started: datetime
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


def connect_mlflow() -> Any:
    """Return mlflow, set to MLFLOW_TRACKING_URI; without one, to mlflow.db in this folder."""
    os.environ.setdefault("MLFLOW_TRACKING_URI", DEFAULT)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        import mlflow  # pylint: disable=import-outside-toplevel  # takes 1.6 s to import
    except ImportError as error:
        raise ProjectError(f"{error}: not all is installed; run `make setup`") from error
    for name in ("mlflow.utils.environment", "mlflow.sklearn"):  # the latter warns of each pickle
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message=".*Inferred schema contains integer column")
    if os.environ["MLFLOW_TRACKING_URI"] == DEFAULT:
        prepare_store(mlflow, Path.cwd())
    return mlflow


def collect_run_parameters(trained: Trained) -> dict[str, Any]:
    """Return the settings and the parameters of the estimator, one level deep."""
    settings = trained.settings.model_dump(include={"problem", "metric", "seed", "holdout"})
    last = getattr(trained.model, "steps", [("", trained.model)])[-1][1]
    inside = {f"model.{name}": value for name, value in last.get_params(deep=False).items()}
    return settings | {"data.path": trained.settings.data.path} | inside


def record_training(
    trained: Trained, folders: Iterable[Path] = (), more_tags: Mapping[str, str] | None = None
) -> str:
    """Record a training: the baseline as one run, the model as the next; return the latter's id.

    The model's run holds parameters, metrics with intervals, five tags and more, plots, held-out
    predictions, installed versions, these folders, the model with signature and input example.
    """
    print("Recording the run ...", flush=True)
    mlflow = connect_mlflow()
    tags = get_provenance_tags(trained.settings) | {"model_version": trained.version}
    tags |= more_tags or {}
    record_baseline(mlflow, get_experiment_id(mlflow), trained, tags)
    tags |= {"role": "model", "package": get_project().package}
    with mlflow.start_run(run_name=f"model-{trained.version}", tags=tags) as run:
        mlflow.log_params(collect_run_parameters(trained))
        mlflow.log_metrics(collect_metrics(trained))
        for name, figure in draw_figures(trained).items():
            mlflow.log_figure(figure, f"plots/{name}")
        ids = trained.holdout[trained.contract.names("id", "time")]
        rows = ids.assign(truth=trained.truth, **trained.predictions)
        mlflow.log_text(rows.to_csv(index=False), "predictions.csv")
        mlflow.log_text("\n".join(list_packages()), "environment.txt")
        for name in ("config.toml", "contract.toml"):
            mlflow.log_artifact(name)
        for folder in folders:
            mlflow.log_artifacts(str(folder), folder.name)
        record_model(mlflow, trained)
    print(f"Recorded run {run.info.run_id}; to see it: make ui")
    return str(run.info.run_id)


def get_experiment_id(mlflow: Any) -> str:
    """Return the id of the project's experiment, or of that of a run opened by `mlflow run`."""
    if run_id := os.environ.get("MLFLOW_RUN_ID"):
        return str(mlflow.get_run(run_id).info.experiment_id)
    return str(mlflow.set_experiment(get_project().package).experiment_id)


def record_baseline(mlflow: Any, experiment: str, trained: Trained, tags: dict[str, str]) -> None:
    """Record the baseline's metrics as a finished run of the same experiment."""
    client = mlflow.MlflowClient()
    run = client.create_run(experiment, tags=tags | {"role": "baseline"}, run_name="baseline")
    for name, value in trained.baseline_scores.items():
        if isfinite(value):
            client.log_metric(run.info.run_id, name, value)
    client.set_terminated(run.info.run_id)


def record_model(mlflow: Any, trained: Trained) -> None:
    """Record the model with the project's code, as a pickle: load only models that you trust."""
    rows = trained.holdout[trained.contract.inputs()]
    with pickle_own_code():
        mlflow.sklearn.log_model(
            trained.model,
            name="model",
            signature=mlflow.models.infer_signature(rows, trained.predictions["prediction"]),
            input_example=rows.head(5),
            pip_requirements=list_requirements(),
            serialization_format="cloudpickle",
        )


def find_newest_run() -> Run | None:
    """Return the newest finished run of a model of this project; None if there is none."""
    if os.environ.get("MLFLOW_TRACKING_URI", DEFAULT) == DEFAULT and not Path(STORE).exists():
        return None
    mlflow = connect_mlflow()
    # Other projects may use the same server.
    ours = f"tags.package = '{get_project().package}' and tags.role = 'model'"
    runs = mlflow.MlflowClient().search_runs(
        [experiment.experiment_id for experiment in mlflow.search_experiments()],
        filter_string=f"{ours} and attributes.status = 'FINISHED'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
    )
    return convert_run(runs[0]) if runs else None


def convert_run(run: Any) -> Run:
    """Return MLflow's run as ours."""
    info, data = run.info, run.data
    started = datetime.fromtimestamp(info.start_time / 1000, tz=UTC)
    return Run(info.run_id, started, dict(data.params), dict(data.metrics), dict(data.tags))


def download_plots(run: Run, folder: Path) -> list[Path]:
    """Replace the plots in the folder by those of the run, and return their paths."""
    source = connect_mlflow().artifacts.download_artifacts(run_id=run.run_id, artifact_path="plots")
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    return [Path(shutil.copy(path, folder)) for path in sorted(Path(source).iterdir())]
