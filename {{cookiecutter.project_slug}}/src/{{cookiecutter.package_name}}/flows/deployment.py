"""The pipeline as a Prefect deployment: served by one process, each run in another.

The process that serves sees how a run ends, also where it is killed, and then calls what is
registered for that here: a process that is killed can tell nobody itself.
"""

import asyncio
from typing import Any

import prefect
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import filters
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.states import Crashed
from prefect.types.entrypoint import EntrypointType

from .. import ProjectError
from ..operations import Schedule
from ..settings import load
from ..upstream import notify as tell_of_data
from .pipeline import RUNNER, step, training
from .schedule import tell
from .steps import Outcome
from .training import told

NAME = __name__.partition(".")[0]  # a server may be shared with other projects
MOST = 200  # as many as a server gives


def notify(flow: Any, flow_run: Any, state: Any) -> None:
    """Tell whoever the settings name how a run has ended.  Prefect gives these by their names."""
    words = f"{flow.name} {flow_run.name}: {state.name}: {state.message or 'no reason is given'}"
    said = {"flow_run": flow_run.name, "flow_run_id": str(flow_run.id), "state": state.name}
    tell(load().schedule.webhook, {"text": words, "project": NAME, **said})


@prefect.flow(
    name="scheduled-training",
    task_runner=RUNNER,
    log_prints=True,
    on_failure=[notify],
    on_crashed=[notify],
    on_cancellation=[notify],
)
def scheduled_training() -> None:
    """The pipeline, tried again unless its user has to act, as where rows break the contract."""
    settings = load()
    tell_of_data(settings)  # data that are not what was agreed on are told, and learned from
    step(attempt, pauses=(settings.schedule.retry_seconds,) * settings.schedule.retries)


def attempt() -> tuple[Outcome, str]:
    """The pipeline once.  The same rows, settings and code again give the version they gave."""
    outcome = training.fn()
    return outcome, told(outcome)


def serve(settings: Schedule, now: bool) -> None:
    """Run the pipeline at its times, one run after the other, until this process is ended.

    Raises ProjectError where cron or time zone are none.
    """
    runner = Runner(name=NAME, limit=1, query_seconds=settings.poll_seconds)
    try:
        CronSchedule(cron=settings.cron, timezone=settings.timezone)
    except ValueError as error:
        about = f"schedule.cron = {settings.cron!r}, timezone = {settings.timezone!r}"
        raise ProjectError(f"{about}: {error}; as in '0 3 * * 1' and 'Europe/Berlin'") from error
    with get_client(sync_client=True) as client:
        lost(client)
        when, by = Cron(settings.cron, timezone=settings.timezone), EntrypointType.MODULE_PATH
        made: Any = runner.add_flow(scheduled_training, NAME, schedule=when, entrypoint_type=by)
        if now:
            client.create_flow_run_from_deployment(made)
    print(f"Serving {settings.cron!r} ({settings.timezone}); end it with Ctrl-C", flush=True)
    asyncio.run(runner.start())


def lost(client: SyncPrefectClient) -> None:
    """Mark and tell runs that nobody watches any more: what served them was killed too."""
    running = filters.FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
    runs = client.read_flow_runs(
        flow_run_filter=filters.FlowRunFilter(state=filters.FlowRunFilterState(type=running)),
        deployment_filter=filters.DeploymentFilter(name=filters.DeploymentFilterName(any_=[NAME])),
        sort=FlowRunSort.START_TIME_DESC,
        limit=MOST,
    )
    for run in runs:
        ended: Any = Crashed(message="what served the schedule ended before the run did")
        client.set_flow_run_state(run.id, ended, force=True)
        notify(scheduled_training, run, ended)
