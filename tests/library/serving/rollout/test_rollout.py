"""A rollout: decided by evidence, written down first, and finished after a kill."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from library.registry.candidates import accepted, candidate, promoted, refused

from mlops_ladder import ProjectError
from mlops_ladder.monitoring.outcomes import Outcome, Outcomes
from mlops_ladder.project import get_project
from mlops_ladder.registry import history, promotion, publishing, versions
from mlops_ladder.registry.decisions import verify_registry
from mlops_ladder.registry.versions import Version
from mlops_ladder.serving.rollout import deciding, decisions
from mlops_ladder.serving.store import Store, VARIANTS
from mlops_ladder.settings import Settings
from mlops_ladder.serving.settings import Rollout
from mlops_ladder.tracking import runs

WANTED = Rollout(units=100, minutes=0)


class Killed(BaseException):
    """The process ends here: no `except Exception` may notice."""


@pytest.fixture(autouse=True)
def _empty(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nothing is promoted, and a model of its own in the registry."""
    registered = f"model-{uuid4().hex[:8]}"
    monkeypatch.setattr(versions, "model_name", lambda: registered)
    monkeypatch.setattr(
        publishing, "warn_of_changed_inputs", lambda entry: None
    )  # there is no model in it
    return folder


@pytest.fixture(name="wanted")
def _wanted(settings: Settings, folder: Path) -> Settings:
    """Settings that log into the folder and need few units."""
    serving = settings.serving.model_copy(
        update={"prediction_log_url": f"sqlite:///{folder}/log.db"}
    )
    return settings.model_copy(update={"serving": serving, "rollout": WANTED})


@pytest.fixture(name="second")
def _second(run: runs.Run) -> Version:
    """An accepted version beside champion `a`."""
    promoted(run, "a")
    return promotion.register_version(candidate(run, "b"), "b", accepted())


def begun(version: Version) -> decisions.Decision:
    """The rollout of a version, begun."""
    return deciding.begin_rollout(version, accepted(), WANTED)


def noted(wanted: Settings, units: int = 120, **changed: Any) -> None:
    """Have both arms of the present step asked by so many units; the candidate as is said."""
    now = decisions.find_running()
    assert now and now.plan
    rows = []
    for arm, more in (("champion", {}), ("candidate", changed)):
        known = {"rollout": now.rollout, "step": now.plan.step, "arm": arm, "failed": False}
        known |= {"shadow": False, "rows": 1, "latency_ms": 5.0, "time": now.time} | more
        output = orjson.dumps([{"prediction": 1.0}]).decode()
        for place in range(units):
            name = f"{arm}{place}"
            rows.append(known | {"request_id": name, "unit": name, "output": output})
    store = Store(wanted.serving.prediction_log_url, VARIANTS)
    store.write(rows)
    store.close()


def state() -> Any:
    """The champion that is served, what was decided, and whether the service has a plan."""
    served = json.loads(publishing.POINTER.read_text(encoding="utf-8"))["version"]
    actions = [it.action for it in decisions.read_rollout_log()]
    return served, actions, decisions.POINTER.exists()


def test_a_good_model_reaches_all_clients(second: Version, wanted: Settings) -> None:
    """Shadow, three shares, champion: a step goes on once it has seen enough, and not before."""
    begun(second)
    shares = []
    for _ in range(4):
        now = decisions.find_running()
        assert now and now.plan
        shares.append(now.plan.share)
        waiting = deciding.step_rollout(wanted)
        assert waiting and "0 of 100 units" in waiting.waits
        noted(wanted)
        deciding.step_rollout(wanted)
    assert shares == [0, 0.05, 0.25, 0.5]
    actions = ["start", "advance", "advance", "advance", "promote"]
    assert state() == (second.number, actions, False)
    assert deciding.step_rollout(wanted) is None
    assert verify_registry(versions.read_state()) == []
    told = decisions.read_rollout_log()[1].evidence
    assert told["units"] == {"champion": 120, "candidate": 120} and len(told["findings"]) > 1


