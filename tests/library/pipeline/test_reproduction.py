"""A training repeats; where it does not, that is said."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeRegressor

from mlops_ladder.data.contract import Contract
from mlops_ladder.model import training
from mlops_ladder.model.training import Trained
from mlops_ladder.pipeline import reproduction
from mlops_ladder.settings import Settings


@pytest.fixture(name="repro", scope="module")
def _repro() -> Any:
    """The module behind `ladder reproduce`."""
    return reproduction


def test_two_trainings_agree(
    repro: Any, frame: pd.DataFrame, trained: Trained, contract: Contract, settings: Settings
) -> None:
    """The same rows and settings give the same predictions, within the declared epsilon."""
    again = training.train_model(frame, contract, settings)
    assert repro.max_difference(again.predictions, trained.predictions) <= settings.repro.epsilon


def test_predictions_read_from_a_file_are_those_that_were_written(
    repro: Any, trained: Trained
) -> None:
    """No digit is lost on the way to the run and back."""
    text = trained.predictions.to_csv(index=False)
    found = repro.parse_predictions(text)
    numbers = trained.predictions.select_dtypes("number").filter(regex="^probability_")
    assert repro.max_difference(repro.parse_predictions(found.to_csv(index=False)), found) == 0
    assert np.array_equal(found[list(numbers)], numbers)


def test_the_smallest_difference_is_seen(repro: Any, trained: Trained) -> None:
    """One number that is off in its last digit is a difference, and so is a row too few."""
    name = str(trained.predictions.columns[-1])
    values = trained.predictions[name].to_numpy(dtype="float64", copy=True)
    values[0] = np.nextafter(values[0], np.inf)
    changed = trained.predictions.assign(**{name: values})
    assert 0 < repro.max_difference(trained.predictions, changed) < np.inf
    assert repro.max_difference(trained.predictions, changed.iloc[1:]) == np.inf


def test_a_model_without_a_seed_is_reported(repro: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter that should be a seed and is not set is named; the project has none."""
    assert repro.unset_seeds() == []
    monkeypatch.setattr(repro.problem, "build_model", lambda *_given: DecisionTreeRegressor())
    assert repro.unset_seeds() == ["random_state"]
