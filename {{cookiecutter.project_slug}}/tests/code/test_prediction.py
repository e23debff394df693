"""Prediction: a file in, a file out, one row for each row."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from {{ cookiecutter.package_name }}.contract import Contract
from {{ cookiecutter.package_name }}.prediction import MODEL, predict, save_model, score_file
from {{ cookiecutter.package_name }}.training import Trained


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
    found = predict(model, rows)
    if not hasattr(model, "predict_proba"):
        assert np.array_equal(found["prediction"], model.predict(rows))
        return
    shares = model.predict_proba(rows)
    columns = [f"probability_{label}" for label in model.classes_]
    assert np.array_equal(found[columns], shares)
    assert np.array_equal(found["prediction"], model.classes_[shares.argmax(axis=1)])


def test_the_columns_are_ids_times_predictions_and_version(
    frame: pd.DataFrame, trained: Trained, contract: Contract
) -> None:
    """Ids and times lead, the version is last, and the model's answers stand between."""
    saved = {"model": trained.model, "contract": contract, "version": "v"}
    found = next(score_file(saved, [frame.head(5)]))
    answers = list(predict(trained.model, trained.holdout[contract.inputs()]).columns)
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


def test_a_value_of_the_wrong_kind_is_named_with_its_row(
    rows: Path,
    contract: Contract,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A word in a column of numbers or times is refused by column, value and row."""
    names = contract.inputs("number", "integer", "boolean", "time")
    if not names:
        pytest.skip("the contract holds words only: every value is one")
    frame = pd.read_parquet(rows).astype({names[0]: "object"})
    frame.iloc[1, list(frame).index(names[0])] = "nonsense"
    frame.astype({names[0]: "string"}).to_parquet(rows)
    status = command("predict", "--data", str(rows), "--out", "found.csv")
    told = capsys.readouterr().err
    assert (status, Path("found.csv").exists()) == (1, False)
    assert f"{names[0]}: 1 of" in told and "'nonsense' (rows 2)" in told


def test_without_a_model_the_way_to_one_is_told(
    folder: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Predicting before training says what to run."""
    assert (command("predict"), list(folder.glob("*.csv"))) == (1, [])
    assert "no model is trained yet; run `make train`" in capsys.readouterr().err
