"""The schedule: who is told, and what is refused.

That a run which is killed is told, `make maturity-deep` tries.
"""

from collections.abc import Iterator, Sequence
from http.client import BadStatusLine
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from mlops_ladder import ProjectError
from mlops_ladder.maturity.trials.agreements import receive_posts
from mlops_ladder.model.training import Trained
from mlops_ladder.pipeline import schedule, steps
from mlops_ladder.project import get_project
from mlops_ladder.registry import versions
from mlops_ladder.registry.gate import Verdict
from mlops_ladder.settings import Settings
from mlops_ladder.pipeline.settings import Schedule
from mlops_ladder.tracking import runs


@pytest.fixture(name="heard")
def _heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What is posted to the address that the environment names."""
    with receive_posts() as (address, found):
        monkeypatch.setenv(f"{get_project().prefix}SCHEDULE__WEBHOOK", address)
        yield found


@pytest.fixture(name="deployment", scope="module")
def _deployment(flows: Any) -> Any:
    """The deployment, imported when there is a server: prefect reads the environment then."""
    assert flows
    return import_module(f"{schedule.__package__}.deployment")


def test_every_bad_end_is_told(deployment: Any, heard: list[Any], folder: Path) -> None:
    """Failed, crashed and cancelled runs call `notify` by Prefect's names, and it posts."""
    flow = deployment.scheduled_training
    assert folder == Path.cwd()
    hooks = [*flow.on_failure_hooks, *flow.on_crashed_hooks, *flow.on_cancellation_hooks]
    run, state = SimpleNamespace(id=7, name="a-run"), SimpleNamespace(name="Crashed", message="-9")
    for hook in hooks:
        hook(flow=flow, flow_run=run, state=state)
    assert len(heard) == 3
    assert (heard[0]["flow_run"], heard[0]["state"]) == ("a-run", "Crashed")
    assert heard[0]["text"] == "scheduled-training a-run: Crashed: -9"


def test_an_address_that_does_not_answer_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is tried, and what could not be told stands in the log."""
    monkeypatch.setattr(schedule, "TRIES", 1)
    assert not schedule.post_to_webhook("http://127.0.0.1:1/", {"text": "A run crashed"})
    assert not schedule.post_to_webhook("", {"text": "Another run crashed"})
    said = capsys.readouterr().err
    assert (
        "A run crashed" in said and "Another run crashed" in said and "nobody was notified" in said
    )


def test_who_answers_nonsense_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What answers there may speak something else than HTTP."""
    monkeypatch.setattr(schedule, "TRIES", 1)

    def nonsense(*_: object, **__: object) -> None:
        raise BadStatusLine("220 mail")

    monkeypatch.setattr(schedule, "urlopen", nonsense)
    assert not schedule.post_to_webhook("http://127.0.0.1:1/", {"text": "A run crashed"})
    assert "nobody was notified: 220 mail" in capsys.readouterr().err


def test_a_second_schedule_on_this_machine_is_refused(folder: Path) -> None:
    """Two of them would run everything twice."""
    (folder / "models").mkdir(exist_ok=True)
    with FileLock(schedule.LOCK), pytest.raises(ProjectError, match="is served already"):
        with schedule.schedule_lock():
            pass


@pytest.mark.parametrize(("cron", "zone"), [("at night", "UTC"), ("0 3 * * 1", "Nowhere")])
def test_times_that_are_none_are_refused(deployment: Any, cron: str, zone: str) -> None:
    """Cron and time zone are named with their values."""
    with pytest.raises(ProjectError) as refused:
        deployment.serve_schedule(Schedule(cron=cron, timezone=zone), False)
    assert f"schedule.cron = {cron!r}, timezone = {zone!r}" in str(refused.value)
    with pytest.raises(ProjectError, match="schedule.watch = 'at dawn'"):
        deployment.serve_schedule(Schedule(watch="at dawn"), False)


def test_a_run_that_fails_is_tried_as_often_as_the_settings_say(
    deployment: Any, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    """The pipeline is one step, with a pause before each further try; then what is registered."""
    asked: list[Any] = []

    def task(function: Any, pauses: Sequence[float] = ()) -> Any:
        def run(*_given: Any) -> None:
            asked.append((function.__name__, pauses))
            if function is deployment.run_pipeline_once:
                raise ProjectError("the rows break the contract")

        return run

    found = {"run_after_training": [test_every_bad_end_is_told]}
    monkeypatch.setattr(deployment.tasks, "task", task)
    monkeypatch.setattr(deployment.plugins, "get_implementations", found.get)
    monkeypatch.setenv(f"{get_project().prefix}SCHEDULE__RETRIES", "2")
    with pytest.raises(ProjectError, match="break the contract"):
        deployment.scheduled_training.fn()
    pauses = [settings.schedule.retry_seconds] * 2
    assert asked == [("run_pipeline_once", pauses), (test_every_bad_end_is_told.__name__, ())]


def test_each_look_at_the_log_is_taken_and_what_they_find_is_raised(
    deployment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that finds something keeps no other from looking; all of it is in the words."""
    looks = [nothing_there, skewed, drifted]
    monkeypatch.setattr(deployment.tasks, "task", lambda look: look)
    monkeypatch.setattr(deployment.plugins, "get_implementations", {"watch_predictions": looks}.get)
    with pytest.raises(ProjectError, match="^skew in a column\ndrift in a column$"):
        deployment.scheduled_watch.fn()
    found = {"watch_predictions": [nothing_there]}
    monkeypatch.setattr(deployment.plugins, "get_implementations", found.get)
    deployment.scheduled_watch.fn()


def nothing_there(_: Settings) -> tuple[bool, str]:
    """A look that finds nothing."""
    return False, "nothing to look at"


def skewed(_: Settings) -> tuple[bool, str]:
    """A look that finds something."""
    raise ProjectError("skew in a column")


def drifted(_: Settings) -> tuple[bool, str]:
    """A look that finds something else."""
    raise ProjectError("drift in a column")


def test_the_same_model_again_is_no_second_version(
    folder: Path, trained: Trained, run: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is registered twice has one version."""
    assert folder == Path.cwd()
    registered = "registered-twice"
    monkeypatch.setattr(versions, "model_name", lambda: registered)
    refused = Verdict(False, ("too poor: no",), {"champion": None})
    made = [steps.register(trained, run.run_id, refused)[0].version.number for _ in range(2)]
    assert made == ["1", "1"]
    assert list(versions.list_versions()) == ["1"]
