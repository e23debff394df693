"""Tuning: a search for the parameters of the model.

Trials learn from the rows for training and are compared on those for validation; the held-out rows
are not looked at.  The same rows, settings and seed give the same search.
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
    """Parameters that were tried, and their score on the validation rows; NaN where undefined."""

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
    told: Callable[[str], object] = print,
) -> Best:
    """The best of `tuning.trials` sets of parameters, each a nested run; `tags` are on all runs.

    The first set is that of the settings; of equal scores the earlier one wins.  Raises
    ProjectError where the space names no parameter of the model, or holds no values.
    """
    study, metric, trials = Study(contract, settings), settings.metric, list[Trial]()
    given = parts.train, parts.validation, contract, settings
    with Record(metric, tags or {}) as record, open_executor(settings) as places:
        for params, (score, seconds) in attempts(study, settings.tuning.trials, places, *given):
            trials.append(record.trial(len(trials), params, score, seconds))
            told(f"{len(trials)} trials, best {metric} {best(trials, metric).score:.4g}")
        record.end(first := best(trials, metric))
    return Best(first.params, first.score, record.run_id, tuple(trials))


def tried(params: Mapping[str, Any], *given: Any) -> tuple[float, float]:
    """The score of these parameters, and the seconds of the fit; `given` as of `fit`."""
    train, held, contract, settings = given
    found = training.fit_model(train, held, contract, changed(settings, params))
    return found.scores[settings.metric], found.seconds


def best(trials: list[Trial], metric: str) -> Trial:
    """The first of the trials with the best score; the first of all where none is defined."""
    sign = -1 if metric in prediction.LOWER_IS_BETTER else 1
    defined = [trial for trial in trials if isfinite(trial.score)]
    return max(defined, key=lambda trial: sign * trial.score, default=trials[0])


def changed(settings: Settings, params: Mapping[str, Any]) -> Settings:
    """The settings with these parameters of the model."""
    return settings.model_copy(update={"model": {**settings.model, **params}})


def attempts(study: Study, most: int, places: Any, *given: Any) -> Iterator[Any]:
    """Each set of parameters with its score and seconds: as many as may be, one without a space.

    As many are chosen at once as the places that work want.
    """
    done, most = 0, most if study.space else 1
    while done < most:
        numbers = range(done, min(done + places.at_once, most))
        chosen = [study.proposed() if number else study.start for number in numbers]
        for params, found in zip(chosen, places.each(tried, chosen, *given), strict=True):
            study.learn(params, found[0])
            yield params, found
        done += len(chosen)


class Record:
    """A search as an MLflow run, its trials nested in it; it fails where the block does."""

    def __init__(self, metric: str, tags: Mapping[str, str]) -> None:
        mlflow = runs.connect_mlflow()
        self.client, self.entities = mlflow.MlflowClient(), mlflow.entities
        self.metric, self.tags = metric, dict(tags)
        self.place = runs.get_experiment_id(mlflow)
        self.run_id = self.begin("tuning", {"role": "tuning"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_found: object) -> None:
        if kind:
            self.client.set_terminated(self.run_id, "FAILED")

    def begin(self, name: str, tags: dict[str, str]) -> str:
        """The id of a new run."""
        run = self.client.create_run(self.place, tags=self.tags | tags, run_name=name)
        return str(run.info.run_id)

    def trial(self, number: int, params: dict[str, Any], score: float, seconds: float) -> Trial:
        """The trial, recorded below the search."""
        above = {"role": "trial", "mlflow.parentRunId": self.run_id}
        trial = Trial(params, score, seconds, self.begin(f"trial-{number}", above))
        self.write(trial.run_id, trial)
        return trial

    def end(self, chosen: Trial) -> None:
        """End the search, with what was chosen."""
        self.client.set_tag(self.run_id, "best_trial", chosen.run_id)
        self.write(self.run_id, chosen)

    def write(self, run_id: str, trial: Trial) -> None:
        """What a trial tried and found, and the end of the run."""
        now = int(time.time() * 1000)
        found = {f"validation.{self.metric}": trial.score, "fit_seconds": trial.seconds}
        known = {name: value for name, value in found.items() if isfinite(value)}
        metrics = [self.entities.Metric(name, value, now, 0) for name, value in known.items()]
        params = [self.entities.Param(f"model.{k}", str(v)) for k, v in trial.params.items()]
        self.client.log_batch(run_id, metrics=metrics, params=params)
        self.client.set_terminated(run_id)
