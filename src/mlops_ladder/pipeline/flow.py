"""The training pipeline as a Prefect flow.  Only files of this folder import prefect.

Steps are called one after the other, so that one which fails ends the flow.  A task that somebody
submits is waited for before anything is registered, and fails it too: Prefect would not look.
"""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.futures import PrefectConcurrentFuture
from prefect.task_runners import ThreadPoolTaskRunner

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import read_contract
from mlops_ladder.pipeline import given_tags, show, steps
from mlops_ladder.pipeline.steps import Outcome
from mlops_ladder.settings import load

PAUSES = (1, 10)  # seconds before rows are read again, where another machine has not answered
Result = TypeVar("Result")


class Watched(ThreadPoolTaskRunner[Any]):
    """Threads for tasks that are submitted; it knows all of them."""

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__(max_workers)
        self.futures: list[PrefectConcurrentFuture[Any]] = []

    def submit(self, *arguments: Any, **named: Any) -> PrefectConcurrentFuture[Any]:
        """Start the task in a thread."""
        future = super().submit(*arguments, **named)
        self.futures.append(future)
        return future


RUNNER: Any = Watched()  # Prefect gives each run of the flow another like it


@flow(name="training", task_runner=RUNNER, log_prints=True)
def training() -> Outcome:
    """From the rows to a version in the registry.  Raises what a step raises."""
    settings, contract = load(), read_contract()
    context = FlowRunContext.get()
    assert context and context.flow_run
    tags = {"prefect.flow_run_id": str(context.flow_run.id)} | given_tags()
    frame = step(steps.ingest, settings, pauses=PAUSES)
    rows = step(steps.check, frame, contract, settings)
    parted = step(steps.split, rows, contract, settings)
    best = step(steps.tune, parted, contract, settings, tags)
    trained = step(steps.train, rows, contract, settings, best)
    run_id = step(steps.evaluate, trained, parted, tags)
    verdict = step(steps.gate, trained, run_id, tags, frame)
    runner: Any = context.task_runner
    for future in runner.futures:
        future.result()
    return step(steps.register, trained, run_id, verdict)


def step(
    function: Callable[..., tuple[Result, str]], *arguments: Any, pauses: tuple[float, ...] = ()
) -> Result:
    """What the function gives, run as a task of its name; a line says what came of it.

    It is run again after each of the pauses, unless it fails by a ProjectError.
    """
    name, started = function.__name__, time.perf_counter()
    as_task = task(
        name=name,
        cache_policy=NO_CACHE,  # else Prefect hashes all rows
        retries=len(pauses),
        retry_delay_seconds=list(pauses),
        retry_condition_fn=unforeseen,
        log_prints=True,
    )
    show(name, "...")
    result, words = as_task(function)(*arguments)
    show(name, words, time.perf_counter() - started)
    return result


def unforeseen(_task: Any, _run: Any, state: Any) -> bool:
    """Did it fail by something that may be better the next time?"""
    return not isinstance(state.result(raise_on_failure=False), ProjectError)
