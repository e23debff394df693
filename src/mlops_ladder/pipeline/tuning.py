"""Tuning: a search for the parameters of the model.

Trials learn from the training rows and are compared on the validation rows; the search does not use
the held-out rows.  The same rows, settings and seed give the same search.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Self

from mlops_ladder.data.contract import Contract
from mlops_ladder.model import prediction, split, training
from mlops_ladder.model.study import open_executor, Study
from mlops_ladder.settings import Settings
from mlops_ladder.tracking import runs


@dataclass(frozen=True)
class Trial:
    """The parameters of a trial, and their score on the validation rows; NaN if undefined."""

    params: dict[str, Any]
    score: float
    seconds: float
    run_id: str


@dataclass(frozen=True)
class Best:
    """The parameters with the best score on the validation rows, and the run of the search."""

    params: dict[str, Any]
    score: float
    run_id: str
    trials: tuple[Trial, ...]


def search(
    parts: split.Splits,
    contract: Contract,
    settings: Settings,
    tags: Mapping[str, str] | None = None,
    on_progress: Callable[[str], object] = print,
) -> Best:
    """Return the best of `tuning.trials` sets of parameters; log each as a nested run.

    The first set is that of the settings; of equal scores the earlier trial wins.

    Args:
        parts: The rows for training and validation.
        contract: The contract of the rows.
        settings: The settings, with metric, seed and space.
        tags: Tags for all runs.
        on_progress: Called with a line after each trial.

    Raises:
        ProjectError: The space names no parameter of the model, or has no values.
    """
    study, metric, trials = Study(contract, settings), settings.metric, list[Trial]()
    data = parts.train, parts.validation, contract, settings
    with SearchRun(metric, tags or {}) as run, open_executor(settings) as executor:
        for params, (score, seconds) in iter_trials(study, executor, *data):
            trials.append(run.log_trial(len(trials), params, score, seconds))
            best = find_best(trials, metric)
            on_progress(f"{len(trials)} trials, best {metric} {best.score:.4g}")
        run.finish(best)
    return Best(best.params, best.score, run.run_id, tuple(trials))


def evaluate_params(params: Mapping[str, Any], *data: Any) -> tuple[float, float]:
    """Return the score of these parameters, and the seconds of the fit on these data."""
    train, validation, contract, settings = data
    trained = training.fit_model(train, validation, contract, with_params(settings, params))
    return trained.scores[settings.metric], trained.seconds


def find_best(trials: list[Trial], metric: str) -> Trial:
    """Return the first trial with the best score; the first of all if no score is defined."""
    sign = -1 if metric in prediction.LOWER_IS_BETTER else 1
    defined = [trial for trial in trials if isfinite(trial.score)]
    return max(defined, key=lambda trial: sign * trial.score, default=trials[0])


def with_params(settings: Settings, params: Mapping[str, Any]) -> Settings:
    """Return the settings with these parameters of the model."""
    return settings.model_copy(update={"model": {**settings.model, **params}})


def iter_trials(study: Study, executor: Any, *data: Any) -> Iterator[Any]:
    """Yield each set of parameters with its score and seconds; one set if there is no space.

    The executor's batch size is the number of sets that are chosen at once.
    """
    done, count = 0, data[-1].tuning.trials if study.space else 1
    while done < count:
        numbers = range(done, min(done + executor.batch_size, count))
        chosen = [study.ask() if number else study.start for number in numbers]
        results = executor.map(evaluate_params, chosen, *data)
        for params, result in zip(chosen, results, strict=True):
            study.tell(params, result[0])
            yield params, result
        done += len(chosen)


class SearchRun:
    """The MLflow run of a search, its trials nested in it; it fails if the block raises."""

    def __init__(self, metric: str, tags: Mapping[str, str]) -> None:
        mlflow = runs.connect_mlflow()
        self.client, self.entities = mlflow.MlflowClient(), mlflow.entities
        self.metric, self.tags = metric, dict(tags)
        self.experiment_id = runs.get_experiment_id(mlflow)
        self.run_id = self.create_run("tuning", {"role": "tuning"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        if kind:
            self.client.set_terminated(self.run_id, "FAILED")

    def create_run(self, name: str, tags: dict[str, str]) -> str:
        """Return the id of a new run."""
        run = self.client.create_run(self.experiment_id, tags=self.tags | tags, run_name=name)
        return str(run.info.run_id)

    def log_trial(self, number: int, params: dict[str, Any], score: float, seconds: float) -> Trial:
        """Log a trial as a run below the search, and return it."""
        tags = {"role": "trial", "mlflow.parentRunId": self.run_id}
        trial = Trial(params, score, seconds, self.create_run(f"trial-{number}", tags))
        self.log_result(trial.run_id, trial)
        return trial

    def finish(self, best: Trial) -> None:
        """End the search with its best trial."""
        self.client.set_tag(self.run_id, "best_trial", best.run_id)
        self.log_result(self.run_id, best)

    def log_result(self, run_id: str, trial: Trial) -> None:
        """Log parameters and scores of a trial, and end the run."""
        now = int(time.time() * 1000)
        values = {f"validation.{self.metric}": trial.score, "fit_seconds": trial.seconds}
        metrics = [self.entities.Metric(k, v, now, 0) for k, v in values.items() if isfinite(v)]
        params = [self.entities.Param(f"model.{k}", str(v)) for k, v in trial.params.items()]
        self.client.log_batch(run_id, metrics=metrics, params=params)
        self.client.set_terminated(run_id)
