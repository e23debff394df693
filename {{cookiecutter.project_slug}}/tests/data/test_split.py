"""The parts of the data share nothing, and no input holds the answer."""

import pandas as pd
import pytest

from mlops_ladder.data.contract import Contract
from mlops_ladder.model.split import find_overlaps, find_target_leakage, split_three_ways
from mlops_ladder.model.training import prepare_training_rows
from mlops_ladder.settings import Settings


@pytest.fixture(name="rows", scope="module")
def _rows(frame: pd.DataFrame, contract: Contract, settings: Settings) -> pd.DataFrame:
    return prepare_training_rows(frame, contract, settings)


def test_every_row_is_in_one_part(
    rows: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """The parts share no row, id or group, keep the order of time, and hold every row."""
    whole = split_three_ways(rows, contract, settings)
    assert not find_overlaps(whole, contract)
    assert sorted(row for _, part in whole.items() for row in part.index) == sorted(rows.index)


def test_no_input_holds_the_answer(
    rows: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """No column alone tells the target."""
    assert not find_target_leakage(rows, contract, settings)
