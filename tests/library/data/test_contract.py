"""The data keep the contract, and rows that break it are refused."""

import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.contract import Contract


def test_the_data_hold_every_declared_column(frame: pd.DataFrame, contract: Contract) -> None:
    """No column that the contract names is missing from the data."""
    assert [name for name in contract.columns if name not in frame.columns] == []


def test_the_data_keep_the_contract(frame: pd.DataFrame, contract: Contract) -> None:
    """Every value of a column in use is of its kind; none is lost."""
    names = contract.inputs()
    rows = validate_and_cast(frame, contract, names)
    assert (list(rows), len(rows)) == (names, len(frame))
    assert {n for n in names if rows[n].isna().sum() != frame[n].isna().sum()} == set()


def test_there_is_something_to_learn(frame: pd.DataFrame, contract: Contract) -> None:
    """The target has at least two values, and is not among the inputs."""
    assert frame[contract.target].nunique() >= 2
    assert contract.target not in contract.inputs()


def test_all_breaches_are_listed_at_once(frame: pd.DataFrame, contract: Contract) -> None:
    """Rows that lack columns are refused with every one of them named."""
    names = contract.inputs()
    with pytest.raises(ProjectError) as found:
        validate_and_cast(frame[[contract.target]], contract, names)
    assert [name for name in names if f"{name}: column is missing" not in str(found.value)] == []
