"""Staleness: the age at which a model is too old follows from how models have aged."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from mlops_ladder.data.contract import Contract
from mlops_ladder.export import bundle
from mlops_ladder.model.prediction import LOWER_IS_BETTER
from mlops_ladder.model.training import prepare_training_rows, Trained
from mlops_ladder.monitoring.staleness import backtest, estimate_decay, find_limit, fit_slope, Point
from mlops_ladder.project import get_project
from mlops_ladder.settings import Settings


def aged(per_day: float) -> list[Point]:
    """Scores that change by so much a day, on slices of which each is harder than the last."""
    places = [(cut, number) for cut in range(3, 8) for number in range(cut, 8)]
    return [
        Point(cut, number, age := 30.0 * (number - cut) + 15, 1 - number + per_day * age)
        for cut, number in places
    ]


def test_hard_seasons_are_not_taken_for_age() -> None:
    """The loss of a day is found, though later slices are harder anyway."""
    assert fit_slope(aged(-0.01)) == pytest.approx(-0.01)
    assert fit_slope(aged(0)) == pytest.approx(0, abs=1e-12)


def test_the_largest_age_is_where_the_metric_meets_its_limit(trained: Trained) -> None:
    """Twice the loss halves it; one that does not age may get as old as was tried, no older."""
    worse = 1 if trained.settings.metric in LOWER_IS_BETTER else -1
    away = abs(trained.scores[trained.settings.metric] - find_limit(trained)[0])
    for days in (100, 50):
        found = estimate_decay(aged(worse * away / days), trained)
        assert found.max_age_days == pytest.approx(days)
    assert estimate_decay(aged(-worse * 0.1), trained).max_age_days == 135


def test_models_are_scored_on_later_rows_only(
    frame: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """Each model of the backtest is older than the rows that it is scored on."""
    if not contract.names("time"):
        pytest.skip("no column says the time")
    points = backtest(prepare_training_rows(frame, contract, settings), contract, settings)
    assert points
    assert all(point.age >= 0 and point.slice >= point.cut for point in points)


def test_a_champion_that_is_too_old_fails(
    folder: Path,
    trained: Trained,
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Older than the configured age is an error where that is asked for."""
    text = (folder / "contract.toml").read_text(encoding="utf-8")
    text = text.replace('role = "time"', 'role = "ignored"')
    (folder / "contract.toml").write_text(text, encoding="utf-8")
    bundle.export_bundle(trained, folder / "models/serving/1")
    (folder / "models/serving/champion.json").write_text(json.dumps({"version": "1"}), "utf-8")
    assert command("staleness", "--fail") == 0
    assert "cannot be judged" in capsys.readouterr().out
    monkeypatch.setenv(f"{get_project().prefix}STALENESS__MAX_AGE_DAYS", "1e-9")
    assert command("staleness", "--fail") == 1
    assert "train again" in capsys.readouterr().err