def test_a_degraded_model_is_aborted_and_the_champion_serves(
    second: Version, wanted: Settings
) -> None:
    """One that fails is taken back before the step has seen enough, with the numbers."""
    before = state()[0]
    begun(second)
    noted(wanted, 40, failed=True)
    found = deciding.step_rollout(wanted)
    assert found and found.decision.action == "abort"
    assert state() == (before, ["start", "abort"], False)
    assert decisions.read_rollout_log()[-1].reasons[0].startswith("failures: 1 against 0")
    assert history.read_log().keys() == {1}  # the gate has decided nothing


def test_labels_that_came_back_decide_too(second: Version, wanted: Settings) -> None:
    """Outcomes of logged requests give a loss; a candidate that is wrong by more is aborted."""
    begun(second)
    assert deciding.find_truths(wanted, decisions.read_rollout_log()[-1]) == {}
    noted(wanted)
    now = decisions.read_rollout_log()[-1].time
    log = Store(wanted.serving.prediction_log_url)
    record = {"time": now, "model_version": "a", "inputs": "[]", "output": "[]"}
    names = [f"{arm}{place}" for arm in ("champion", "candidate") for place in range(120)]
    log.write([record | {"request_id": it, "rows": 2, "latency_ms": 1.0} for it in names])
    log.close()
    with Outcomes(wanted.serving.prediction_log_url) as archive:
        them = [(it, "1.5" if "champion" in it else "9.0") for it in names]
        kept = [Outcome(name, 1, said, now, False, at) for at, (name, said) in enumerate(them, 1)]
        archive.store_outcomes(kept)
    found = deciding.step_rollout(wanted)
    assert found and found.decision.action == "abort"
    assert found.decision.reasons[0].startswith("loss: 8 against 0.5")


def test_a_version_without_a_yes_of_the_gate_is_not_rolled_out(
    second: Version, run: runs.Run
) -> None:
    """Refused, unknown, or compared with another champion: nothing is written."""
    with pytest.raises(ProjectError, match="the gate has refused it\n  worse: no"):
        deciding.begin_rollout(second, refused(), WANTED)
    with pytest.raises(ProjectError, match="v77: no such version; there are: 1, 2"):
        deciding.start_rollout("77", WANTED)
    with pytest.raises(ProjectError, match="no gate has judged it; run: make pipeline"):
        deciding.start_rollout(second.number, WANTED)
    old = accepted()
    third = promoted(run, "c")
    with pytest.raises(
        ProjectError, match=f"compared with champion v1; .* champion v{third.number}"
    ):
        deciding.begin_rollout(second, old, WANTED)
    assert state()[1:] == ([], False)


def test_there_is_one_rollout_at_a_time(second: Version) -> None:
    """Another one waits until it has ended, or is ended by hand."""
    begun(second)
    with pytest.raises(ProjectError, match="the rollout of v2 goes on; to end it: make rollout AB"):
        deciding.start_rollout(second.number, WANTED)
    deciding.stop_rollout("by hand")
    assert state()[1:] == (["start", "abort"], False)
    with pytest.raises(ProjectError, match="no rollout goes on; to begin one"):
        deciding.stop_rollout("by hand")


def test_a_rollback_meanwhile_ends_the_rollout(
    second: Version, run: runs.Run, wanted: Settings
) -> None:
    """Where the champion is another one by now there is nothing to compare with."""
    begun(second)
    promoted(run, "c")
    assert deciding.step_rollout(wanted) is None
    assert decisions.read_rollout_log()[-1].reasons == ["the champion is v3 by now"]
    assert state() == ("3", ["start", "abort"], False)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (os, "fsync"),
        (promotion, "promote_version"),
        (versions, "write_decision"),
        (history, "append_entry"),
        (versions, "set_alias"),
        (publishing, "publish_entry"),
        (versions, "mark_applied"),
        (publishing, "warn_of_changed_inputs"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)
