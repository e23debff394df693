"""The study of a search: chooses the next parameters.  The only file that imports optuna."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import Any

from mlops_ladder import plugins, problem, ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.model.prediction import LOWER_IS_BETTER
from mlops_ladder.pipeline.settings import Space
from mlops_ladder.settings import Settings

MIN_RANDOM_TRIALS = 3  # trials at random before the sampler uses the scores so far


@dataclass
class SerialExecutor:
    """Calls a function on many items, one after the other, in this process."""

    batch_size: int = 1  # trials of a search that are chosen before the first of them is scored

    def map(self, function: Callable[..., Any], items: Iterable[Any], *more: Any) -> Iterator[Any]:
        """Return the results by the order of the items; `more` are further arguments."""
        return (function(item, *more) for item in items)


def open_executor(settings: Any) -> Any:
    """Return a context of the executor that a plugin brings, or of a SerialExecutor."""
    return plugins.get_hooks().get_executor(settings=settings) or nullcontext(SerialExecutor())


def list_model_parameters(model: Any) -> dict[str, Any]:
    """Return each parameter of a model by its own name, also of a wrapped model."""
    params = model.get_params(deep=True)
    return {name.rsplit("__", 1)[-1]: params[name] for name in sorted(params, reverse=True)}


class Study:
    """Chooses parameters from the space of the settings by Optuna's TPE sampler, with a seed.

    `start` holds the values of the settings for the parameters in the space.
    """

    def __init__(self, contract: Contract, settings: Settings) -> None:
        import optuna  # pylint: disable=import-outside-toplevel  # heavy, and only a search needs it

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        params = list_model_parameters(problem.build_model(contract, settings))
        if unknown := [name for name in settings.tuning.space if name not in params]:
            why = f"no parameter of the model; known are {', '.join(sorted(params))}"
            raise ProjectError(f"[tuning.space]: {', '.join(unknown)}: {why} (config/tuning.toml)")
        self.optuna = optuna
        spaces = settings.tuning.space.items()
        self.space = {name: build_distribution(name, space) for name, space in spaces}
        self.start = {name: params[name] for name in self.space}
        sampler = optuna.samplers.TPESampler(seed=settings.seed, n_startup_trials=MIN_RANDOM_TRIALS)
        self.study = optuna.create_study(
            direction="minimize" if settings.metric in LOWER_IS_BETTER else "maximize",
            sampler=sampler,
        )

    def ask(self) -> dict[str, Any]:
        """Return the next parameters to score."""
        return dict(self.study.ask(self.space).params)

    def tell(self, params: dict[str, Any], score: float) -> None:
        """Add a scored trial, unless its score is undefined or the space lacks its parameters."""
        options: Any = {"params": params, "distributions": self.space, "value": score}
        with suppress(TypeError, ValueError):
            self.study.add_trial(self.optuna.trial.create_trial(**options))


def build_distribution(name: str, space: Space) -> Any:
    """Return the space of a parameter for Optuna.  Raise ProjectError if it has no values."""
    # pylint: disable-next=import-outside-toplevel  # slow to import, and only a search needs it
    from optuna import distributions

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
        raise ProjectError(f"[tuning.space.{name}]: {error} (config/tuning.toml)") from error
