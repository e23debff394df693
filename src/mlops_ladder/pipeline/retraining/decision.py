"""The decision: does an event start a training?  The rule alone, without a clock or a file."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Literal

from mlops_ladder.pipeline.settings import Triggers
from mlops_ladder.strict_model import StrictModel

WEEK = timedelta(days=7)
Kind = Literal["drift", "quality", "data", "alert"]
Word = Literal["run", "known", "cooldown", "budget", "veto", "approval"]
Result = Literal["completed", "failed"]
Verdict = tuple[Word, str]


class Event(StrictModel):
    """An event that may start a training: its cause as text, and a fingerprint of the cause."""

    kind: Kind
    cause: str
    fingerprint: str


class Entry(StrictModel):
    """The decision on an event, who reported it, and the end of its run."""

    id: str
    time: datetime
    event: Event
    decision: Word
    reason: str
    by: str
    ended: datetime | None = None
    result: Result | None = None
    said: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it is a run that has not ended."""
        return self.decision == "run" and self.ended is None


def make_event(kind: Kind, cause: str, *detail: str) -> Event:
    """Return an event; events of one kind with the same details have the same cause."""
    text = "\n".join([kind, *detail])
    return Event(kind=kind, cause=cause, fingerprint=sha256(text.encode()).hexdigest()[:16])


def decide_on_event(
    event: Event,
    history: Sequence[Entry],
    settings: Triggers,
    now: datetime,
    find_faults: Callable[[], Sequence[str]],
) -> Verdict:
    """Decide whether a run begins; return the decision and its reason.

    A failed run has not dealt with its cause, but counts for cooldown and budget.

    Args:
        event: The event.
        history: Earlier decisions in their order.
        settings: Cooldown, budget and whether a person lets each run begin.
        now: The time of the decision.
        find_faults: Returns what is wrong with the data; called last.
    """
    runs = [entry for entry in history if entry.decision == "run"]
    if held_back := check_cooldown(event, runs, settings, now) or check_budget(runs, settings, now):
        return held_back
    if faults := find_faults():
        return "veto", "; ".join(faults)
    if not settings.automatic:
        way_out = f"make trigger APPROVE={event.fingerprint}"
        return "approval", f"triggers.automatic = false: {way_out}"
    return "run", "the cause is new, and nothing is against it"


def check_cooldown(
    event: Event, runs: Sequence[Entry], settings: Triggers, now: datetime
) -> Verdict | None:
    """Return why no run begins: one has this cause already, or began a short time ago."""
    for entry in runs:
        if entry.event.fingerprint == event.fingerprint and entry.result != "failed":
            return "known", f"run {entry.id} of {entry.time:%F %R} has this cause"
    for entry in runs:
        if entry.is_running:
            return "cooldown", f"run {entry.id} is under way"
    if runs and now - runs[-1].time < timedelta(hours=settings.cooldown_hours):
        began = f"run {runs[-1].id} began at {runs[-1].time:%F %R}"
        setting = f"triggers.cooldown_hours = {settings.cooldown_hours:g}"
        return "cooldown", f"{began}, and {setting}"
    return None


def check_budget(runs: Sequence[Entry], settings: Triggers, now: datetime) -> Verdict | None:
    """Return why no run begins: a budget of the last seven days is spent."""
    week = [entry for entry in runs if now - entry.time < WEEK]
    minutes = sum(((entry.ended or now) - entry.time).total_seconds() / 60 for entry in week)
    if len(week) >= settings.runs_per_week:
        limit = f"triggers.runs_per_week = {settings.runs_per_week}"
        return "budget", f"{len(week)} runs in seven days, {limit}"
    if minutes >= settings.minutes_per_week:
        limit = f"triggers.minutes_per_week = {settings.minutes_per_week:g}"
        return "budget", f"{minutes:.0f} minutes of training in seven days, {limit}"
    return None
