"""Stepping: a rollout waits, goes on or ends, by what was noted since its step began."""

from dataclasses import dataclass
from datetime import datetime, timedelta, UTC
from typing import Any

from mlops_ladder import ProjectError
from mlops_ladder.export.runtime import read_bundle
from mlops_ladder.plugins import get_hooks
from mlops_ladder.registry import publishing
from mlops_ladder.serving.assignment import CANDIDATE
from mlops_ladder.serving.rollout import decisions
from mlops_ladder.serving.rollout.analysis import analyse, Analysis, Truths
from mlops_ladder.serving.rollout.decisions import decide, Decision, following
from mlops_ladder.serving.variant_log import arms
from mlops_ladder.settings import Settings


@dataclass(frozen=True)
class Standing:
    """Where a rollout stands: its newest decision, what both arms did since, what is wanted yet."""

    decision: Decision
    analysis: Analysis
    waits: str = ""


def standing(now: Decision, settings: Settings) -> Standing:
    """What the service has noted since this decision, and what the step waits for."""
    assert now.plan
    bundle = read_bundle(publishing.SERVING / now.champion)
    rows = arms(settings.serving.log, now.rollout, now.plan.step)
    found = analyse(rows, bundle.get("classes"), now.wanted, steps(now), truths(settings, now))
    waits, wanted = [], now.wanted
    if found.fewer < wanted.units:
        few = CANDIDATE if found.candidate <= found.champion else "champion"
        waits.append(f"the {few} has answered {found.fewer} of {wanted.units} units")
    left = now.time + timedelta(minutes=wanted.minutes) - datetime.now(UTC)
    if left > timedelta():
        waits.append(f"{left.total_seconds() / 60:.1f} of {wanted.minutes:g} minutes are left")
    return Standing(now, found, "; ".join(waits))


def steps(now: Decision) -> int:
    """How many steps the whole rollout has."""
    return len(now.wanted.shares) + now.wanted.shadow


def truths(settings: Settings, now: Decision) -> Truths:
    """What was true of the rows of requests since the rollout began, as far as anybody knows.

    Whoever keeps labels gives them by the hook `find_outcomes`.
    """
    begun = next(it.time for it in decisions.logged() if it.rollout == now.rollout)
    known: dict[str, Any] = {}
    for labels in get_hooks().find_outcomes(settings=settings, since=begun):
        known |= labels
    return known


def step(settings: Settings) -> Standing | None:
    """Have a rollout wait, go on, or end, and say where it stood; None where there is none.

    It is aborted at any look at which the candidate is worse.  It goes on once the step has seen
    enough.  An experiment does not go on by itself: people decide it.
    """
    with decisions.alone():
        now = decisions.settle()
        if not now:
            return None
        found = standing(now, settings)
        if found.analysis.worse:
            decision = following(now, "abort", found.analysis.worse, None, found.analysis.told)
        elif found.waits or now.experiment:
            return found
        else:
            decision = onward(now, found.analysis)
        return Standing(decide(decision), found.analysis)


def onward(now: Decision, found: Analysis) -> Decision:
    """The step after this one: a larger share, or after the last one all clients."""
    assert now.plan
    why = f"in {found.candidate} units no worse than the champion in {found.champion}"
    place = now.plan.step + 1
    if place == steps(now):
        return following(now, "promote", [why], None, found.told)
    share = now.wanted.shares[place - now.wanted.shadow]
    plan = now.plan.model_copy(update={"step": place, "share": share, "shadow": False})
    return following(now, "advance", [why], plan, found.told)


def stop(reason: str, promote: bool = False) -> Decision:
    """End the rollout by hand.  ProjectError where there is none."""
    with decisions.alone():
        now = decisions.settle()
        if not now:
            raise ProjectError("no rollout goes on; to begin one: make rollout VERSION=n")
        return decide(following(now, "promote" if promote else "abort", [reason]))
