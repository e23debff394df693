"""The tasks of the training pipeline: Prefect's, with a line printed about each.

Steps are called one after the other, so that one which fails ends the flow.  A task that somebody
submits is waited for before anything is registered, and fails it too: Prefect would not look.
"""

import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import prefect
from prefect import Task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.futures import PrefectConcurrentFuture
from prefect.task_runners import ThreadPoolTaskRunner

from mlops_ladder import ProjectError
from mlops_ladder.pipeline import given_tags, show

Given = ParamSpec("Given")
Result = TypeVar("Result")
Step = Callable[Given, tuple[Result, str]]


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


def task(function: Step[Given, Result], pauses: Sequence[float] = ()) -> Task[Given, Result]:
    """Return a task of a function whose result comes with a line about it.

    The task gives the result, and prints the line with the seconds that it took.  It is run again
    after each of the pauses, in seconds, unless it fails by a ProjectError.
    """
    made: Task[Given, Result] = prefect.task(
        name=function.__name__,
        cache_policy=NO_CACHE,  # else Prefect hashes all rows
        retries=len(pauses),
        retry_delay_seconds=list(pauses),
        retry_condition_fn=unforeseen,
        log_prints=True,
    )(reported(function))
    return made


def retried_after(*pauses: float) -> Callable[[Step[Given, Result]], Task[Given, Result]]:
    """Return a decorator as `task` that runs the task again after each of these seconds."""
    return lambda function: task(function, pauses)


def reported(function: Step[Given, Result]) -> Callable[Given, Result]:
    """Return a function that gives the result of a step, and prints the line about it."""

    @wraps(function)
    def step(*given: Given.args, **named: Given.kwargs) -> Result:
        name, started = function.__name__, time.perf_counter()
        show(name, "...")
        result, words = function(*given, **named)
        show(name, words, time.perf_counter() - started)
        return result

    return step


def unforeseen(_task: Any, _run: Any, state: Any) -> bool:
    """Did it fail by something that may be better the next time?"""
    return not isinstance(state.result(raise_on_failure=False), ProjectError)


def run_tags() -> dict[str, str]:
    """Return the tags that all that this run of the flow makes carries."""
    return {"prefect.flow_run_id": str(context().flow_run.id)} | given_tags()


def finish_submitted() -> None:
    """Return once the tasks that this run has submitted are completed; raise what one raises."""
    for future in context().task_runner.futures:
        future.result()


def context() -> Any:
    """The run of the flow that we are in."""
    found = FlowRunContext.get()
    assert found and found.flow_run
    return found
