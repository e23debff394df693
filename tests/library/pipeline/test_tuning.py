"""The search: on the validation rows alone, the same each time, and the best one is taken."""

from dataclasses import replace

import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.model import study
from mlops_ladder.model.prediction import LOWER_IS_BETTER
from mlops_ladder.model.split import split_three_ways, Splits
from mlops_ladder.model.training import prepare_training_rows
from mlops_ladder.pipeline import tuning
from mlops_ladder.problem import build_model
from mlops_ladder.settings import Settings
from mlops_ladder.pipeline.settings import Space, Tuning
from mlops_ladder.tracking import runs as tracking

TRIALS, ROWS = 4, 1000


@pytest.fixture(name="few", scope="module")
def _few(settings: Settings) -> Settings:
    """The settings with fewer trials."""
    tuned = Tuning(trials=TRIALS, space=settings.tuning.space)
    return settings.model_copy(update={"tuning": tuned})


@pytest.fixture(name="parted", scope="module")
def _parted(frame: pd.DataFrame, contract: Contract, settings: Settings) -> Splits:
    """Up to 1,000 rows in their parts."""
    some = frame.sample(min(len(frame), ROWS), random_state=0).sort_index()
    try:
        return split_three_ways(prepare_training_rows(some, contract, settings), contract, settings)
    except ProjectError as error:
        raise pytest.skip.Exception(f"these data cannot be searched on: {error}") from error


@pytest.fixture(name="best", scope="module")
def _best(parted: Splits, contract: Contract, few: Settings) -> tuning.Best:
    """One search."""
    try:
        return tuning.search(parted, contract, few, on_progress=str)
    except ProjectError as error:
        raise pytest.skip.Exception(f"these data cannot be searched on: {error}") from error


def test_the_search_and_its_trials_are_nested_runs(best: tuning.Best) -> None:
    """Each trial is a finished run below the search, which names the best one."""
    mlflow = tracking.connect_mlflow()
    search = mlflow.get_run(best.run_id)
    runs = [mlflow.get_run(trial.run_id) for trial in best.trials]
    assert search.data.tags["role"] == "tuning"
    assert {run.data.tags["mlflow.parentRunId"] for run in runs} == {best.run_id}
    assert {(run.info.status, run.data.tags["role"]) for run in runs} == {("FINISHED", "trial")}
    chosen = mlflow.get_run(search.data.tags["best_trial"]).data.params
    assert chosen == search.data.params
    assert chosen == {f"model.{name}": str(value) for name, value in best.params.items()}


def test_the_best_trial_is_taken(best: tuning.Best, few: Settings) -> None:
    """No other trial has a better score on the validation rows."""
    scores = pd.Series([trial.score for trial in best.trials]).dropna()
    if scores.empty:
        pytest.skip(f"{few.metric} is not defined on these validation rows")
    wanted = scores.min() if few.metric in LOWER_IS_BETTER else scores.max()
    assert best.score == wanted
    assert best.params == next(it.params for it in best.trials if it.score == wanted)


def test_of_two_trials_the_better_one_wins_and_of_equal_ones_the_first(few: Settings) -> None:
    """A score that is not defined never wins against one that is."""
    worse, better = (2.0, 1.0) if few.metric in LOWER_IS_BETTER else (1.0, 2.0)
    scores = [float("nan"), worse, better, better]
    trials = [tuning.Trial({"number": n}, score, 0, "") for n, score in enumerate(scores)]
    assert tuning.find_best(trials, few.metric).params == {"number": 2}


def test_the_first_trial_is_what_the_settings_say(
    best: tuning.Best, contract: Contract, few: Settings
) -> None:
    """So a search never ends with worse parameters than those that are there."""
    now = study.list_model_parameters(build_model(contract, few))
    assert best.trials[0].params == {name: now[name] for name in few.tuning.space}


def test_the_same_seed_gives_the_same_search_whatever_is_held_out(
    best: tuning.Best, parted: Splits, contract: Contract, few: Settings
) -> None:
    """Without any held-out row the search finds the same, trial by trial."""
    again = tuning.search(
        replace(parted, holdout=parted.holdout.head(0)), contract, few, on_progress=str
    )
    assert [it.params for it in again.trials] == [it.params for it in best.trials]
    assert [str(it.score) for it in again.trials] == [str(it.score) for it in best.trials]


def test_the_parameters_reach_the_model(
    best: tuning.Best, contract: Contract, few: Settings
) -> None:
    """A model built with the parameters of a trial has them."""
    for trial in best.trials:
        built = build_model(contract, tuning.with_params(few, trial.params))
        assert trial.params.items() <= study.list_model_parameters(built).items()


def test_a_parameter_that_the_model_does_not_know_is_named(
    contract: Contract, few: Settings
) -> None:
    """It ends the search before the first trial, and the parameters that there are are listed."""
    tuned = Tuning(trials=2, space={"no_such_parameter": Space(low=1, high=2)})
    with pytest.raises(ProjectError, match="no_such_parameter: no parameter of the model; known"):
        study.Study(contract, few.model_copy(update={"tuning": tuned}))


@pytest.mark.parametrize(
    "space", [Space(low=1), Space(low=2, high=1), Space(low=0, high=1, log=True)]
)
def test_a_space_without_values_is_named(space: Space) -> None:
    """A parameter needs a low and a greater high, or choices; for a logarithm both above 0."""
    with pytest.raises(ProjectError, match=r"\[tuning.space.depth\]"):
        study.build_distribution("depth", space)


def test_a_space_holds_whole_numbers_numbers_or_choices() -> None:
    """Two whole numbers give whole ones, else fractions; choices are those that are listed."""
    kinds = [Space(low=1, high=8), Space(low=1.0, high=8), Space(choices=["a", "b"])]
    found = [type(study.build_distribution("depth", it)).__name__ for it in kinds]
    assert found == ["IntDistribution", "FloatDistribution", "CategoricalDistribution"]
