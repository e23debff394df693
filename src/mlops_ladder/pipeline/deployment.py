"""Pipeline and watch as Prefect deployments: served by one process, each run in another.

The process that serves sees how a run ends, also where it is killed, and then calls what is
registered for that here: a process that is killed can tell nobody itself.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import prefect
from prefect.client.orchestration import get_client, SyncPrefectClient
from prefect.client.schemas import filters
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.schedules import CronSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.states import Crashed
from prefect.types.entrypoint import EntrypointType

from mlops_ladder import plugins, project, ProjectError
from mlops_ladder.pipeline import command, steps, tasks
from mlops_ladder.pipeline.schedule import tell
from mlops_ladder.pipeline.settings import Schedule
from mlops_ladder.settings import load_settings, Settings

MOST = 200  # as many as a server gives


def notify(flow: Any, flow_run: Any, state: Any) -> None:
    """Tell whoever the settings name how a run has ended.  Prefect gives these by their names."""
    words = f"{flow.name} {flow_run.name}: {state.name}: {state.message or 'no reason is given'}"
    said = {"flow_run": flow_run.name, "flow_run_id": str(flow_run.id), "state": state.name}
    tell(
        load_settings().schedule.webhook,
        {"text": words, "project": project.get_project().package, **said},
    )


@prefect.flow(
    name="scheduled-training",
    task_runner=tasks.RUNNER,
    log_prints=True,
    on_failure=[notify],
    on_crashed=[notify],
    on_cancellation=[notify],
)
def scheduled_training() -> None:
    """The pipeline, tried again unless its user has to act, as where rows break the contract.

    Then, however it ended, what is registered to be done as often.
    """
    settings = load_settings()
    try:
        tasks.task(attempt, [settings.schedule.retry_seconds] * settings.schedule.retries)()
    finally:
        for further in tasks_of("run_after_training"):
            further(settings)


@prefect.flow(
    name="scheduled-watch",
    log_prints=True,
    on_failure=[notify],
    on_crashed=[notify],
    on_cancellation=[notify],
)
def scheduled_watch() -> None:
    """What is registered to look at the log; what one of them finds keeps no other from looking."""
    settings, found = load_settings(), []
    for look in tasks_of("watch_predictions"):
        try:
            look(settings)
        except ProjectError as error:
            found.append(str(error))
    if found:
        raise ProjectError("\n".join(found))


def tasks_of(hook: str) -> list[Callable[[Settings], object]]:
    """The plugins behind a hook, each as a task."""
    return [tasks.task(function) for function in plugins.get_implementations(hook)]


def attempt() -> tuple[steps.Outcome, str]:
    """The pipeline once.  The same rows, settings and code again give the version they gave."""
    outcome: steps.Outcome = command.project_flow().fn()
    return outcome, command.told(outcome)


def serve(settings: Schedule, now: bool) -> None:
    """Run pipeline and watch at their times, one run after the other, until this process is ended.

    Raises ProjectError where cron or time zone are none.
    """
    name = project.get_project().package  # a server may be shared with other projects
    runner = Runner(name=name, limit=1, query_seconds=settings.poll_seconds)
    whens = {key: when(key, getattr(settings, key), settings) for key in ("cron", "watch")}
    with get_client(sync_client=True) as client:
        lost(client)
        options: Any = {"name": name, "entrypoint_type": EntrypointType.MODULE_PATH}
        runner.add_flow(scheduled_watch, schedule=whens["watch"], **options)
        made: Any = runner.add_flow(scheduled_training, schedule=whens["cron"], **options)
        if now:
            client.create_flow_run_from_deployment(made)
    served = f"{settings.cron!r}, and to watch {settings.watch!r}"
    print(f"Serving {served} ({settings.timezone}); end it with Ctrl-C", flush=True)
    asyncio.run(runner.start())


def when(name: str, cron: str, settings: Schedule) -> Any:
    """A schedule, or none where it is never.  ProjectError where cron or time zone are none."""
    try:
        if cron:
            CronSchedule(cron=cron, timezone=settings.timezone)
    except ValueError as error:
        about = f"schedule.{name} = {cron!r}, timezone = {settings.timezone!r}"
        raise ProjectError(f"{about}: {error}; as in '0 3 * * 1' and 'Europe/Berlin'") from error
    return Cron(cron, timezone=settings.timezone) if cron else None


def lost(client: SyncPrefectClient) -> None:
    """Mark and tell runs that nobody watches any more: what served them was killed too."""
    running = filters.FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
    ours = filters.DeploymentFilterName(any_=[project.get_project().package])
    runs = client.read_flow_runs(
        flow_run_filter=filters.FlowRunFilter(state=filters.FlowRunFilterState(type=running)),
        deployment_filter=filters.DeploymentFilter(name=ours),
        sort=FlowRunSort.START_TIME_DESC,
        limit=MOST,
    )
    for run in runs:
        ended: Any = Crashed(message="what served the schedule ended before the run did")
        client.set_flow_run_state(run.id, ended, force=True)
        notify(client.read_flow(run.flow_id), run, ended)
