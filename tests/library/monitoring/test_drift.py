"""Drift: what has changed is named, and nothing else; where nothing has, no column is."""

import json
import sqlite3
from collections.abc import Callable
from datetime import datetime, UTC
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from library.monitoring.logged import answers, KINDS, reference, rows, window

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.export import bundle as export
from mlops_ladder.export.runtime import frame_to_rows, load_bundle
from mlops_ladder.model.training import Trained
from mlops_ladder.monitoring import drift
from mlops_ladder.monitoring.archive import Window
from mlops_ladder.monitoring.comparison import (
    build_pairs,
    compare_counts,
    compare_numbers,
    judge_columns,
    Pair,
    share_false_alarms,
    Verdict,
)
from mlops_ladder.monitoring.drift_report import write_report
from mlops_ladder.monitoring.push import build_age_gauges, build_drift_gauges, build_registry
from mlops_ladder.monitoring.training_reference import read_reference, Reference
from mlops_ladder.serving.store import pair_rows as pairs_of
from mlops_ladder.serving.store import Store
from mlops_ladder.settings import Settings
from mlops_ladder.monitoring.settings import Drift

LIKE_NEW = rows(1_000, 1)
SHIFTS: dict[str, Any] = {
    "größe": LIKE_NEW["größe"] + 0.5,
    "count": (LIKE_NEW["count"] + 1).clip(upper=4),
    "constant": 2.0,
    "mostly missing": 0.5,
    "seldom": np.arange(1_000) % 10 == 0,
    "colour": np.where(np.arange(1_000) % 5 == 0, "another", LIKE_NEW["colour"]),
    "note": LIKE_NEW["note"] + "xxxx",
    "at": LIKE_NEW["at"].dt.normalize(),
}


def drifted(asked: pd.Series | None = None, **changed: Any) -> list[str]:
    """The columns that have drifted where these are changed, and the rows were asked then."""
    compared = build_pairs(reference(), window(asked=asked, **changed))
    return [it.column for it in judge_columns(compared, Drift()) if it.drifted]


@pytest.mark.parametrize("name", KINDS)
def test_one_shifted_column_is_named_and_no_other(name: str) -> None:
    """Of columns of every kind, the one that has changed is reported."""
    assert drifted(**{name: SHIFTS[name]}) == [name]


def minutes(random: np.random.Generator, days: int) -> pd.Series:
    """1,000 times of these days, after their start."""
    return pd.Series(pd.to_timedelta(random.integers(0, days * 1_440, 1_000), unit="min"))


@pytest.mark.parametrize("days", [1, 2, 6, 7, 10, 17])
def test_a_part_of_a_week_is_no_drift(days: int) -> None:
    """The weekdays and hours of whole weeks are compared: in a part of one they differ anyway."""
    random = np.random.default_rng(days)
    asked = pd.Timestamp("2025-03-03") + minutes(random, days)
    assert drifted(asked, at=asked) == []
    night = asked.dt.normalize() + pd.to_timedelta(random.integers(0, 300, 1_000), unit="min")
    assert drifted(asked, at=night) == (["at"] if days >= 7 else [])


@pytest.mark.parametrize("ahead", [2, 5, 20])
def test_whole_weeks_are_those_of_asking(ahead: int) -> None:
    """Asked about the days ahead: the first and the last of them are rarer, which is no drift."""
    random = np.random.default_rng(ahead)
    asked = pd.Timestamp("2025-03-03") + minutes(random, 8)
    assert drifted(asked, at=asked + minutes(random, ahead)) == []


def test_what_is_missing_is_drift() -> None:
    """Three percent missing where nothing was is reported, though the values are as before."""
    gaps = LIKE_NEW["größe"].where(np.arange(1_000) % 33 > 0)
    assert drifted(**{"größe": gaps}) == ["größe"]


def test_a_difference_that_nobody_cares_for_is_none() -> None:
    """A shift of a tenth of the spread is no drift, however many rows make it sure."""
    random = np.random.default_rng(0)
    found = compare_numbers(*(pd.Series(random.normal(at, size=100_000)) for at in (0, 0.1)))
    assert found.p < 1e-50
    assert found.effect == pytest.approx(0.1, abs=0.02)
    assert found.effect < Drift().effect


