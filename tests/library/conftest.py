"""What the tests of the library share: one project, its rows, a model of them, and one recorded run."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from library.fixture_project import FOLDER, ROOT

from mlops_ladder import main, project
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.model import training
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings, Settings
from mlops_ladder.tracking import runs

ROWS = 5000
TESTS = Path(__file__).resolve().parent
READ = project.read_project


def read_project(folder: Path) -> project.Project:
    """Read the project of a folder; a folder that a test has made counts as the fixture project."""
    return READ(folder if (folder / "pyproject.toml").exists() else ROOT)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run each test of this folder, with its fixtures, in the project and with a store of its own."""
    if not item.path.is_relative_to(TESTS):
        return (yield)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(project, "read_project", read_project)
        inherited = filter(None, [os.environ.get("PYTHONPATH")])
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), *inherited]))
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{FOLDER / 'mlflow.db'}")
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        return (yield)


@pytest.fixture(name="settings", scope="session")
def _settings() -> Settings:
    """The settings of the project."""
    return load_settings()


@pytest.fixture(name="contract", scope="session")
def _contract() -> Contract:
    """The contract of the project."""
    return read_contract()


@pytest.fixture(name="frame", scope="session")
def _frame(settings: Settings) -> pd.DataFrame:
    """5,000 rows of the project's data."""
    return read_data(settings).sample(ROWS, random_state=0).sort_index()


@pytest.fixture(name="trained", scope="session")
def _trained(frame: pd.DataFrame, contract: Contract, settings: Settings) -> training.Trained:
    """A model trained on `frame`."""
    return training.train_model(frame, contract, settings)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in that holds the project's config and contract."""
    for name in ("config.toml", "contract.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="session", autouse=True)
def _store() -> None:
    """An experiment of the tests' own, with its artifacts."""
    artifacts = (FOLDER / "artifacts").as_uri()
    runs.connect_mlflow().create_experiment(
        project.get_project().package, artifact_location=artifacts
    )


@pytest.fixture(scope="session")
def run(trained: training.Trained) -> runs.Run:
    """The recorded run of `trained`."""
    runs.record_training(trained)
    newest = runs.find_newest_run()
    assert newest is not None
    return newest


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """`command("train")` runs a command of the project, and gives its exit status."""

    def called(*arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["project", *arguments])
        return main()

    return called
