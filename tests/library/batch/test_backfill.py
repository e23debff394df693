"""Periods that are past, and rows that arrive: each row is scored once."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from library.batch.test_periods import CLOCKLESS

from mlops_ladder import ProjectError
from mlops_ladder.batch import backfill, runs, scoring
from mlops_ladder.batch.scoring import Rejected
from mlops_ladder.model.prediction import load_model, MODEL, save_model
from mlops_ladder.model.training import Trained
from mlops_ladder.settings import Settings

QUARTER = ("--from", "2013-01-01", "--to", "2013-04-01")


@pytest.fixture(name="rows", autouse=True)
def _rows(
    folder: Path, frame: pd.DataFrame, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> pd.DataFrame:
    """300 rows of three months in a file; the model of the last training is the champion."""
    save_model(trained.model, trained.contract, trained.version, folder / MODEL)
    hooks = SimpleNamespace(open_batch_log=runs.open_batch_log)
    monkeypatch.setattr(scoring, "get_hooks", lambda: hooks)
    monkeypatch.setattr(backfill.publishing, "load_champion", load_model)
    rows = frame.head(300).reset_index(drop=True)
    days = pd.date_range("2013-01-01", "2013-03-31 23:59", periods=len(rows))
    rows[trained.contract.names("time")[0]] = days.strftime("%Y-%m-%d %H:%M")
    rows.to_csv(folder / "rows.csv", index=False)
    return rows


def answered(folder: Path = Path("predictions")) -> pd.DataFrame:
    """All answers that were written."""
    return pd.concat([pd.read_csv(path) for path in sorted(folder.glob("*.csv"))])


def count_logged(settings: Settings) -> int:
    """How many rows the runs in the log have answered."""
    return sum(run.rows - run.rejected for run in runs.read_runs(settings) if not run.error)


def test_three_months_twice_give_each_row_once(
    rows: pd.DataFrame, settings: Settings, command: Callable[..., int], capsys: Any
) -> None:
    """A file a month; the second time, nothing is left to score."""
    assert command("backfill", *QUARTER, "--by", "month", "--data", "rows.csv") == 0
    names = sorted(path.name for path in Path("predictions").iterdir())
    assert names == [f"2013-0{n}-01_2013-0{n + 1}-01.csv" for n in (1, 2, 3)]
    capsys.readouterr()
    assert command("backfill", *QUARTER, "--by", "day", "--data", "rows.csv") == 0
    assert "all of it is scored already" in capsys.readouterr().out
    assert len(answered()) == count_logged(settings) == len(rows)


def test_a_period_that_overlaps_others_is_scored_where_they_are_not(
    rows: pd.DataFrame, settings: Settings, command: Callable[..., int]
) -> None:
    """February first, then the quarter as a whole: January and March are left."""
    assert (
        command("backfill", "--from", "2013-02-01", "--to", "2013-03-01", "--data", "rows.csv") == 0
    )
    assert 0 < count_logged(settings) < len(rows)
    assert command("backfill", *QUARTER, "--by", "year", "--data", "rows.csv") == 0
    assert len(answered()) == count_logged(settings) == len(rows)


def test_a_back_fill_that_is_killed_goes_on_where_it_was(
    rows: pd.DataFrame,
    settings: Settings,
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed between the answers of February and the log: no row twice, none lost."""
    finish, count = runs.BatchLog.finish, 0

    def killed(log: runs.BatchLog, *words: int, **more: Any) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        finish(log, *words, **more)

    monkeypatch.setattr(runs.BatchLog, "finish", killed)
    assert command("backfill", *QUARTER, "--data", "rows.csv") == 130
    assert count_logged(settings) < len(rows)
    assert command("backfill", *QUARTER, "--data", "rows.csv") == 0
    assert len(answered()) == count_logged(settings) == len(rows)


def test_rows_without_a_time_are_counted(
    rows: pd.DataFrame, command: Callable[..., int], capsys: Any, trained: Trained
) -> None:
    """They are in no period, so they are not answered, and the exit status says so."""
    rows.loc[[5, 50], trained.contract.names("time")[0]] = None
    rows.to_csv("rows.csv", index=False)
    assert command("backfill", *QUARTER, "--by", "quarter", "--data", "rows.csv") == 3
    assert "2 rows have no time" in capsys.readouterr().err
    assert len(answered()) == len(rows) - 2


def test_what_cannot_be_is_refused(command: Callable[..., int], capsys: Any) -> None:
    """A wrong step, an end before its start, no time, another champion: each in a line."""
    wrong = {
        "BY=fortnight": ("--by", "fortnight"),
        "CHAMPION_OF=ever": ("--champion-of", "ever"),
    }
    for message, words in wrong.items():
        assert command("backfill", *QUARTER, *words, "--data", "rows.csv") == 1
        assert message in capsys.readouterr().err
    assert command("backfill", "--from", "2013-04-01", "--to", "2013-01-01") == 1
    assert "the end comes after the start" in capsys.readouterr().err
    assert command("backfill", "--from", "soon", "--to", "2013-01-01") == 1
    assert "FROM=soon: no time" in capsys.readouterr().err


