"""Rows that break the contract are refused before training, each column by its name."""

import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.model.training import prepare_training_rows
from mlops_ladder.settings import Settings


def test_missing_columns_are_named(
    frame: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """Every input that the rows lack, at once."""
    with pytest.raises(ProjectError) as refused:
        prepare_training_rows(frame[[contract.target]], contract, settings)
    told = str(refused.value)
    assert [it for it in contract.inputs() if f"{it}: column is missing" not in told] == []


def test_a_word_among_numbers_is_named(
    frame: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """A value of another kind, with its column."""
    for name in contract.inputs("number", "integer", "boolean", "time"):
        rows = frame[frame[contract.target].notna()].astype({name: "object"})
        rows.iloc[0, list(rows).index(name)] = "nonsense"
        with pytest.raises(ProjectError, match="nonsense") as refused:
            prepare_training_rows(rows, contract, settings)
        assert f"{name}: " in str(refused.value)
