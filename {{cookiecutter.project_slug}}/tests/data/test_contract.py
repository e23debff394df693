"""The data keep the contract."""

import pandas as pd

from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.contract import Contract


def test_the_data_hold_every_declared_column(frame: pd.DataFrame, contract: Contract) -> None:
    """No column that the contract names is missing from the data."""
    assert [name for name in contract.columns if name not in frame.columns] == []


def test_the_data_keep_the_contract(frame: pd.DataFrame, contract: Contract) -> None:
    """Every value of an input is of its kind; none is lost."""
    names = contract.inputs()
    rows = validate_and_cast(frame, contract, names)
    assert {n for n in names if rows[n].isna().sum() != frame[n].isna().sum()} == set()


def test_there_is_something_to_learn(frame: pd.DataFrame, contract: Contract) -> None:
    """The target has at least two values, and is not among the inputs."""
    assert frame[contract.target].nunique() >= 2
    assert contract.target not in contract.inputs()
