"""Starting: one event gives one line and one run, however often and by how many it is told."""

import json
import os
import threading
from datetime import datetime, timedelta, UTC
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock

from mlops_ladder import ProjectError
from mlops_ladder.pipeline import command as pipeline
from mlops_ladder.pipeline import read_environment_tags, TAGS
from mlops_ladder.pipeline.retraining import causes, command, data_guard, ledger, starting
from mlops_ladder.pipeline.retraining.decision import Entry, make_event
from mlops_ladder.settings import Settings

NOW = datetime(2024, 6, 1, tzinfo=UTC)
CAUSE = make_event("drift", "temp drifted", "model-1", "temp")
OTHER = make_event("quality", "worse than promised", "model-1")


@pytest.fixture(name="sound", autouse=True)
def _sound(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the data are in order."""
    monkeypatch.setattr(data_guard, "find_data_faults", lambda *_: [])
    monkeypatch.delenv(TAGS, raising=False)
    return folder


def judged(settings: Settings, happened: Any = CAUSE, hours: float = 0, **more: Any) -> Entry:
    """The decision on an event, so many hours later."""
    return starting.judge_event(happened, settings, NOW + timedelta(hours=hours), "Ada", **more)


def test_drift_gives_one_run_and_its_cause_is_on_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pipeline runs once, with tags; the ledger holds both ends and knows the same cause."""
    seen: list[dict[str, str]] = []
    monkeypatch.setattr(pipeline, "main", lambda: seen.append(read_environment_tags()))
    entry = judged(settings)
    starting.run_training(entry.id, settings, lambda: NOW + timedelta(hours=1))
    monkeypatch.delenv(TAGS)
    assert entry.decision == "run"
    assert seen == [
        {
            "trigger.id": entry.id,
            "trigger.kind": "drift",
            "trigger.cause": "temp drifted",
            "trigger.by": "Ada",
        }
    ]
    assert [it.result for it in ledger.read_ledger()] == ["completed"]
    assert judged(settings, hours=1000).decision == "known"
    with pytest.raises(ProjectError, match=f"run {entry.id}: run, ended or not run"):
        starting.run_training(entry.id, settings, lambda: NOW + timedelta(hours=1))


def test_a_second_event_in_cooldown_starts_nothing(settings: Settings) -> None:
    """Another cause, a short time after: the decision is written down, and no run begins."""
    assert judged(settings).decision == "run"
    assert judged(settings, OTHER, hours=0.01).decision == "cooldown"
    assert [it.decision for it in ledger.read_ledger()] == ["run", "cooldown"]


def test_broken_data_start_nothing_and_somebody_is_told(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The veto names what is wrong, to whom the settings name."""
    told: list[Any] = []
    monkeypatch.setattr(data_guard, "find_data_faults", lambda *_: ["temp: 90% missing"])
    monkeypatch.setattr(starting, "post_to_webhook", lambda address, words: told.append(words))
    entry = judged(settings)
    assert (entry.decision, entry.reason) == ("veto", "temp: 90% missing")
    assert "temp drifted: temp: 90% missing" in told[0]["text"]


def test_two_who_are_told_at_once_start_one_run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both replicas of Alertmanager, two receivers: a lock of the file lets one decide at once."""
    pause = threading.Event()  # reading the data takes a while, in which the others come
    monkeypatch.setattr(
        data_guard, "find_data_faults", lambda *_: [] if not pause.wait(0.05) else ["never"]
    )
    threads = [threading.Thread(target=judged, args=(settings,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(it.decision for it in ledger.read_ledger()) == ["known"] * 5 + ["run"]


def test_a_person_lets_a_run_begin(settings: Settings) -> None:
    """Without `automatic` it waits, and what was approved is judged again."""
    kept = settings.model_copy(
        update={"triggers": settings.triggers.model_copy(update={"automatic": False})}
    )
    assert judged(kept).decision == "approval"
    assert command.get_waiting_event(CAUSE.fingerprint) == CAUSE
    with pytest.raises(ProjectError, match="APPROVE 'none': nothing of this name waits"):
        command.get_waiting_event("none")
    assert judged(kept, approved=True).decision == "run"


def test_a_run_that_fails_is_in_the_ledger_and_may_be_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its last words; after the cooldown the same cause begins another one."""

    def fails() -> None:
        raise ProjectError("no disk")

    monkeypatch.setattr(pipeline, "main", fails)
    entry = judged(settings)
    with pytest.raises(ProjectError, match="no disk"):
        starting.run_training(entry.id, settings, lambda: NOW + timedelta(hours=1))
    os.environ.pop(TAGS)
    assert [(it.result, it.said) for it in ledger.read_ledger()] == [("failed", "no disk")]
    later = settings.triggers.cooldown_hours + 1
    assert judged(settings, hours=later).decision == "run"


def test_a_run_whose_process_was_killed_is_failed(settings: Settings) -> None:
    """As soon as somebody looks, unless a process still holds the lock of the run."""
    first = judged(settings)
    later = NOW + timedelta(minutes=10)
    with FileLock(ledger.RUNNING):
        assert ledger.recover_ledger(later)[0].result is None
    assert ledger.recover_ledger(later)[0].result == "failed"
    assert ledger.read_ledger()[0].said == ledger.LOST and first.decision == "run"


def test_the_ledger_only_grows(settings: Settings) -> None:
    """A torn line is taken out; one that is no decision is named."""
    judged(settings)
    before = ledger.LEDGER.read_text(encoding="utf-8")
    ledger.LEDGER.write_text(before + '{"id": "to', encoding="utf-8")
    judged(settings, OTHER, hours=1)
    after = ledger.LEDGER.read_text(encoding="utf-8")
    assert after.startswith(before) and len(ledger.read_ledger()) == 2
    ledger.LEDGER.write_text(after.replace('"decision": "run"', '"decision": "walk"'), "utf-8")
    with pytest.raises(ProjectError, match="triggers.jsonl: line 1 is no decision"):
        ledger.read_ledger()


def test_an_alert_means_what_the_settings_say(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Drift is looked up, an old model is a cause itself, and others start nothing."""
    monkeypatch.setattr(causes, "find_drift_event", lambda *_: CAUSE)
    champion = SimpleNamespace(version="model-1")
    monkeypatch.setattr(causes, "read_reference", lambda: champion)

    def told(name: str, status: str = "firing") -> Any:
        return causes.find_alert_event(
            settings, NOW, {"labels": {"alertname": name}, "status": status}
        )

    assert told("ColumnDrifted") == CAUSE
    assert told("ModelOld").kind == "alert"
    assert told("ModelOld").fingerprint == told("ModelOld").fingerprint
    assert told("ServiceDown") is None and told("ColumnDrifted", "resolved") is None


def test_tags_of_a_run_are_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment holds; nothing where it holds nothing."""
    assert read_environment_tags() == {}
    monkeypatch.setenv(TAGS, json.dumps({"größe": 1}))
    assert read_environment_tags() == {"größe": "1"}