def test_false_alarms_are_as_seldom_as_declared() -> None:
    """Of 40 reports on unchanged rows no more name a column than chance allows.

    Where one in 100 is declared hardly any comes; that twice as many do is seen at one in five.
    """
    most = {0.01: 2, 0.2: 13}  # of 40; more come in 2 of 100 such tests
    alarms = dict.fromkeys(most, 0)
    for seed in range(40):
        compared = build_pairs(reference(1_000 + seed), window(2_000 + seed))
        for declared in most:
            found = judge_columns(compared, Drift(effect=0, false_alarms=declared))
            alarms[declared] += any(it.drifted for it in found)
    assert [it for it, count in alarms.items() if count > most[it]] == []
    assert alarms[0.2] >= 2  # a test that never alarms knows nothing


def test_the_reference_is_a_sample_too() -> None:
    """Few rows of a reference are not taken for the truth, of numbers and of words."""
    few, many = pd.Series(np.arange(50.0)), pd.Series([60.0])
    assert compare_numbers(few, many).p == pytest.approx(2 / 51)
    assert compare_counts(pd.Series(["a"] * 10), pd.Series(["a"] * 990 + ["b"] * 10)).p == 1


def test_shares_of_false_alarms_add_up() -> None:
    """Columns share what is declared; one with its own threshold keeps it, 0 leaves it out."""
    found = share_false_alarms(list("abcd"), Drift(false_alarms=0.02, columns={"a": 0.5, "b": 0}))
    assert found == {"c": 0.01, "d": 0.01, "a": 0.5}
    with pytest.raises(ProjectError, match="drift.columns: z: no such column; there are a, b"):
        share_false_alarms(["a", "b"], Drift(columns={"z": 0.1}))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside Evidently
def test_evidently_says_what_the_verdicts_say(tmp_path: Path) -> None:
    """Its report is one file with the verdict on each column, and each kind of column is shown."""
    newest = window(**{"größe": SHIFTS["größe"]})
    known = judge_columns(build_pairs(reference(), newest), Drift())
    path = tmp_path / "drift.html"
    report = write_report(reference(), newest, known, Drift().effect, path)
    shown = {it["config"]["column"]: it for it in report["metrics"] if "label" in it["config"]}
    numbers = {name: (it["config"]["p"], it["value"]) for name, it in shown.items()}
    assert numbers == {it.column: (it.p, it.effect) for it in known}
    failed = {
        it["metric_config"]["params"]["column"] for it in report["tests"] if it["status"] == "FAIL"
    }
    assert failed == {it.column for it in known if it.drifted} == {"größe"}
    assert 'src="http' not in path.read_text(encoding="utf-8")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside Evidently
def test_what_a_client_asks_ends_no_script_of_the_report(tmp_path: Path) -> None:
    """Columns and categories that hold markup stay words of the page; a missing value is none."""
    name = "</script><script>alert('column')</script>"
    old, new = (pd.Series(["a", None, *[f"{name}{it}"] * 2] * 250) for it in "xy")
    verdict = Verdict(name, 0.0, 1.0, 0.01, True, Pair(name, name, False, old, new))
    column = {name: {"kind": "category", "role": "feature"}}
    target = {"target": {"kind": "category", "role": "target"}}
    known = Contract.model_validate({"columns": column | target})
    champion = Reference("1", "model", known, pd.DataFrame({name: old}), answers(1_000, 0), {})
    newest = Window(1_000, pd.DataFrame({name: new}), answers(1_000, 1))
    write_report(champion, newest, [verdict], 0.2, tmp_path / "drift.html")
    page = (tmp_path / "drift.html").read_text(encoding="utf-8")
    assert name not in page and "<script>alert" not in page and "ue03c" not in page
    assert r"\u003c/script>\u003cscript>alert('column')\u003c/script>x" in page


def test_the_pushed_gauges_are_those_of_the_alerts() -> None:
    """Their names are agreed with the rules; too few rows never alarm."""
    found = judge_columns(build_pairs(reference(), window(constant=2.0)), Drift())
    registry = build_registry(build_drift_gauges(found, 1_000, True, 1.0))
    assert registry.get_sample_value("drift_columns_drifted") == 1
    assert registry.get_sample_value("drift_column_drifted", {"column": "constant"}) == 1
    assert registry.get_sample_value("drift_column_drifted", {"column": "count"}) == 0
    assert (registry.get_sample_value("drift_column_effect", {"column": "constant"}) or 0) > 1
    assert registry.get_sample_value("drift_rows") == 1_000
    assert registry.get_sample_value("drift_enough_data") == 1
    assert registry.get_sample_value("drift_last_run_timestamp_seconds")
    few = build_registry(build_drift_gauges([], 3, False, 1.0))
    assert few.get_sample_value("drift_enough_data") == 0
    assert few.get_sample_value("drift_columns_drifted") == 0


