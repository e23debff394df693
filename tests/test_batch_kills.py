"""Batches that are killed twenty times while they work: no row twice, none lost."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import ok, outside_make
from test_batch import _fresh, _project  # pylint: disable=unused-import  # fixtures
from test_batch import ids, logged, wanted

pytestmark = [pytest.mark.slow]


def kill_while(project: Path, started: Callable[[], bool], seconds: float, *command: str) -> bool:
    """Start a command, wait until it has begun its work, and kill it after some seconds of that.

    Returns whether it had not ended by itself.
    """
    process = subprocess.Popen(
        command,
        cwd=project,
        env=outside_make(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not started():
        time.sleep(0.005)
    time.sleep(seconds)
    is_running = process.poll() is None
    if is_running:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return is_running


def test_a_back_fill_that_is_killed_twenty_times_gives_each_row_once(project: Path) -> None:
    """Killed while it writes a day; the next run completes it: no row twice, none lost."""
    first = ("--from", "2013-01-01", "--to", "2013-04-01")
    command = (".venv/bin/ladder", "backfill", *first, "--by", "day")
    drawn, folder, kills = random.Random(20), project / "predictions", 0
    for _ in range(20):
        before = len(list(folder.glob("*.csv")))

        def has_begun(before: int = before) -> bool:
            return len(list(folder.glob("*"))) > before

        kills += kill_while(project, has_begun, drawn.uniform(0, 0.1), *command)
    ok(*command, at=project)
    assert kills >= 15
    assert sorted(ids(folder)) == sorted(wanted(project))
    assert logged(project) == len(wanted(project))


def test_a_batch_that_is_killed_twenty_times_is_logged_once(project: Path) -> None:
    """The answers are whole or not there; the log has all rows of a batch, or none."""
    whole = pd.concat(pd.read_csv(path) for path in sorted((project / "data/sample").glob("*.csv")))
    rows = 5 * len(whole)
    pd.concat([whole] * 5).to_csv(project / "many.csv", index=False)
    out = project / "predictions/many.csv"
    part = out.with_name("many.csv.part")
    command = (".venv/bin/ladder", "predict", "--data", "many.csv", "--out", "predictions/many.csv")
    drawn, kills = random.Random(21), 0
    for _ in range(20):
        kills += kill_while(project, part.exists, drawn.uniform(0, 3), *command)
        assert not out.exists() or len(pd.read_csv(out)) == rows
        assert not (project / "predictions.db").exists() or logged(project) % rows == 0
        out.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
    before = logged(project)
    ok(*command, at=project)
    assert kills >= 5
    assert len(pd.read_csv(out)) == rows and logged(project) == before + rows