def test_a_promotion_that_is_killed_is_finished_by_the_next_command(
    second: Version, wanted: Settings, module: Any, name: str
) -> None:
    """Wherever it is killed: the version is champion once, and the plan is gone."""
    last = begun(second)

    def killed(*_: object) -> None:
        raise Killed(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, killed)
        with pytest.raises(Killed):
            decisions.decide(decisions.make_next_decision(last, "promote", ["enough"]))
    assert deciding.step_rollout(wanted) is None
    assert state() == (second.number, ["start", "promote"], False)
    assert verify_registry(versions.read_state()) == []
    assert [it.action for it in history.read_log().values()] == ["promote", "promote"]


def test_a_line_that_a_kill_has_torn_was_never_decided(second: Version, wanted: Settings) -> None:
    """Half a line at the end is skipped, and what comes after it is whole."""
    begun(second)
    whole = decisions.LOG.read_bytes()
    decisions.LOG.write_bytes(whole + whole[:50])
    noted(wanted)
    deciding.step_rollout(wanted)
    assert state()[1:] == (["start", "advance"], True)


def test_a_rollback_after_the_promotion_stands(second: Version, wanted: Settings) -> None:
    """A plan that a kill has left behind does not promote again what was rolled back since."""
    last = begun(second)
    plan = decisions.POINTER.read_text(encoding="utf-8")
    decisions.decide(decisions.make_next_decision(last, "promote", ["enough"]))
    promotion.roll_back()
    decisions.POINTER.write_text(plan, encoding="utf-8")
    assert deciding.step_rollout(wanted) is None
    assert state() == ("1", ["start", "promote"], False)


def test_a_bundle_and_a_plan_that_are_gone_come_back(second: Version, wanted: Settings) -> None:
    """What was decided is so again after the next command."""
    begun(second)
    shutil.rmtree(publishing.SERVING / second.number)
    decisions.POINTER.unlink()
    deciding.step_rollout(wanted)
    assert decisions.POINTER.exists()
    assert publishing.verify_bundle(publishing.SERVING / second.number) == []


def test_the_pipeline_begins_a_rollout_where_that_is_wanted(
    run: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for the first champion, once at a time, and not again for what was aborted."""
    first = promotion.register_version(candidate(run, "a"), "a", accepted())
    monkeypatch.setenv(f"{get_project().prefix}ROLLOUT__ENABLED", "true")
    assert deciding.start_accepted(first, accepted()) == ""
    promotion.promote_version(first, accepted())
    second = promotion.register_version(candidate(run, "b"), "b", accepted())
    third = promotion.register_version(candidate(run, "c"), "c", accepted())
    assert deciding.start_accepted(second, accepted()).endswith("Next: make serve, make rollout")
    assert "goes on" in deciding.start_accepted(second, accepted())
    waits = "The rollout of v2 goes on; then: make rollout VERSION=3"
    assert deciding.start_accepted(third, accepted()) == waits
    deciding.stop_rollout("by hand")
    assert "was aborted: by hand" in deciding.start_accepted(second, accepted())
    monkeypatch.setenv(f"{get_project().prefix}ROLLOUT__ENABLED", "false")
    assert deciding.start_accepted(third, accepted()) == ""


def test_the_command_tells_where_it_stands(
    second: Version, wanted: Settings, command: Callable[..., int], capsys: Any
) -> None:
    """Numbers of both arms, what it waits for, and what comes next."""
    name = f"{get_project().prefix}SERVING__PREDICTION_LOG_URL"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(name, wanted.serving.prediction_log_url)
        assert command("rollout") == 0
        assert "No rollout goes on.\nNext: make rollout VERSION=n" in capsys.readouterr().out
        begun(second)
        noted(wanted, 60)
        assert command("rollout") == 0
        said = capsys.readouterr().out
        assert "start v2 beside champion v1" in said and "60 of 100 units" in said
        noted(wanted, 60, failed=True)
        assert command("rollout", "--watch", "0.01") == 1
    assert "no new champion: failures: 0.5 against 0" in capsys.readouterr().err
