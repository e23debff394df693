"""The parts of the data share nothing, and no input holds the answer."""

import pandas as pd
import pytest

from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.model.split import FEWEST_ROWS, leaks, overlaps, parts
from mlops_ladder.model.training import learnable
from mlops_ladder.settings import Settings

LEAK = "a copy of the target"


@pytest.fixture(name="rows", scope="module")
def _rows(frame: pd.DataFrame, contract: Contract, settings: Settings) -> pd.DataFrame:
    return learnable(frame, contract, settings)


def test_every_row_is_in_one_part(
    rows: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """The parts share no row, id or group, keep the order of time, and hold every row."""
    whole = parts(rows, contract, settings)
    assert not overlaps(whole, contract)
    assert sorted(row for _, part in whole.items() for row in part.index) == sorted(rows.index)


def test_no_input_holds_the_answer(
    rows: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """No column alone tells the target."""
    assert not leaks(rows, contract, settings)


def test_a_leaked_target_is_told(
    rows: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """An input that is a copy of the target is named."""
    if len(rows) < 2 * FEWEST_ROWS:
        pytest.skip(f"leaks are told from {FEWEST_ROWS} rows on")
    copy = pd.Series(pd.factorize(rows[contract.target], sort=True)[0], rows.index, float)
    column = Column(kind="number", role="feature", nullable=True)
    known = contract.model_copy(update={"columns": contract.columns | {LEAK: column}})
    (told,) = leaks(rows.assign(**{LEAK: copy}), known, settings)
    assert told.startswith(f"{LEAK}: alone it tells ")
