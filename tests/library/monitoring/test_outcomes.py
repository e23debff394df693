"""Outcomes: taken once, whole or not at all, and what is wrong with one is named."""

import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from library.monitoring.known import log, NOW, publish, URL

from mlops_ladder import ProjectError
from mlops_ladder.model.training import Trained
from mlops_ladder.monitoring.archive import Archive, Change
from mlops_ladder.monitoring.outcomes import import_outcomes, ImportCounts, OUTCOMES, Outcomes
from mlops_ladder.serving.store import Store, VARIANTS

DRIFTED = {
    "model_version": "1",
    "rows": 1,
    "column": "x",
    "p": 1.0,
    "effect": 0.0,
    "drifted": False,
}


@pytest.fixture(name="outcomes")
def _outcomes(folder: Path, trained: Trained) -> pd.DataFrame:
    """What became of 60 logged rows."""
    assert folder == Path.cwd()
    publish(trained)
    return log(trained, trained.holdout.head(60))


def taken(frame: pd.DataFrame, trained: Trained, correct: bool = False) -> ImportCounts:
    """Take these outcomes."""
    with Outcomes(URL) as archive:
        return import_outcomes(frame, archive, trained.contract, NOW, correct)


def other(trained: Trained) -> Any:
    """Two different values of the target."""
    return trained.truth.drop_duplicates().tolist()[:2]


