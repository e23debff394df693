"""The tasks of the training pipeline: Prefect's, with a line printed about each.

Steps are called one after the other, so that a failing one ends the flow.  If somebody submits a
task, the flow waits for it before it registers anything, and fails with it: Prefect would not.
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
from mlops_ladder.pipeline import print_step, read_environment_tags

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Step = Callable[Arguments, tuple[Result, str]]


class TrackingRunner(ThreadPoolTaskRunner[Any]):
    """A thread pool that keeps the future of each submitted task."""

    def __init__(self, max_workers: int | None = None) -> None:
        super().__init__(max_workers)
        self.futures: list[PrefectConcurrentFuture[Any]] = []

    def submit(self, *arguments: Any, **named: Any) -> PrefectConcurrentFuture[Any]:
        """Start the task in a thread."""
        future = super().submit(*arguments, **named)
        self.futures.append(future)
        return future


RUNNER: Any = TrackingRunner()  # Prefect makes a copy for each run of the flow


def task(
    function: Step[Arguments, Result], delays: Sequence[float] = ()
) -> Task[Arguments, Result]:
    """Return a Prefect task that prints a line about its result, with its seconds.

    Args:
        function: A step: it returns its result and the line.
        delays: The seconds before each retry.  A ProjectError is not retried.
    """

    @wraps(function)
    def step(*arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        started = time.perf_counter()
        print_step(function.__name__, "...")
        result, text = function(*arguments, **named)
        print_step(function.__name__, text, time.perf_counter() - started)
        return result

    decorated: Task[Arguments, Result] = prefect.task(
        name=function.__name__,
        cache_policy=NO_CACHE,  # else Prefect hashes all rows
        retries=len(delays),
        retry_delay_seconds=list(delays),
        retry_condition_fn=is_retryable,
        log_prints=True,
    )(step)
    return decorated


def retry_after(*delays: float) -> Callable[[Step[Arguments, Result]], Task[Arguments, Result]]:
    """Return a decorator like `task` with retries after these seconds."""
    return lambda function: task(function, delays)


def is_retryable(_task: Any, _run: Any, state: Any) -> bool:
    """Return whether a task failed by something that a retry may pass: no ProjectError."""
    return not isinstance(state.result(raise_on_failure=False), ProjectError)


def run_tags() -> dict[str, str]:
    """Return the tags for everything that this run of the flow records."""
    return {"prefect.flow_run_id": str(get_context().flow_run.id)} | read_environment_tags()


def finish_submitted() -> None:
    """Wait for the tasks that this run has submitted; raise the error of a failed one."""
    for future in get_context().task_runner.futures:
        future.result()


def get_context() -> Any:
    """Return the context of the running flow."""
    context = FlowRunContext.get()
    assert context and context.flow_run
    return context
