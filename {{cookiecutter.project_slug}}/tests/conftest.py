"""What the tests share: the configured problem, a model of it, and one recorded run."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from mlops_ladder import main, project, refuse_other_folder
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.model import training as training
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load, Settings
from mlops_ladder.tracking import runs

refuse_other_folder()  # a copied .venv would test the code of another folder
ROOT = Path(__file__).resolve().parents[1]
ROWS = 5000


@pytest.fixture(name="settings", scope="session")
def _settings() -> Settings:
    """The settings of this project."""
    return load()


@pytest.fixture(name="contract", scope="session")
def _contract() -> Contract:
    """The contract of this project."""
    return read_contract()


@pytest.fixture(name="frame", scope="session")
def _frame(settings: Settings) -> pd.DataFrame:
    """The configured data: all rows, or 5,000 of them."""
    rows = read_data(settings)
    return rows.sample(min(len(rows), ROWS), random_state=0).sort_index()


@pytest.fixture(name="trained", scope="session")
def _trained(frame: pd.DataFrame, contract: Contract, settings: Settings) -> training.Trained:
    """A model trained on `frame`."""
    return training.train(frame, contract, settings)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in that holds the project's config and contract."""
    for name in ("config.toml", "contract.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session", autouse=True)
def _project() -> Iterator[None]:
    """A folder of the tests' own counts as this project."""
    read = project.read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            project, "read", lambda at: read(at if (at / "pyproject.toml").exists() else ROOT)
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def _store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A tracking store of the tests' own: no test writes into the project's."""
    place = tmp_path_factory.mktemp("tracking")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place / 'mlflow.db'}")
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        artifacts = (place / "artifacts").as_uri()
        runs.connect().create_experiment(runs.experiment_name(), artifact_location=artifacts)
        yield


@pytest.fixture(scope="session")
def run(trained: training.Trained) -> runs.Run:
    """The recorded run of `trained`."""
    runs.record(trained)
    newest = runs.newest()
    assert newest is not None
    return newest


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`command("train")` runs a command of the project, and gives its exit status."""

    def called(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["project", *arguments])
        return main()

    return called
