"""Tuning: a search for the parameters of the model.  The only file that imports optuna.

Trials learn from the rows for training and are compared on those for validation; the held-out rows
are not looked at.  The same rows, settings and seed give the same search.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Self

from . import ProjectError, mapped, tracking
from .contract import Contract
from .prediction import LOWER_IS_BETTER
from .problem import build_model
from .sections import Space
from .settings import Settings
from .split import Parts
from .training import fit

FEWEST_RANDOM = 3  # trials that only look around before the sampler draws on what it has seen


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
    parts: Parts,
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
    with Record(metric, tags or {}) as record, mapped(settings) as places:
        for params, (score, seconds) in attempts(study, settings.tuning.trials, places, *given):
            trials.append(record.trial(len(trials), params, score, seconds))
            told(f"{len(trials)} trials, best {metric} {best(trials, metric).score:.4g}")
        record.end(first := best(trials, metric))
    return Best(first.params, first.score, record.run_id, tuple(trials))


def tried(params: Mapping[str, Any], *given: Any) -> tuple[float, float]:
    """The score of these parameters, and the seconds of the fit; `given` as of `fit`."""
    train, held, contract, settings = given
    found = fit(train, held, contract, changed(settings, params))
    return found.scores[settings.metric], found.seconds


def best(trials: list[Trial], metric: str) -> Trial:
    """The first of the trials with the best score; the first of all where none is defined."""
    sign = -1 if metric in LOWER_IS_BETTER else 1
    defined = [trial for trial in trials if isfinite(trial.score)]
    return max(defined, key=lambda trial: sign * trial.score, default=trials[0])


def changed(settings: Settings, params: Mapping[str, Any]) -> Settings:
    """The settings with these parameters of the model."""
    return settings.model_copy(update={"model": {**settings.model, **params}})


def parameters(model: Any) -> dict[str, Any]:
    """Every parameter of a model by its own name, whatever the model is wrapped in."""
    found = model.get_params(deep=True)
    return {name.rsplit("__", 1)[-1]: found[name] for name in sorted(found, reverse=True)}


class Study:
    """Proposes parameters from the space of the settings: Optuna's TPE, seeded.

    `start` holds what the settings say of the parameters in the space.
    """

    def __init__(self, contract: Contract, settings: Settings) -> None:
        import optuna  # pylint: disable=import-outside-toplevel  # heavy, and only a search needs it

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        known = parameters(build_model(contract, settings))
        if unknown := [name for name in settings.tuning.space if name not in known]:
            raise ProjectError(
                f"[tuning.space]: {', '.join(unknown)}: no parameter of the model; known are"
                f" {', '.join(sorted(known))} (pipeline.toml)"
            )
        self.optuna = optuna
        self.space = {
            name: distribution(name, values) for name, values in settings.tuning.space.items()
        }
        self.start = {name: known[name] for name in self.space}
        self.study = optuna.create_study(
            direction="minimize" if settings.metric in LOWER_IS_BETTER else "maximize",
            sampler=optuna.samplers.TPESampler(seed=settings.seed, n_startup_trials=FEWEST_RANDOM),
        )

    def proposed(self) -> dict[str, Any]:
        """The next parameters to try."""
        return dict(self.study.ask(self.space).params)

    def learn(self, params: dict[str, Any], score: float) -> None:
        """Take a score into account, where it is defined and the space holds the parameters."""
        try:
            done = self.optuna.trial.create_trial(
                params=params, distributions=self.space, value=score
            )
        except (TypeError, ValueError):
            return
        self.study.add_trial(done)


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


def distribution(name: str, space: Space) -> Any:
    """The values of a parameter, as Optuna has them.  ProjectError where there are none."""
    from optuna import distributions  # pylint: disable=import-outside-toplevel  # as above

    low, high = space.low, space.high
    try:
        if space.choices:
            return distributions.CategoricalDistribution(space.choices)
        if low is None or high is None:
            raise ValueError("low and high, or choices, are needed")
        if isinstance(low, int) and isinstance(high, int):
            return distributions.IntDistribution(low, high, log=space.log)
        return distributions.FloatDistribution(low, high, log=space.log)
    except ValueError as error:
        raise ProjectError(f"[tuning.space.{name}]: {error} (pipeline.toml)") from error


class Record:
    """A search as an MLflow run, its trials nested in it; it fails where the block does."""

    def __init__(self, metric: str, tags: Mapping[str, str]) -> None:
        mlflow = tracking.connect()
        self.client, self.entities = mlflow.MlflowClient(), mlflow.entities
        self.metric, self.tags = metric, dict(tags)
        self.place = tracking.experiment(mlflow)
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
        metrics = [
            self.entities.Metric(name, value, now, 0)
            for name, value in found.items()
            if isfinite(value)
        ]
        params = [self.entities.Param(f"model.{k}", str(v)) for k, v in trial.params.items()]
        self.client.log_batch(run_id, metrics=metrics, params=params)
        self.client.set_terminated(run_id)
