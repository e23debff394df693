"""The decision: one run for a cause, none too soon, none too many, none on broken data."""

from datetime import datetime, timedelta, UTC
from typing import Any

import pytest

from mlops_ladder.pipeline.retraining.decision import decide_on_event, Entry, Event, make_event
from mlops_ladder.pipeline.settings import Triggers

NOW = datetime(2024, 6, 1, tzinfo=UTC)
CAUSE = make_event("drift", "temp drifted", "model-1", "temp", "data-1")
OTHER = make_event("drift", "wind drifted", "model-1", "wind", "data-1")


def entry(happened: Event, hours: float, **told: Any) -> Entry:
    """A run that began so many hours ago, and ended an hour later."""
    began = NOW - timedelta(hours=hours)
    known: dict[str, Any] = {"ended": began + timedelta(hours=1), "result": "completed"}
    known |= {"decision": "run"} | told
    return Entry(id="a", time=began, event=happened, reason="", by="Ada", **known)


def word(history: list[Entry], happened: Event = CAUSE, faults: Any = (), **settings: Any) -> str:
    """What is decided, in a word."""
    return decide_on_event(happened, history, Triggers(**settings), NOW, lambda: faults)[0]


@pytest.mark.parametrize(
    ("history", "settings", "decided"),
    [
        ([], {}, "run"),
        ([entry(CAUSE, 400)], {}, "known"),
        ([entry(CAUSE, 400, result="failed")], {}, "run"),
        ([entry(OTHER, 400)], {}, "run"),
        ([entry(OTHER, 23)], {}, "cooldown"),
        ([entry(OTHER, 25)], {}, "run"),
        ([entry(OTHER, 25, ended=None, result=None)], {}, "cooldown"),
        ([entry(OTHER, 2, decision="veto", ended=None)], {}, "run"),
        ([entry(OTHER, 100)] * 3, {}, "budget"),
        ([entry(OTHER, 169)] * 3, {}, "run"),
        ([entry(OTHER, 100)], {"minutes_per_week": 60}, "budget"),
        ([entry(OTHER, 100)], {"minutes_per_week": 61}, "run"),
        ([], {"automatic": False}, "approval"),
        ([], {"runs_per_week": 0}, "budget"),
    ],
)
def test_a_run_begins_where_nothing_is_against_it(
    history: list[Entry], settings: dict[str, Any], decided: str
) -> None:
    """By what was run before, and the settings alone."""
    assert word(history, **settings) == decided


def test_broken_data_start_nothing() -> None:
    """Whatever the cause, and the reason is what is wrong; it is asked last."""
    assert word([], faults=["temp: missing"]) == "veto"
    assert decide_on_event(CAUSE, [], Triggers(), NOW, lambda: ["a", "b"])[1] == "a; b"

    def asked() -> list[str]:
        raise AssertionError("the data are read for nothing")

    assert decide_on_event(CAUSE, [entry(CAUSE, 1)], Triggers(), NOW, asked)[0] == "known"


def test_a_cause_is_told_by_what_it_is_about() -> None:
    """The words do not matter; another model, column or data make another one."""
    assert (
        make_event("drift", "said otherwise", "model-1", "temp", "data-1").fingerprint
        == CAUSE.fingerprint
    )
    others = [("model-2", "temp", "data-1"), ("model-1", "temp", "data-2"), ("model-1", "wind")]
    assert CAUSE.fingerprint not in {make_event("drift", "", *it).fingerprint for it in others}
    assert make_event("data", "", "model-1", "temp", "data-1").fingerprint != CAUSE.fingerprint