def test_the_same_outcomes_twice_change_nothing(outcomes: pd.DataFrame, trained: Trained) -> None:
    """All are new, then all are known; a row that stands there twice counts once."""
    twice = pd.concat([outcomes, outcomes.head(1)], ignore_index=True)
    assert taken(twice, trained) == ImportCounts(60, 0, 0)
    assert taken(outcomes, trained) == ImportCounts(0, 60, 0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"request_id": "nobody"}, "request_id: 1 of 60 rows are no request of the prediction log"),
        ({"row": 21}, "row: 1 of 60 rows are no row of their request"),
        ({"row": 0}, "request_id: 1 of 60 rows had several rows; say which: column row"),
        ({"row": 2}, "value: 1 of 60 rows say something else than a row before"),
        ({"known_at": "2024-06-02"}, "known_at: 1 of 60 rows are later than now, 2024-06-01"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_taken(
    outcomes: pd.DataFrame, trained: Trained, change: dict[str, Any], told: str
) -> None:
    """The row and its value, and the way out."""
    first, second = other(trained)
    outcomes.loc[1, trained.contract.target] = first
    wrong = outcomes.copy().assign(known_at="2024-05-01")
    wrong[trained.contract.target] = wrong[trained.contract.target].astype(object)
    for name, value in (change | {trained.contract.target: second}).items():
        wrong.loc[2, name] = value
    wrong.loc[2, "request_id"] = change.get("request_id", wrong.loc[1, "request_id"])
    with pytest.raises(ProjectError) as refused:
        taken(wrong, trained)
    assert told in str(refused.value) and "(rows 3)" in str(refused.value)
    assert "Correct the file" in str(refused.value)
    assert taken(outcomes, trained).new == 60


def test_a_value_that_the_contract_does_not_know_is_refused(
    outcomes: pd.DataFrame, trained: Trained
) -> None:
    """Of a missing one the row is named, of an unknown class, or a word for a number, the value."""
    target = trained.contract.target
    kind = trained.contract.columns[target]
    outcomes[target] = outcomes[target].astype(object)
    outcomes.loc[4, target] = None
    with pytest.raises(ProjectError, match=f"{target}: 1 of 60 rows are missing.*rows 5"):
        taken(outcomes, trained)
    if kind.categories or kind.kind not in ("text", "category"):
        outcomes.loc[4, target] = "no such value"
        with pytest.raises(ProjectError, match="'no such value'.*rows 5"):
            taken(outcomes, trained)


def test_another_value_later_is_a_correction_or_an_error(
    outcomes: pd.DataFrame, trained: Trained
) -> None:
    """It is refused unless that is meant, and always where the row is in the data."""
    first, second = other(trained)
    target = trained.contract.target
    taken(outcomes.assign(**{target: first}), trained)
    changed = outcomes.head(1).assign(**{target: second})
    with pytest.raises(ProjectError, match="(?s)than what was taken before.*CORRECT=yes"):
        taken(changed, trained)
    assert taken(changed, trained, correct=True) == ImportCounts(0, 0, 1)
    with Outcomes(URL) as archive:
        archive.mark_used([(changed["request_id"].iloc[0], 1)], "data/file.csv")
    with pytest.raises(ProjectError, match="are in the data already; correct them there"):
        taken(outcomes.head(1).assign(**{target: first}), trained, correct=True)


def test_a_request_of_one_row_needs_no_number(outcomes: pd.DataFrame, trained: Trained) -> None:
    """Where a request had one row, that is the one."""
    log(trained, trained.holdout.head(1))  # asked again under the same id, with one row
    single = outcomes.head(1).drop(columns="row")
    assert taken(single, trained) == ImportCounts(1, 0, 0)


def test_what_a_prediction_has_influenced_is_kept_apart(
    outcomes: pd.DataFrame, trained: Trained
) -> None:
    """It is on record, and counts neither for the quality nor for the data."""
    taken(outcomes.assign(influenced=[True] * 10 + [False] * 50), trained)
    with Outcomes(URL) as archive:
        since = OUTCOMES.c.known_at >= NOW - timedelta(days=1)
        assert len(archive.find_labelled(since)) == 50


def test_what_is_deleted_from_the_log_takes_its_outcomes_along(
    outcomes: pd.DataFrame, trained: Trained
) -> None:
    """A request that was forgotten leaves nothing behind."""
    taken(outcomes, trained)
    with sqlite3.connect("predictions.db") as store:
        store.execute("delete from predictions where request_id = 'request-0'")
    with Outcomes(URL) as archive:
        assert len(archive.read_outcomes(outcomes["request_id"])) == 40


@pytest.mark.parametrize("way", ["retain", "forget"])
def test_every_table_of_the_log_loses_what_is_old_or_forgotten(
    outcomes: pd.DataFrame, trained: Trained, way: str
) -> None:
    """Both arms and outcomes too, at once; of a failed request, that is only among the arms too."""
    taken(outcomes, trained)
    names = ["request-0", "request-20", "failed"]
    known = {"rollout": "r", "step": 1, "unit": "u", "arm": "champion", "shadow": False}
    known |= {"failed": False, "output": "[]", "rows": 20, "latency_ms": 1.0}
    ages = [timedelta(0), timedelta(0), timedelta(days=3)]
    store = Store(URL, VARIANTS)
    pairs = zip(names, ages, strict=True)
    store.write([known | {"request_id": name, "time": NOW - age} for name, age in pairs])
    store.close()
    with Archive(URL) as archive:
        found = archive.read_request("request-0")
        archive.add_verdicts([DRIFTED | {"time": NOW}])
        if way == "retain":
            assert archive.delete_before(NOW - timedelta(days=1)) == (0, 3)
            assert requests("arms") == {"request-0", "request-20"}
            assert archive.delete_before(NOW + timedelta(days=1)) == (3, 0)
        else:
            archive.apply_changes([Change(found.id, "request-0", [], [])])
    with sqlite3.connect("predictions.db") as log_of:
        tables = {
            name
            for (name,) in log_of.execute("select name from sqlite_master where type = 'table'")
        }
    assert tables == {"predictions", "outcomes", "arms", "drift"}  # drift is of no request
    left = {"request-20", "request-40"}
    wanted = {"predictions": left, "outcomes": left, "arms": {"request-20", "failed"}}
    for name in tables - {"drift"}:
        assert requests(name) == (set() if way == "retain" else wanted[name])


def requests(table: str) -> set[str]:
    """The requests that a table of the log names."""
    with sqlite3.connect("predictions.db") as store:
        return {name for (name,) in store.execute(f"select request_id from {table}")}


def test_a_file_is_taken_by_the_command(
    outcomes: pd.DataFrame,
    command: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    trained: Trained,
) -> None:
    """A Parquet file; one that is not there is named."""
    outcomes.to_parquet("outcomes.parquet", index=False)
    assert len(outcomes) == 60 and trained.version
    assert command("outcomes", "outcomes.parquet") == 0
    assert "60 outcomes taken, 0 known before" in capsys.readouterr().out
    assert command("outcomes", "none.csv") == 1
    assert "none.csv: no such file" in capsys.readouterr().err
