"""The decision: does what has happened start a training?  The rule alone: no clock, no file."""

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
    """Something that may start a training: its cause in words, and what tells equal causes."""

    kind: Kind
    cause: str
    fingerprint: str


class Entry(StrictModel):
    """What was decided on an event, by whom it was told, and how its run ended."""

    id: str
    time: datetime
    event: Event
    decision: Word
    reason: str
    by: str
    ended: datetime | None = None
    result: Result | None = None
    said: str = ""

    def minutes(self, now: datetime) -> float:
        """How long its run took, or takes so far."""
        return ((self.ended or now) - self.time).total_seconds() / 60


def event(kind: Kind, cause: str, *detail: str) -> Event:
    """An event; those of one kind with the same details have one cause."""
    text = "\n".join([kind, *detail])
    return Event(kind=kind, cause=cause, fingerprint=sha256(text.encode()).hexdigest()[:16])


def decide(
    happened: Event,
    history: Sequence[Entry],
    settings: Triggers,
    now: datetime,
    faults: Callable[[], Sequence[str]],
) -> Verdict:
    """Whether a run begins, in a word, and why.

    `history` in its order; `faults` says what is wrong with the data, and is asked last.  A run
    that failed has not dealt with its cause, but counts for cooldown and budget.
    """
    runs = [it for it in history if it.decision == "run"]
    early = known(happened, runs) or too_soon(runs, settings, now) or over(runs, settings, now)
    if early:
        return early
    if wrong := faults():
        return "veto", "; ".join(wrong)
    if not settings.automatic:
        told = f"triggers.automatic = false: make trigger APPROVE={happened.fingerprint}"
        return "approval", told
    return "run", "the cause is new, and nothing is against it"


def known(happened: Event, runs: Sequence[Entry]) -> Verdict | None:
    """Has a run dealt with this cause, or does it now?"""
    for it in runs:
        if it.event.fingerprint == happened.fingerprint and it.result != "failed":
            return "known", f"run {it.id} of {it.time:%F %R} is of this cause"
    return None


def too_soon(runs: Sequence[Entry], settings: Triggers, now: datetime) -> Verdict | None:
    """Is a run under way, or has one begun a short time ago?"""
    for it in runs:
        if it.ended is None:
            return "cooldown", f"run {it.id} is under way"
    if runs and now - runs[-1].time < timedelta(hours=settings.cooldown_hours):
        told = f"run {runs[-1].id} began at {runs[-1].time:%F %R}, and"
        return "cooldown", f"{told} triggers.cooldown_hours = {settings.cooldown_hours:g}"
    return None


def over(runs: Sequence[Entry], settings: Triggers, now: datetime) -> Verdict | None:
    """Is a budget of the last seven days spent?"""
    week = [it for it in runs if now - it.time < WEEK]
    minutes = sum(it.minutes(now) for it in week)
    if len(week) >= settings.runs_per_week:
        most = f"triggers.runs_per_week = {settings.runs_per_week}"
        return "budget", f"{len(week)} runs in seven days, {most}"
    if minutes >= settings.minutes_per_week:
        most = f"triggers.minutes_per_week = {settings.minutes_per_week:g}"
        return "budget", f"{minutes:.0f} minutes of training in seven days, {most}"
    return None
