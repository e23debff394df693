"""Batches as metrics: the newest one, the last success, and the limits."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sql

from mlops_ladder.batch.runs import Run, RUNS
from mlops_ladder.monitoring import batches
from mlops_ladder.serving.store import open_database
from mlops_ladder.settings import Settings

GOOD = Run("b1", datetime(2024, 1, 1), "Ada", "in/a.csv", "out/a.csv", "v", 100, 3, 1.5)
BAD = Run("b2", datetime(2024, 1, 2), "Ada", "in/b.csv", "out/b.csv", "v", error="ProjectError: no")
ELSE = GOOD._replace(batch="b3", time=datetime(2024, 1, 3), source="other.csv", rows=1)


@pytest.fixture(name="pushed")
def _pushed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, float]:
    """What was pushed, in a folder whose log holds three batches."""
    gauges: dict[str, float] = {}
    series: Any = lambda settings, series, job: gauges.update({name: v for name, _, v in series})
    monkeypatch.setattr(batches, "push_gauges", series)
    with open_database(f"sqlite:///{folder}/predictions.db", RUNS).begin() as connection:
        connection.execute(sql.insert(RUNS), [run._asdict() for run in (GOOD, BAD, ELSE)])
    return gauges


def watched(settings: Settings, **changes: Any) -> Settings:
    """The settings with other ones of batches."""
    return settings.model_copy(update={"batch": settings.batch.model_copy(update=changes)})


def test_the_newest_batch_of_the_source_is_pushed(
    settings: Settings, pushed: dict[str, float]
) -> None:
    """It failed; the last success was before, and a batch of another source is not counted."""
    batches.push_batches(watched(settings, source="in/*.csv", late_hours=2))
    assert pushed["batch_failed"] == 1 and pushed["batch_rows"] == 0
    assert pushed["batch_last_success_timestamp_seconds"] == 1704067200
    assert pushed["batch_late_seconds"] == 7200


def test_a_source_that_is_no_pattern_is_found_by_its_name(
    settings: Settings, pushed: dict[str, float]
) -> None:
    """As an address of a database; rows and rejected rows are its own."""
    batches.push_batches(watched(settings, source="in/a.csv"))
    assert (pushed["batch_rows"], pushed["batch_rejected_rows"], pushed["batch_failed"]) == (
        100,
        3,
        0,
    )
    assert "batch_late_seconds" not in pushed


def test_without_a_source_or_a_batch_nothing_is_pushed(
    settings: Settings, pushed: dict[str, float]
) -> None:
    """There is nothing to expect."""
    batches.push_batches(watched(settings, source=""))
    batches.push_batches(watched(settings, source="elsewhere/*.csv"))
    assert pushed == {}
