"""Prediction: a file in, a file out, one row for each row."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mlops_ladder.batch import scoring
from mlops_ladder.batch.scoring import Rejected, score_file
from mlops_ladder.data.contract import Contract
from mlops_ladder.model.prediction import load_model, MODEL, predict_rows, save_model
from mlops_ladder.model.training import Trained


@pytest.fixture(name="alone", autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model of the last training answers, whatever a higher level answers with."""
    hooks = SimpleNamespace(
        load_batch_model=lambda: None, score_batch=lambda **_: None, open_batch_log=lambda **_: None
    )
    monkeypatch.setattr(scoring, "get_hooks", lambda: hooks)


@pytest.fixture(name="rows")
def _rows(folder: Path, frame: pd.DataFrame, trained: Trained) -> Path:
    """A file of rows in a folder that holds a trained model."""
    save_model(trained.model, trained.contract, trained.version, folder / MODEL)
    frame.head(50).to_parquet(folder / "rows.parquet")
    return Path("rows.parquet")


def test_each_row_gets_a_prediction_and_the_version_of_the_model(
    rows: Path, frame: pd.DataFrame, trained: Trained, command: Callable[..., int]
) -> None:
    """As many predictions as rows, each with the version of the model that made it."""
    status = command("predict", "--data", str(rows), "--out", "found.csv")
    found = pd.read_csv("found.csv")
    assert (status, len(found)) == (0, min(50, len(frame)))
    assert list(found["model_version"].astype(str).unique()) == [trained.version]


def test_a_prediction_is_what_the_fitted_model_says(trained: Trained) -> None:
    """No row is changed on its way into the model, and no answer on its way out."""
    rows, model = trained.holdout[trained.contract.inputs()], trained.model
    found = predict_rows(model, rows)
    if not hasattr(model, "predict_proba"):
        assert np.array_equal(found["prediction"], model.predict(rows))
        return
    shares = model.predict_proba(rows)
    columns = [f"probability_{label}" for label in model.classes_]
    assert np.array_equal(found[columns], shares)
    assert np.array_equal(found["prediction"], model.predict(rows))


def test_the_columns_are_ids_times_predictions_and_version(
    frame: pd.DataFrame, trained: Trained, contract: Contract
) -> None:
    """Ids and times lead, the version is last, and the model's answers stand between."""
    saved = {"model": trained.model, "contract": contract, "version": "v"}
    found = next(score_file(saved, [frame.head(5)])).answers
    answers = list(predict_rows(trained.model, trained.holdout[contract.inputs()]).columns)
    assert list(found) == [*contract.names("id", "time"), *answers, "model_version"]


def test_a_missing_column_is_named_and_nothing_is_written(
    rows: Path,
    contract: Contract,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Rows that lack a column which the model needs are refused by its name."""
    lost = contract.inputs()[0]
    pd.read_parquet(rows).drop(columns=lost).to_parquet(rows)
    status = command("predict", "--data", str(rows), "--out", "found.csv")
    assert (status, Path("found.csv").exists()) == (1, False)
    assert f"{lost}: column is missing" in capsys.readouterr().err


@pytest.mark.usefixtures("trained")
def test_a_value_of_the_wrong_kind_rejects_its_row_and_no_other(
    rows: Path, contract: Contract, command: Callable[..., int]
) -> None:
    """A word in a column of numbers or times: the row goes to a file with its reason; status 3."""
    names = contract.inputs("number", "integer", "boolean", "time")
    if not names:
        pytest.skip("the contract holds words only: every value is one")
    assert command("predict", "--data", str(rows), "--out", "found.csv") == 0
    before = pd.read_csv("found.csv", dtype=str)
    frame = pd.read_parquet(rows).astype({names[0]: "object"})
    frame.iloc[1, list(frame).index(names[0])] = "nonsense"
    frame.astype({names[0]: "string"}).to_parquet(rows)
    assert command("predict", "--data", str(rows), "--out", "found.csv") == Rejected.status == 3
    rejected = pd.read_csv("found.rejected.csv")
    kind = contract.columns[names[0]].kind
    assert rejected.to_dict("records") == [
        {"row": 2, "reason": f"{names[0]} holds no {kind}: 'nonsense'"}
    ]
    found = pd.read_csv("found.csv", dtype=str)
    pd.testing.assert_frame_equal(found, before.drop(index=1).reset_index(drop=True))


def test_a_column_that_is_wrong_in_every_row_is_an_error(
    rows: Path, contract: Contract, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Then the column is named, and nothing is written."""
    names = contract.inputs("number", "integer", "boolean", "time")
    if not names:
        pytest.skip("the contract holds words only: every value is one")
    pd.read_parquet(rows).assign(**{names[0]: "nonsense"}).to_parquet(rows)
    assert command("predict", "--data", str(rows), "--out", "found.csv") == 1
    assert f"{names[0]}: " in capsys.readouterr().err
    assert not list(Path().glob("found*"))


def test_a_saved_model_answers_the_same_after_its_code_is_edited(
    folder: Path, trained: Trained, contract: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The functions of problem.py that a model uses are in its file."""
    steps = [it for _, it, _ in trained.model[0].transformers_ if hasattr(it, "func") and it.func]
    if not steps:
        pytest.skip("the model calls no function")
    before = trained.version
    save_model(trained.model, contract, before, folder / MODEL)
    for step in steps:
        code = (lambda times: times.isna().astype("float64")).__code__
        monkeypatch.setattr(step.func, "__code__", code)
    rows = trained.holdout[contract.inputs()]
    pd.testing.assert_frame_equal(predict_rows(load_model()["model"], rows), trained.predictions)
    assert replace(trained).version != before


def test_without_a_model_the_way_to_one_is_told(
    folder: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Predicting before training says what to run."""
    assert (command("predict"), list(folder.glob("*.csv"))) == (1, [])
    assert "no model is trained yet; run `make train`" in capsys.readouterr().err
