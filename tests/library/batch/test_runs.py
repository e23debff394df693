"""The log of batches: what was answered, in the log of the service, and a row for each run."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from library.monitoring import logged

from mlops_ladder import ProjectError
from mlops_ladder.batch import runs, scoring
from mlops_ladder.batch.scoring import Job, score_file, score_to
from mlops_ladder.data.casting import cast_columns
from mlops_ladder.model.prediction import MODEL, save_model
from mlops_ladder.model.training import Trained
from mlops_ladder.monitoring.archive import Archive, Extent, read_window, to_logged_contract, Window
from mlops_ladder.monitoring.outcomes import build_row_test
from mlops_ladder.settings import Settings

HOUR = Extent(1, 10**6, 10**6)


@pytest.fixture(name="hooks", autouse=True)
def _hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model of the last training answers, and its answers are logged."""
    nothing: dict[str, Any] = {"load_batch_model": lambda: None, "score_batch": lambda **_: None}
    hooks = SimpleNamespace(open_batch_log=runs.open_batch_log, **nothing)
    monkeypatch.setattr(scoring, "get_hooks", lambda: hooks)


@pytest.fixture(name="rows")
def _rows(folder: Path, frame: pd.DataFrame, trained: Trained) -> pd.DataFrame:
    """2,500 rows in a file, in a folder that holds a trained model."""
    save_model(trained.model, trained.contract, trained.version, folder / MODEL)
    rows = frame.head(2500).reset_index(drop=True)
    rows.to_parquet(folder / "rows.parquet")
    return rows


def window(settings: Settings, trained: Trained) -> Window:
    """All that is in the log."""
    with Archive(settings.serving.prediction_log_url) as archive:
        return read_window(archive, trained.version, trained.contract, HOUR)


def test_the_log_holds_each_answer_with_its_inputs(
    rows: pd.DataFrame, trained: Trained, settings: Settings, command: Callable[..., int]
) -> None:
    """To the last digit; the answers name the request and the row of the log."""
    assert command("predict", "--data", "rows.parquet", "--out", "out.parquet") == 0
    answers, logs = pd.read_parquet("out.parquet"), window(settings, trained)
    inputs, _ = cast_columns(rows, trained.contract, trained.contract.inputs())
    pd.testing.assert_frame_equal(logs.rows, inputs)
    assert logs.answers["prediction"].tolist() == answers["prediction"].tolist()
    assert logs.answers["request_id"].tolist() == answers["request_id"].tolist()
    assert answers["row"].tolist() == [place % 1000 + 1 for place in range(len(rows))]
    shares = answers.filter(regex="^probability_").max(axis=1)
    assert shares.empty or logs.answers["score"].tolist() == shares.tolist()


def test_each_run_is_a_row(
    rows: pd.DataFrame, trained: Trained, settings: Settings, command: Callable[..., int]
) -> None:
    """Who scored what, where to, by which model, how many rows, and how many were rejected."""
    target = trained.contract.inputs("number", "integer")[0]
    rows[target] = rows[target].astype("object").where(rows.index != 7, "seven")
    rows.to_csv("rows.csv", index=False)
    assert command("predict", "--data", "rows.csv", "--out", "out.csv") == 3
    (run,) = runs.read_runs(settings)
    assert (run.source, run.sink, run.model_version) == ("rows.csv", "out.csv", trained.version)
    assert (run.rows, run.rejected, run.error) == (2500, 1, "")
    assert run.who and run.seconds > 0 and run.batch.startswith("batch-")
    assert window(settings, trained).total == 2499 == len(pd.read_csv("out.csv"))


def test_a_batch_that_fails_leaves_no_answer_and_a_note(
    rows: pd.DataFrame, trained: Trained, settings: Settings, command: Callable[..., int]
) -> None:
    """A missing column: neither a file nor a row of the log, and the run says why."""
    rows.drop(columns=trained.contract.inputs()[0]).to_parquet("rows.parquet")
    assert command("predict", "--data", "rows.parquet", "--out", "out.csv") == 1
    (run,) = runs.read_runs(settings)
    assert "column is missing" in run.error and run.rows == 0
    with Archive(settings.serving.prediction_log_url) as archive:
        assert archive.find_newest("", datetime(2000, 1, 1, tzinfo=UTC), 10).size == 0


def test_a_batch_that_is_killed_before_it_is_logged_is_logged_once_by_the_next(
    rows: pd.DataFrame,
    trained: Trained,
    settings: Settings,
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answers are written, the log has none of them; the same batch again logs them once."""
    with monkeypatch.context() as patch:
        patch.setattr(runs.BatchLog, "finish", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            command("predict", "--data", "rows.parquet", "--out", "out.csv")
    assert len(pd.read_csv("out.csv")) == len(rows)
    assert command("predict", "--data", "rows.parquet", "--out", "out.csv") == 0
    assert window(settings, trained).total == len(rows)


def test_a_log_that_cannot_be_reached_is_said_before_anything_is_written(
    rows: pd.DataFrame, folder: Path, command: Callable[..., int], capsys: Any
) -> None:
    """The database is a folder: an error in a line, and no answers."""
    (folder / "predictions.db").mkdir()
    assert command("predict", "--data", "rows.parquet", "--out", "out.csv") == 1
    assert "the batch cannot be logged" in capsys.readouterr().err
    assert not Path("out.csv").exists() and len(rows)


def test_columns_of_every_kind_are_logged_as_the_service_logs_them() -> None:
    """Missing values, booleans and whole numbers: the service would take the rows as they are."""
    contract = logged.contract()
    frame = logged.rows(200, seed=0)
    frame["seldom"] = frame["seldom"].astype("object").where(frame.index % 3 > 0)
    frame["count"] = frame["count"].where(frame.index % 5 > 0)
    inputs, wrong = cast_columns(frame.convert_dtypes(), contract, contract.inputs())
    assert not wrong
    fits = build_row_test(to_logged_contract(contract), contract.inputs())
    rows = [
        {
            name: getattr(value, "isoformat", lambda value=value: value)()
            for name, value in row.items()
        }
        for row in runs.to_logged_rows(inputs, contract)
    ]
    assert all(map(fits, rows))
    assert {type(row["seldom"]) for row in rows} == {bool, type(None)}
    assert {type(row["count"]) for row in rows} == {int, type(None)}


def test_an_id_with_the_name_of_a_column_of_the_answers_is_refused(
    settings: Settings, folder: Path
) -> None:
    """Its values would be lost among the answers."""
    contract = logged.contract()
    columns = contract.columns | {"row": contract.columns["note"].model_copy(update={"role": "id"})}
    saved = {"contract": contract.model_copy(update={"columns": columns}), "version": "v"}
    job = Job("rows.csv", str(folder / "out.csv"), saved, settings)
    frames: Iterator[pd.DataFrame] = iter(())
    with pytest.raises(ProjectError, match="row: the answers of a batch have a column"):
        score_to(job, score_file(saved, frames))