def batches(settings: Settings, **changes: Any) -> Settings:
    """The settings with other ones of batches."""
    batch = settings.batch.model_copy(update={"settle_s": 0} | changes)
    return settings.model_copy(update={"batch": batch})


def test_a_file_that_arrives_is_scored_once(rows: pd.DataFrame, settings: Settings) -> None:
    """Each file once, also with the same content under another name; a changed one again."""
    Path("in").mkdir()
    rows.head(10).to_csv("in/monday.csv", index=False)
    new = batches(settings, source="in/*.csv")
    assert backfill.score_arrivals(new)[0] == 1
    assert backfill.score_arrivals(new)[0] == 0
    rows.tail(20).to_csv("in/tuesday.csv", index=False)
    assert backfill.score_arrivals(new)[0] == 1
    rows.head(11).to_csv("in/monday.csv", index=False)
    assert backfill.score_arrivals(new)[0] == 1
    assert [run.rows for run in runs.read_runs(settings)] == [10, 20, 11]
    assert len(list(Path("predictions").glob("*.csv"))) == 3


def test_a_file_that_may_still_be_written_waits(rows: pd.DataFrame, settings: Settings) -> None:
    """It was changed a moment ago; later it is scored."""
    Path("in").mkdir()
    rows.head(10).to_csv("in/monday.csv", index=False)
    waiting = batches(settings, source="in/*.csv", settle_s=60)
    assert backfill.score_arrivals(waiting)[0] == 0
    os.utime("in/monday.csv", (0, 0))
    assert backfill.score_arrivals(waiting)[0] == 1


def test_rows_later_than_the_last_are_scored(rows: pd.DataFrame, settings: Settings) -> None:
    """The file grows; what was scored before is not scored again."""
    new = batches(settings, source="growing.csv", by="time")
    for end, count in ((100, 1), (100, 0), (250, 1), (300, 1)):
        rows.head(end).to_csv("growing.csv", index=False)
        assert backfill.score_arrivals(new)[0] == count
    assert [run.rows for run in runs.read_runs(settings)] == [100, 150, 50]


def test_a_file_with_rejected_rows_does_not_hold_up_the_next(
    rows: pd.DataFrame, settings: Settings, trained: Trained
) -> None:
    """Both are scored, then the rejected rows are reported with the name of their file."""
    Path("in").mkdir()
    number = trained.contract.inputs("number", "integer")[0]
    wrong = rows.head(10).astype({number: "object"})
    wrong.loc[3, number] = "three"
    wrong.to_csv("in/a.csv", index=False)
    rows.tail(10).to_csv("in/b.csv", index=False)
    with pytest.raises(Rejected, match="in/a.csv: 1 of 10 rows"):
        backfill.score_arrivals(batches(settings, source="in/*.csv"))
    assert [run.rejected for run in runs.read_runs(settings)] == [1, 0]


def test_all_batches_in_one_file_are_refused(settings: Settings) -> None:
    """The next batch would replace the answers of the one before."""
    with pytest.raises(ProjectError, match="batch.out = 'all.csv'"):
        backfill.score_arrivals(batches(settings, source="rows.csv", by="time", out="all.csv"))


def test_the_champion_of_then_answers(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Each time has its champion; before the first, there is none."""
    moves = [
        SimpleNamespace(
            time=CLOCKLESS(2013, month, 1), version=version, bundle="", action="promote"
        )
        for month, version in ((2, "1"), (3, "2"))
    ]
    state = SimpleNamespace(entries=moves)
    loaded: list[Path] = []
    model = SimpleNamespace(contract=None, version="m")
    monkeypatch.setattr(backfill.versions, "read_state", lambda: state)
    monkeypatch.setattr(backfill.versions, "version_from_entry", lambda entry: entry)
    monkeypatch.setattr(backfill.publishing, "ensure_bundle", lambda *_: "")
    monkeypatch.setattr(backfill, "load_bundle", lambda place: loaded.append(place) or model)
    for day in (datetime(2013, 2, 15), datetime(2013, 3, 1), datetime(2014, 1, 1)):
        assert backfill.load_champion_of(day)["version"] == "m"
    assert [place.name for place in loaded] == ["1", "2", "2"]
    with pytest.raises(ProjectError, match="no champion then; the first is of 2013-02-01"):
        backfill.load_champion_of(datetime(2013, 1, 31))
    assert folder.exists()
