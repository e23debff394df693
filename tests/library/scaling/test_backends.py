"""Backends: on two workers all comes to the same, in the same order, also where one dies."""

import os
import signal
import time
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.model.split import split_three_ways
from mlops_ladder.model.study import open_executor
from mlops_ladder.model.training import prepare_training_rows, Trained
from mlops_ladder.monitoring.staleness import backtest
from mlops_ladder.pipeline import tuning
from mlops_ladder.scaling import backends, batch
from mlops_ladder.scaling.backends import (
    run_on_worker,
    CODE,
    find_worker_differences,
    collect_worker_facts,
)
from mlops_ladder.settings import Settings
from mlops_ladder.pipeline.settings import Tuning

ROWS, TRIALS = 800, 4


def changed(settings: Settings, backend: str, **more: Any) -> Settings:
    """The settings with another backend, and a search that is short."""
    scale = settings.scale.model_copy(update={"backend": backend, "address": "", **more})
    tuned = Tuning(trials=TRIALS, space=settings.tuning.space)
    return settings.model_copy(update={"scale": scale, "tuning": tuned})


@pytest.fixture(name="here", scope="module")
def _here(settings: Settings) -> Settings:
    """One after the other, in this process."""
    return changed(settings, "local", workers=2)


@pytest.fixture(name="there", scope="module")
def _there(settings: Settings) -> Settings:
    """On two workers of this machine."""
    return changed(settings, "dask", workers=2)


@pytest.fixture(name="cluster", scope="module")
def _cluster(there: Settings) -> Iterator[backends.Cluster]:
    """Two workers, each a process, for all tests of this module."""
    with backends.create_executor(there) as cluster:
        yield cluster


@pytest.fixture(name="rows", scope="module")
def _rows(frame: pd.DataFrame, contract: Contract, settings: Settings) -> pd.DataFrame:
    """Some rows that can be learned from."""
    some = frame.sample(min(len(frame), ROWS), random_state=0).sort_index()
    return prepare_training_rows(some, contract, settings)


@pytest.mark.usefixtures("cluster")
def test_the_search_is_the_same(
    rows: pd.DataFrame, contract: Contract, here: Settings, there: Settings
) -> None:
    """Each trial has the same parameters and the same score, to the digit."""
    try:
        parted = split_three_ways(rows, contract, here)
        alone = tuning.search(parted, contract, here, on_progress=str)
    except ProjectError as error:
        pytest.skip(f"these data cannot be searched on: {error}")
    apart = tuning.search(parted, contract, there, on_progress=str)
    assert [(it.params, str(it.score)) for it in apart.trials] == [
        (it.params, str(it.score)) for it in alone.trials
    ]
    assert apart.params == alone.params


@pytest.mark.usefixtures("cluster")
def test_the_backtest_is_the_same(
    rows: pd.DataFrame, contract: Contract, here: Settings, there: Settings
) -> None:
    """Each point of it, in the same order."""
    if not contract.names("time"):
        pytest.skip("no column says the time")
    assert backtest(rows, contract, there) == backtest(rows, contract, here)


@pytest.mark.usefixtures("cluster")
def test_a_batch_is_the_same(
    frame: pd.DataFrame, trained: Trained, here: Settings, there: Settings, tmp_path: Path
) -> None:
    """Every row is answered once, in its place, though parts are answered in any order."""
    for number in range(5):
        frame.head(200 * (5 - number)).to_parquet(tmp_path / f"{number}.parquet")
    saved = {"model": trained.model, "contract": trained.contract, "version": "v"}
    alone, apart = (
        [part.answers for part in batch.score_parts(saved, f"{tmp_path}/*.parquet", it) or ()]
        for it in (here, there)
    )
    assert len(alone) == 5
    assert all(map(pd.DataFrame.equals, alone, apart))


def slow_first(item: int) -> tuple[int, int]:
    """Return the item and the process that had it; each takes so long that both workers are needed."""
    time.sleep(0.1 if item else 0.5)
    return item, os.getpid()


def test_answers_come_in_order_from_both_workers(cluster: backends.Cluster) -> None:
    """However long one of them takes; and only some items are taken at a time."""
    taken: list[int] = []
    items = (taken.append(it) or it for it in range(20))  # type: ignore[func-returns-value]  # told
    answers = cluster.map(slow_first, items)
    first = next(answers)
    assert len(taken) == 2 * backends.AHEAD
    found = [first, *answers]
    assert [item for item, _ in found] == list(range(20))
    assert len({process for _, process in found} - {os.getpid()}) == 2


def failing(item: int) -> None:
    """Refuse it."""
    raise ProjectError(f"{item}: not to be had")


def test_what_a_function_raises_is_raised_here(cluster: backends.Cluster) -> None:
    """As it would be in this process."""
    with pytest.raises(ProjectError, match="0: not to be had"):
        list(cluster.map(failing, range(9)))


def test_a_worker_that_is_not_as_this_process_does_nothing(cluster: backends.Cluster) -> None:
    """Another code or version is named, with the worker's process and folder."""
    other = collect_worker_facts() | {CODE: "0", "pandas": "0.1"}
    future = cluster.client.submit(run_on_worker, 1, other, str)
    with pytest.raises(ProjectError, match=r"process \d+, in .*pandas .*, not 0.1; .*other code"):
        cluster.get_result(future)
    assert find_worker_differences(collect_worker_facts(), collect_worker_facts()) == []


def test_an_address_where_no_scheduler_is_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the value, and the way out."""
    monkeypatch.setattr(backends, "SCHEDULER_TIMEOUT_S", 1)
    monkeypatch.setattr(backends, "OPEN", ContextVar("OPEN", default=None))
    with pytest.raises(ProjectError, match=r"scale.address = 'tcp://127.0.0.1:9'.*local"):
        with open_executor(changed(settings, "dask", address="tcp://127.0.0.1:9")):
            pass


def fragile(item: int, folder: str) -> int:
    """The item; who has the third one first is killed."""
    if item == 3 and not (mark := Path(folder, "killed")).exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_what_a_worker_was_at_when_it_was_killed_is_done_again(
    cluster: backends.Cluster, tmp_path: Path
) -> None:
    """No answer is lost, and none comes twice."""
    assert list(cluster.map(fragile, range(8), str(tmp_path))) == list(range(8))
    assert (tmp_path / "killed").exists()


def deadly(_item: int) -> None:
    """Kill who has it."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_task_that_kills_whoever_has_it_is_told(
    cluster: backends.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the last of the workers."""
    monkeypatch.setattr(cluster.client.cluster.scheduler, "allowed_failures", 0)
    with pytest.raises(ProjectError, match=r"a task killed its workers: tcp://127.0.0.1:\d+"):
        list(cluster.map(deadly, [0]))
