"""What the tests share: your settings, contract and rows, and one model trained on them."""

import pandas as pd
import pytest

from mlops_ladder import refuse_other_folder
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.model.training import train, Trained
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load, Settings

refuse_other_folder()  # a copied .venv would test the code of another folder


@pytest.fixture(name="settings", scope="session")
def _settings() -> Settings:
    return load()


@pytest.fixture(name="contract", scope="session")
def _contract() -> Contract:
    return read_contract()


@pytest.fixture(name="frame", scope="session")
def _frame(settings: Settings) -> pd.DataFrame:
    """The configured data: all rows, or 5,000 of them."""
    rows = read_data(settings)
    return rows.sample(min(len(rows), 5000), random_state=0).sort_index()


@pytest.fixture(name="trained", scope="session")
def _trained(frame: pd.DataFrame, contract: Contract, settings: Settings) -> Trained:
    return train(frame, contract, settings)
