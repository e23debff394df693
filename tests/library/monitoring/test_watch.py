"""The window and the page: what they take of the log, and what they show."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest

from mlops_ladder.export import bundle
from mlops_ladder.export.runtime import frame_to_rows, load_bundle
from mlops_ladder.model.training import Trained
from mlops_ladder.monitoring import watch
from mlops_ladder.monitoring.archive import Archive, Extent, read_window
from mlops_ladder.monitoring.watch import PAGE
from mlops_ladder.serving.store import Store

NOW = datetime(2024, 6, 1, tzinfo=UTC)
URL = "sqlite:///predictions.db"


def log(trained: Trained, times: list[datetime], version: str = "", **flags: Any) -> None:
    """Log a request of two rows at each of these times."""
    bundle.export_bundle(trained, Path("models/serving/1"))
    model, store = load_bundle(Path("models/serving/1")), Store(URL)
    asked = frame_to_rows(trained.train[trained.contract.inputs()].head(2))
    for row in asked:
        for name in trained.contract.inputs("time"):
            row[name] = row[name].to_pydatetime() if row[name] else None
    said = [answer | flags for answer in model.answers(asked)]
    store.write(
        [
            {
                "request_id": f"id-{place}",
                "time": time,
                "model_version": version or model.version,
                "inputs": orjson.dumps(asked).decode(),
                "output": orjson.dumps(said).decode(),
                "rows": 2,
                "latency_ms": 1.5,
            }
            for place, time in enumerate(times)
        ]
    )
    store.close()


@pytest.mark.usefixtures("folder")
def test_a_window_ends_by_time_or_by_rows(trained: Trained) -> None:
    """Taken are the newest rows of one model, without those of a stand-in."""
    log(trained, [NOW - timedelta(hours=hours) for hours in (50, 3, 2, 1)])
    log(trained, [NOW], version="another")
    log(trained, [NOW], fallback=True)
    with Archive(URL) as archive:
        for extent, rows in (
            (Extent(24, 99, 99), 6),
            (Extent(24, 5, 99), 4),
            (Extent(99, 99, 99), 8),
        ):
            found = read_window(archive, trained.version, trained.contract, extent, NOW)
            assert len(found.rows) == len(found.answers) == rows
            assert list(found.rows) == trained.contract.inputs()
        drawn = read_window(archive, trained.version, trained.contract, Extent(99, 99, 5), NOW)
    assert drawn.total == 10
    assert 0 < len(drawn.rows) < 8


def test_the_page_shows_the_requests(
    folder: Path, trained: Trained, command: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """One file that needs no other, with a picture of each matter."""
    assert command("watch") == 1
    assert "no prediction log is here" in capsys.readouterr().err
    log(trained, [datetime.now(UTC) - timedelta(hours=hours) for hours in (30, 20, 10, 1)])
    pointer = {"version": "1", "run_id": "run", "sha256": ""}
    (folder / "models/serving/champion.json").write_text(json.dumps(pointer), encoding="utf-8")
    assert command("watch") == 0
    text = (folder / PAGE).read_text(encoding="utf-8")
    assert "<dt>requests</dt><dd>4</dd>" in text
    assert "<dt>rows</dt><dd>8</dd>" in text
    sources = re.findall(r"(?:src|href|url)[=(]\W*([^\"')]*)", text)
    assert len(sources) == 4 and all(it.startswith("data:image/png;base64,") for it in sources)
    assert "://" not in text  # no letters that a picture in base64 holds, as it does "http"


def test_brief_traffic_fills_its_plot() -> None:
    """Requests of one second are shown over seconds, each with a mark of its own."""
    times = pd.date_range("2024-01-01 12:00", periods=3, freq="100ms", tz="UTC")
    asked = pd.DataFrame({"time": times, "version": "one", "rows": 1, "ms": 2.0})
    for draw in (watch.draw_requests, watch.draw_latency):
        (axes,) = draw(asked).axes
        first, last = axes.get_xlim()  # in days
        assert (last - first) * 24 * 3600 < 60
        assert axes.collections or all(line.get_marker() == "." for line in axes.lines)


def test_hours_without_a_request_are_none_and_no_line_between_neighbours() -> None:
    """The plot goes down to nothing where nobody was answered."""
    day = pd.date_range("2024-01-01", periods=48, freq="30min", tz="UTC")
    times = day.append(day + pd.Timedelta(days=4))
    (axes,) = watch.draw_requests(pd.DataFrame({"time": times, "rows": 2})).axes
    for line in axes.lines:
        found = np.asarray(line.get_ydata())
        assert len(found) == 60 and (found == 0).sum() > 30
    assert sum(np.asarray(axes.lines[1].get_ydata())) == len(times)


def test_answers_of_yes_and_no_are_counted() -> None:
    """Classes that are true and false, of a model without probabilities, are no numbers."""
    said = pd.DataFrame({"prediction": [True, False, True], "score": np.nan})
    said["time"] = pd.date_range("2024-01-01", periods=3, freq="h", tz="UTC")
    (axes,) = watch.draw_predictions(said, said).axes
    assert axes.get_title(loc="left") == "held-out rows: True 67%, False 33%"
