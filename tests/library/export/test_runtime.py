"""The service runs the bundle that was exported, and no other."""

import json
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data import columns
from mlops_ladder.export.bundle import export_bundle
from mlops_ladder.export.runtime import BUNDLE, frame_to_rows, load_bundle, LoadedModel
from mlops_ladder.model.training import Trained

HEAVY = {"joblib", "mlflow", "pandas", "scipy", "sklearn"}


@pytest.fixture(name="exported", scope="module")
def _exported(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of `trained`."""
    place = tmp_path_factory.mktemp("bundle")
    export_bundle(trained, place)
    return place


@pytest.fixture(name="copied")
def _copied(exported: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, to be changed."""
    return shutil.copytree(exported, tmp_path / "bundle")


def test_each_row_gets_the_answer_of_the_model(trained: Trained, exported: Path) -> None:
    """What was predicted, and the probability of each class by its name, in types that JSON has."""
    rows, expected = trained.holdout.head(20), trained.predictions.head(20)
    answers = load_bundle(exported).answers(frame_to_rows(rows[trained.contract.inputs()]))
    assert json.loads(json.dumps(answers)) == answers
    predicted = [answer["prediction"] for answer in answers]
    wanted: Any = expected["prediction"].tolist()
    if trained.settings.problem == "regression":
        wanted = pytest.approx(wanted, rel=1e-5)
    assert predicted == wanted
    for name, shares in expected.drop(columns="prediction").items():
        label = str(name).removeprefix("probability_")
        found = [answer["probability"][label] for answer in answers]
        assert found == pytest.approx(shares.tolist(), abs=1e-5)


def test_a_flipped_byte_is_refused(copied: Path) -> None:
    """A model that is not the one that was exported is not even opened."""
    (path,) = copied.glob("model.*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ProjectError, match=f"{path.name}: sha256 is .* changed after"):
        load_bundle(copied)


def test_a_model_that_is_gone_is_named(copied: Path) -> None:
    """So is a folder without a bundle."""
    (path,) = copied.glob("model.*")
    path.unlink()
    with pytest.raises(ProjectError, match=f"{path.name}: cannot be read"):
        load_bundle(copied)
    with pytest.raises(ProjectError, match=f"{BUNDLE}: cannot be read"):
        load_bundle(copied / "elsewhere")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"runtime": "onnx"}', '{"files": 1}'])
def test_what_is_no_bundle_is_refused(copied: Path, text: str) -> None:
    """No bundle, or one of something else: told by its name."""
    (copied / BUNDLE).write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError, match=BUNDLE):
        load_bundle(copied)


def test_a_service_starts_without_the_libraries_of_training(exported: Path) -> None:
    """Pandas, scikit-learn and mlflow are not imported to run an ONNX model."""
    if load_bundle(exported).bundle["runtime"] == "native":
        pytest.skip("this model is served natively")
    code = (
        "import pathlib, sys; from mlops_ladder.export import runtime;"
        " runtime.load_bundle(pathlib.Path(sys.argv[1])); print(*sys.modules)"
    )
    command = [sys.executable, "-c", code, str(exported)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "onnxruntime" in done.stdout.split()
    assert HEAVY & set(done.stdout.split()) == set()


def test_a_bundle_says_its_version(trained: Trained, exported: Path) -> None:
    """The version of the model, and the contract that it was trained under."""
    loaded: LoadedModel = load_bundle(exported)
    assert (loaded.version, loaded.contract) == (trained.version, trained.contract)


def test_a_time_is_a_minute_of_its_clock() -> None:
    """Seconds do not count, a missing time is -1."""
    noon = datetime(2024, 2, 29, 12, 30)
    found = columns.encode_times([datetime(1, 1, 1, 0, 1), noon, noon.replace(second=59), None])
    assert (found[0], found[1] - found[2], found[3]) == (1, 0, -1)


def test_a_word_is_read_without_blanks_around_it() -> None:
    """As training reads it; a missing one is what the export was told to take for missing."""
    assert columns.encode_text([" a b ", None]) == ["a b", "nan"]
