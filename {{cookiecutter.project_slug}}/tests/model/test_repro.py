"""A training repeats; where it does not, that is said."""

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeRegressor

from {{ cookiecutter.package_name }} import repro, training
from {{ cookiecutter.package_name }}.contract import Contract
from {{ cookiecutter.package_name }}.settings import Settings
from {{ cookiecutter.package_name }}.training import Trained


def test_two_trainings_agree(
    frame: pd.DataFrame, trained: Trained, contract: Contract, settings: Settings
) -> None:
    """The same rows and settings give the same predictions, within the declared epsilon."""
    again = training.train(frame, contract, settings)
    assert repro.apart(again.predictions, trained.predictions) <= settings.repro.epsilon


def test_predictions_read_from_a_file_are_those_that_were_written(trained: Trained) -> None:
    """No digit is lost on the way to the run and back."""
    found = repro.read(trained.predictions.to_csv(index=False))
    numbers = trained.predictions.select_dtypes("number").filter(regex="^probability_")
    assert repro.apart(repro.written(trained.predictions), found) == 0
    assert np.array_equal(found[list(numbers)], numbers)


def test_the_smallest_difference_is_seen(trained: Trained) -> None:
    """One prediction that is another word, or a number off by a trillionth, is a difference."""
    changed = trained.predictions.copy()
    if changed.shape[1] > 1:
        changed.iloc[0, 1] = changed.iloc[0, 1] + 1e-12
    else:
        changed.iloc[0, 0] = np.nextafter(changed.iloc[0, 0], np.inf)
    assert 0 < repro.apart(trained.predictions, changed) < 1
    assert repro.apart(trained.predictions, changed.iloc[1:]) == np.inf


def test_a_model_without_a_seed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter that should be a seed and is not set is named; the project's own model has none."""
    assert repro.unseeded() == []
    monkeypatch.setattr(repro, "build_model", lambda *_given: DecisionTreeRegressor())
    assert repro.unseeded() == ["random_state"]
