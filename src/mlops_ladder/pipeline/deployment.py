"""Pipeline and watch as Prefect deployments: one process serves them, each run is another.

The serving process sees how a run ends, also by a kill, and notifies the webhook: a killed process
cannot do that itself.
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
from mlops_ladder.pipeline.schedule import post_to_webhook
from mlops_ladder.pipeline.settings import Schedule
from mlops_ladder.settings import load_settings, Settings

MAX_RUNS = 200  # the largest page of a server


def notify(flow: Any, flow_run: Any, state: Any) -> None:
    """Notify the webhook of the end of a run.  Prefect gives these arguments by name."""
    reason = state.message or "no reason is given"
    event = {
        "text": f"{flow.name} {flow_run.name}: {state.name}: {reason}",
        "project": project.get_project().package,
        "flow_run": flow_run.name,
        "flow_run_id": str(flow_run.id),
        "state": state.name,
    }
    post_to_webhook(load_settings().schedule.webhook, event)


BAD_ENDS: Any = (
    dict(  # pylint: disable=use-dict-literal  # the keywords are what `make maturity` reads
        on_failure=[notify], on_crashed=[notify], on_cancellation=[notify]
    )
)


@prefect.flow(name="scheduled-training", task_runner=tasks.RUNNER, log_prints=True, **BAD_ENDS)
def scheduled_training() -> None:
    """Run the pipeline; retry it unless its user has to act, as for rows that break the contract.

    Then run the hook `run_after_training`, however the training ended.
    """
    settings = load_settings()
    try:
        delays = [settings.schedule.retry_seconds] * settings.schedule.retries
        tasks.task(run_pipeline_once, delays)()
    finally:
        for further in build_tasks("run_after_training"):
            further(settings)


@prefect.flow(name="scheduled-watch", log_prints=True, **BAD_ENDS)
def scheduled_watch() -> None:
    """Run all plugins of the hook `watch_predictions`, then raise all their findings at once."""
    settings, findings = load_settings(), []
    for watch in build_tasks("watch_predictions"):
        try:
            watch(settings)
        except ProjectError as error:
            findings.append(str(error))
    if findings:
        raise ProjectError("\n".join(findings))


@prefect.flow(name="scheduled-scoring", log_prints=True, **BAD_ENDS)
def scheduled_scoring() -> None:
    """Score what is new in the source of the batches, then report on them."""
    settings = load_settings()
    try:
        for score in build_tasks("score_new_rows"):
            score(settings)
    finally:
        for report in build_tasks("after_scheduled_scoring"):
            report(settings)


def build_tasks(hook: str) -> list[Callable[[Settings], object]]:
    """Return the plugins of a hook, each as a task."""
    return [tasks.task(function) for function in plugins.get_implementations(hook)]


def run_pipeline_once() -> tuple[steps.Outcome, str]:
    """Run the pipeline; the same rows, settings and code again give the same version."""
    outcome: steps.Outcome = command.import_flow().fn()
    return outcome, command.format_outcome(outcome)


def serve_schedule(settings: Schedule, now: bool) -> None:
    """Run pipeline and watch at their times, one run after the other, until this process ends.

    Raises ProjectError if cron or time zone are invalid.
    """
    name = project.get_project().package  # a server may be shared with other projects
    runner = Runner(name=name, limit=1, query_seconds=settings.poll_seconds)
    cron, watch, score = (parse_cron(name, settings) for name in ("cron", "watch", "score"))
    with get_client(sync_client=True) as client:
        report_lost_runs(client)
        options: Any = {"name": name, "entrypoint_type": EntrypointType.MODULE_PATH}
        runner.add_flow(scheduled_watch, schedule=watch, **options)
        runner.add_flow(scheduled_scoring, schedule=score, **options)
        training: Any = runner.add_flow(scheduled_training, schedule=cron, **options)
        if now:
            client.create_flow_run_from_deployment(training)
    times = f"training {settings.cron!r}, watch {settings.watch!r}, scoring {settings.score!r}"
    times += f" ({settings.timezone})"
    print(f"Serving the schedule: {times}; end it with Ctrl-C", flush=True)
    asyncio.run(runner.start())


def parse_cron(name: str, settings: Schedule) -> Any:
    """Return a schedule, or None for an empty cron.  Raise ProjectError if it is invalid."""
    cron = getattr(settings, name)
    try:
        if cron:
            CronSchedule(cron=cron, timezone=settings.timezone)
    except ValueError as error:
        values = f"schedule.{name} = {cron!r}, timezone = {settings.timezone!r}"
        raise ProjectError(f"{values}: {error}; as in '0 3 * * 1' and 'Europe/Berlin'") from error
    return Cron(cron, timezone=settings.timezone) if cron else None


def report_lost_runs(client: SyncPrefectClient) -> None:
    """Mark unfinished runs of this project as crashed, and notify: their server has ended."""
    running = filters.FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.PENDING])
    ours = filters.DeploymentFilterName(any_=[project.get_project().package])
    runs = client.read_flow_runs(
        flow_run_filter=filters.FlowRunFilter(state=filters.FlowRunFilterState(type=running)),
        deployment_filter=filters.DeploymentFilter(name=ours),
        sort=FlowRunSort.START_TIME_DESC,
        limit=MAX_RUNS,
    )
    for run in runs:
        crashed: Any = Crashed(message="the process of the schedule ended before the run did")
        client.set_flow_run_state(run.id, crashed, force=True)
        notify(client.read_flow(run.flow_id), run, crashed)
