"""Rollback and recovery: one way back, and a kill at any moment leaves nothing open."""

import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from library.registry.candidates import accepted, candidate, promoted

from mlops_ladder import ProjectError
from mlops_ladder.data import provenance
from mlops_ladder.data.contract import read_contract
from mlops_ladder.model.training import Trained
from mlops_ladder.registry import champion, decisions, history, promotion, publishing, versions
from mlops_ladder.tracking import runs


class Killed(BaseException):
    """The process ends here: no `except Exception` may notice."""


@pytest.fixture(name="empty", autouse=True)
def _empty(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which nothing is promoted, and a model of its own in the registry."""
    registered = f"model-{uuid4().hex[:8]}"
    monkeypatch.setattr(versions, "model_name", lambda: registered)
    return folder


def state() -> tuple[str | None, str | None, str]:
    """Champion and previous in the registry, and what the service is told to serve."""
    said = json.loads(publishing.POINTER.read_text(encoding="utf-8"))
    names = versions.read_state().aliases
    return names.get("champion"), names.get("previous"), said["version"]


def test_a_rollback_brings_the_previous_champion_back_and_a_second_takes_it_back(
    run: runs.Run, command: Callable[..., int]
) -> None:
    """Champion and previous change places, in the registry, the log and the service."""
    first, second = promoted(run, "a").number, promoted(run, "b").number
    assert (command("rollback"), state()) == (0, (first, second, first))
    assert (command("rollback"), state()) == (0, (second, first, second))
    actions = [entry.action for entry in history.read_log().values()]
    assert actions == ["promote", "promote", "rollback", "rollback"]
    assert decisions.verify_registry(versions.read_state()) == []


@pytest.mark.parametrize("name", ["rollback", "publish"])
def test_a_model_that_cannot_be_loaded_here_is_served_all_the_same(
    run: runs.Run,
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """The bundle answers, so neither command needs the code that the model was made with."""
    first, second = promoted(run, "a").number, promoted(run, "b").number

    def gone(*_: object) -> None:
        raise AttributeError("module 'problem' has no attribute 'calendar'")

    monkeypatch.setattr(runs.connect_mlflow().sklearn, "load_model", gone)
    wanted = (first, second, first) if name == "rollback" else (second, first, second)
    assert (command(name), state()) == (0, wanted)
    assert decisions.verify_registry(versions.read_state()) == []


def test_a_champion_with_another_contract_is_told(
    run: runs.Run,
    command: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its inputs that contract.toml describes otherwise or lacks are named, and only then."""
    assert [promoted(run, name).number for name in "ab"] and command("rollback") == 0
    assert "Tell the clients" not in capsys.readouterr().out
    ours = read_contract()
    first = ours.inputs()[0]
    columns = {"another" if it == first else it: of for it, of in ours.columns.items()}
    changed = ours.model_copy(update={"columns": columns})
    monkeypatch.setattr(publishing, "read_contract", lambda: changed)
    assert command("rollback") == 0
    names = ", ".join(sorted(["another", first]))
    assert f"v2 and contract.toml describe these inputs differently: {names}\n" in (
        capsys.readouterr().out
    )


def test_any_former_champion_can_come_back(run: runs.Run) -> None:
    """A version that was champion long ago comes back by its number, with its bundle."""
    first, _, third = (promoted(run, name).number for name in "abc")
    assert not (publishing.SERVING / first).exists()
    promotion.roll_back(first)
    assert (state(), decisions.verify_registry(versions.read_state())) == (
        (first, third, first),
        [],
    )


@pytest.mark.parametrize("names", ["", "a"], ids=["none", "one"])
def test_where_nothing_was_champion_before_a_rollback_is_refused(run: runs.Run, names: str) -> None:
    """Without a former champion nothing changes, and the versions to choose from are told."""
    for name in names:
        promoted(run, name)
    with pytest.raises(ProjectError, match="no former champion; .* choose: none"):
        promotion.roll_back()
    assert len(history.read_log_lines()) == len(names)


def test_a_version_that_never_was_champion_is_no_way_back(run: runs.Run) -> None:
    """A candidate that the gate has not promoted cannot become champion by a rollback."""
    first, _ = promoted(run, "a"), promoted(run, "b")
    other = promotion.register_version(candidate(run, "c"), "c", accepted())
    with pytest.raises(
        ProjectError, match=f"v{other.number} is no former .* choose: v{first.number}"
    ):
        promotion.roll_back(other.number)


def test_what_was_rolled_back_does_not_come_back_by_itself(run: runs.Run, trained: Trained) -> None:
    """The same model from a second training is objected to, and the way back is told."""
    promoted(run, "a")
    second = promoted(run, trained.version)
    itself = f"it is champion v{second.number} itself: there is nothing to gain"
    assert champion.find_objections(trained.version, versions.read_state().entries) == [itself]
    promotion.roll_back()
    told = "\n".join(champion.find_objections(trained.version, versions.read_state().entries))
    assert f"`make rollback TO={second.number}` makes it champion again" in told
    promotion.roll_back()
    assert champion.find_objections(trained.version, versions.read_state().entries) == [itself]


STEPS = [
    (publishing, "ensure_bundle"),
    (versions, "write_decision"),
    (history, "append_entry"),
    (versions, "set_alias"),
    (publishing, "publish_entry"),
    (versions, "mark_applied"),
]


def killed_before(step: int, patch: pytest.MonkeyPatch) -> list[str]:
    """Have the process end before this step, counted from 0: the names of the steps so far."""
    passed: list[str] = []

    def stopping(name: str, real: Callable[..., object]) -> Callable[..., object]:
        def called(*arguments: object) -> object:
            if len(passed) == step:
                raise Killed(name)
            passed.append(name)
            return real(*arguments)

        return called

    for module, name in STEPS:
        patch.setattr(module, name, stopping(name, getattr(module, name)))
    return passed


@pytest.mark.parametrize("step", range(8))
def test_a_kill_between_two_steps_leaves_the_old_champion_or_the_new_one(
    run: runs.Run, step: int
) -> None:
    """Killed before any step, no champion is unlogged, and the next command finishes it."""
    first = promoted(run, "a").number
    second = promotion.register_version(candidate(run, "b"), "b", accepted())
    with pytest.MonkeyPatch.context() as patch:
        passed = killed_before(step, patch)
        with pytest.raises(Killed):
            promotion.promote_version(second, accepted())
    known = {entry.version for entry in history.read_log().values()}
    assert versions.read_state().aliases["champion"] in known
    decisions.recover_and_verify()
    done = "write_decision" in passed
    assert state() == ((second.number, first, second.number) if done else (first, None, first))
    promotion.promote_version(second, accepted())
    assert state() == (second.number, first, second.number)
    assert len(history.read_log_lines()) == 2


def test_every_step_of_a_promotion_is_killed_in_these_tests(
    run: runs.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A promotion has eight steps, in the order in which a kill can be made good."""
    promoted(run, "a")
    second = promotion.register_version(candidate(run, "b"), "b", accepted())
    passed = killed_before(100, monkeypatch)
    promotion.promote_version(second, accepted())
    assert passed == [
        "ensure_bundle",
        "write_decision",
        "append_entry",
        "set_alias",
        "set_alias",
        "publish_entry",
        "ensure_bundle",
        "mark_applied",
    ]


def test_a_line_that_a_kill_has_torn_is_completed(run: runs.Run) -> None:
    """A promotion killed while it wrote its line is finished, and the log is whole."""
    promoted(run, "a")
    second = promotion.register_version(candidate(run, "b"), "b", accepted())
    with pytest.MonkeyPatch.context() as patch:
        killed_before(3, patch)
        with pytest.raises(Killed):
            promotion.promote_version(second, accepted())
    log = history.LOG.read_bytes()
    history.LOG.write_bytes(log[:-40])
    decisions.recover_and_verify()
    assert (history.LOG.read_bytes(), state()[0]) == (log, second.number)


def test_the_author_is_known_where_the_system_has_no_name_for_its_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a container without git and without a user's name a decision is by `unknown`."""

    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(provenance, "run_git", lambda *_: None)
    monkeypatch.setattr("getpass.getuser", nobody)
    assert decisions.get_actor() == "unknown"
