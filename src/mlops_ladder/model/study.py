"""The study of a search: which parameters are tried next.  The only file that imports optuna."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any

from mlops_ladder import plugins, problem, ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.model.prediction import LOWER_IS_BETTER
from mlops_ladder.pipeline.settings import Space
from mlops_ladder.settings import Settings

FEWEST_RANDOM = 3  # trials that only look around before the sampler draws on what it has seen


class SerialExecutor:  # pylint: disable=too-few-public-methods  # a place to work at does one thing
    """How a function is put on many items: one after the other, in this process."""

    at_once = 1  # trials of a search that are chosen before the first of them is scored

    def each(self, function: Callable[..., Any], items: Iterable[Any], *more: Any) -> Iterator[Any]:
        """What the function says of each item, in their order; `more` are further arguments."""
        return (function(item, *more) for item in items)


def open_executor(settings: Any) -> Any:
    """A context that holds something with the methods of `Here`: it, or what is registered."""
    return plugins.get_hooks().get_executor(settings=settings) or nullcontext(SerialExecutor())


def list_model_parameters(model: Any) -> dict[str, Any]:
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
        known = list_model_parameters(problem.build_model(contract, settings))
        if unknown := [name for name in settings.tuning.space if name not in known]:
            told = f"no parameter of the model; known are {', '.join(sorted(known))}"
            raise ProjectError(f"[tuning.space]: {', '.join(unknown)}: {told} (config/tuning.toml)")
        self.optuna = optuna
        declared = settings.tuning.space.items()
        self.space = {name: build_distribution(name, values) for name, values in declared}
        self.start = {name: known[name] for name in self.space}
        self.study = optuna.create_study(
            direction="minimize" if settings.metric in LOWER_IS_BETTER else "maximize",
            sampler=optuna.samplers.TPESampler(seed=settings.seed, n_startup_trials=FEWEST_RANDOM),
        )

    def ask(self) -> dict[str, Any]:
        """Return the parameters of the next trial."""
        return dict(self.study.ask(self.space).params)

    def tell(self, params: dict[str, Any], score: float) -> None:
        """Tell Optuna a score, if it is defined and the parameters are in the space."""
        given: Any = {"params": params, "distributions": self.space, "value": score}
        try:
            done = self.optuna.trial.create_trial(**given)
        except (TypeError, ValueError):
            return
        self.study.add_trial(done)


def build_distribution(name: str, space: Space) -> Any:
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
        raise ProjectError(f"[tuning.space.{name}]: {error} (config/tuning.toml)") from error