def test_the_age_of_the_champion_is_pushed_as_a_service_measures_it() -> None:
    """Under the same names, so that the alert on an old model is the same."""
    registry = build_registry(build_age_gauges({"trained_at": 1_700_000_000}, 30))
    assert registry.get_sample_value("serving_model_trained_timestamp_seconds") == 1_700_000_000
    assert registry.get_sample_value("serving_model_max_age_seconds") == 30 * 86_400


@pytest.fixture(name="served")
def _served(folder: Path, trained: Trained) -> Path:
    """A folder in which `trained` is published."""
    export.export_bundle(trained, folder / "models/serving/1")
    pointer = {"version": "1", "run_id": "run", "sha256": ""}
    (folder / "models/serving/champion.json").write_text(json.dumps(pointer), encoding="utf-8")
    return folder


def log(trained: Trained, count: int) -> None:
    """Have the champion asked for training rows, and logged."""
    model = load_bundle(Path("models/serving/1"))
    inputs = trained.train[trained.contract.inputs()]
    asked = frame_to_rows(inputs.sample(count, replace=True, random_state=0))
    for row in asked:
        row |= {k: v.to_pydatetime() for k, v in row.items() if isinstance(v, pd.Timestamp)}
    store = Store("sqlite:///predictions.db")
    said = model.answers(asked)
    store.write(
        [
            {
                "request_id": "id",
                "time": datetime.now(UTC),
                "model_version": model.version,
                "inputs": orjson.dumps(asked).decode(),
                "output": orjson.dumps(said).decode(),
                "rows": count,
                "latency_ms": 1.0,
            }
        ]
    )
    store.close()


def test_rows_like_those_of_the_training_have_not_drifted(
    served: Path, trained: Trained, settings: Settings
) -> None:
    """Of the configured problem no input is reported, and each column is a row of the history."""
    log(trained, 400)
    newest, found = drift.check_drift(settings)
    assert newest.total == 400
    assert [it.column for it in found if it.drifted and it.column != "prediction"] == []
    with sqlite3.connect(served / "predictions.db") as store:
        kept = [name for (name,) in store.execute("select column from drift")]
    assert sorted(kept) == sorted({*trained.contract.inputs(), "prediction"})


def test_too_few_rows_say_nothing(
    served: Path, trained: Trained, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """Fewer rows than are needed are no alarm, even where drift would fail."""
    log(trained, 3)
    assert command("drift", "--fail") == 0
    assert "Not enough data: 3 logged rows" in capsys.readouterr().out
    assert not (served / drift.REPORT).exists()


def test_what_is_not_there_is_named(
    folder: Path, command: Callable[..., int], capsys: pytest.CaptureFixture[str], trained: Trained
) -> None:
    """No champion, no reference, no log, no rows: each ends with what to do."""
    place = folder / "models/serving"
    assert command("drift") == 1
    assert "no champion is published; run `make pipeline`" in capsys.readouterr().err
    export.export_bundle(trained, place / "1")
    (place / "champion.json").write_text('{"version": "1"}', encoding="utf-8")
    assert read_reference(place).version == trained.version
    assert command("drift") == 1
    assert "no prediction log is here; run `make serve`" in capsys.readouterr().err
    Store("sqlite:///predictions.db").close()
    assert command("drift") == 1
    assert "has answered no row in the last" in capsys.readouterr().err
    bundle = json.loads((place / "1/bundle.json").read_text(encoding="utf-8"))
    del bundle["files"]["reference.json"]
    (place / "1/bundle.json").write_text(json.dumps(bundle), encoding="utf-8")
    assert command("drift") == 1
    assert "v1: its bundle has no reference.json" in capsys.readouterr().err


@pytest.mark.parametrize(("inputs", "output"), [('[{"a', "[{}]"), ("[{}]", "[]"), ("1", "[{}]")])
def test_a_damaged_request_is_named(inputs: str, output: str) -> None:
    """Whoever reads the log is told which request it is, and the way out."""
    with pytest.raises(ProjectError, match="request 4711 is damaged .*deletion.md"):
        pairs_of("4711", inputs, output)
