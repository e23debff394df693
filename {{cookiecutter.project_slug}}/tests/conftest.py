"""What the tests share: your settings, contract and rows, and one model trained on them."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from mlops_ladder import refuse_other_folder
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.model.training import train_model, Trained
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings, Settings

refuse_other_folder()  # a copied .venv would test the code of another folder


@pytest.fixture(name="settings", scope="session")
def _settings() -> Settings:
    return load_settings()


@pytest.fixture(name="contract", scope="session")
def _contract() -> Contract:
    return read_contract()


@pytest.fixture(name="frame", scope="session")
def _frame(settings: Settings) -> pd.DataFrame:
    rows = read_data(settings)  # all, or 5,000 of them
    return rows.sample(min(len(rows), 5000), random_state=0).sort_index()


@pytest.fixture(name="trained", scope="session")
def _trained(frame: pd.DataFrame, contract: Contract, settings: Settings) -> Trained:
    return train_model(frame, contract, settings)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the settings of this project, in which a test may write."""
    for path in [*Path().glob("*.toml"), *Path().glob("config/*.toml")]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / path)
    monkeypatch.chdir(tmp_path)
    return tmp_path
