"""Decisions of a rollout: each is a line of `rollouts.jsonl` before it is carried out.

What the last line says is so, or is made so by the next command: after a kill too.
"""

import json
from contextlib import AbstractContextManager
from datetime import datetime, UTC
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.append_only_log import append_line
from mlops_ladder.plugins import get_hooks
from mlops_ladder.registry import history, promotion, publishing, versions
from mlops_ladder.registry.decisions import get_actor, recover_decisions, registry_lock
from mlops_ladder.registry.gate import Verdict
from mlops_ladder.serving.assignment import PLAN, Plan
from mlops_ladder.serving.settings import Rollout

LOG = Path("rollouts.jsonl")
LOCK = Path("models/rollout.lock")
POINTER = publishing.SERVING / PLAN
Action = Literal["start", "advance", "promote", "abort"]


class Decision(BaseModel):
    """One decision on a rollout: what is done, why, and the numbers that it rests on.

    `plan` is how the service goes on, None where the rollout ends; `wanted` are the settings that
    held when it began, to its end, and so is the `question` of an experiment.  A start holds the
    `verdict` of the gate, what comes after it the `evidence`: what both arms did in the last step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: datetime
    action: Action
    rollout: str
    version: str
    champion: str
    who: str
    reasons: list[str]
    plan: Plan | None = None
    wanted: Rollout
    experiment: str = ""
    question: str = ""
    verdict: Any = None
    evidence: Any = None

    @property
    def running(self) -> bool:
        """Does the rollout go on after it?"""
        return self.plan is not None

    def __str__(self) -> str:
        about = f"v{self.version} beside champion v{self.champion}"
        return f"{self.time:%Y-%m-%d %H:%M} {self.action} {about} by {self.who}: {told(self)}"


def told(decision: Decision) -> str:
    """How it goes on, and why, in a line."""
    plan = decision.plan
    how = "shadow" if plan and plan.shadow else f"{plan.share:.0%} of the clients" if plan else ""
    return "; ".join(filter(None, [how, *decision.reasons]))


def alone() -> AbstractContextManager[None]:
    """Nobody else on this machine decides on a rollout meanwhile."""
    return registry_lock(LOCK)


def logged() -> list[Decision]:
    """All decisions, the oldest first.  A line that a kill has torn was never carried out."""
    lines = LOG.read_text(encoding="utf-8").splitlines() if LOG.exists() else []
    found = []
    for line in lines:
        try:
            found.append(Decision.model_validate_json(line))
        except ValidationError:
            continue
    return found


def last(rollout: str | None = None) -> Decision | None:
    """The newest decision, or that of one rollout."""
    found = [it for it in logged() if rollout in (None, it.rollout)]
    return found[-1] if found else None


def running() -> Decision | None:
    """The newest decision where its rollout goes on."""
    found = last()
    return found if found and found.running else None


def decide(decision: Decision) -> Decision:
    """Write a decision down, on the disk, and then carry it out."""
    append_line(LOG, json.dumps(decision.model_dump(mode="json")))
    carry_out(decision)
    get_hooks().after_decision(decision=decision)
    return decision


def carry_out(decision: Decision) -> None:
    """Have the service do what was decided, and the registry where it ends with a promotion."""
    if plan := decision.plan:
        if publishing.verify_bundle(publishing.SERVING / plan.version, plan.sha256):
            publishing.ensure_bundle(versions.list_versions()[plan.version], plan.sha256)
        tell(decision)
        write_file_atomically(POINTER, plan.model_dump_json())
        return
    if decision.action == "promote" and not promoted(decision):
        begun = next(it for it in logged() if it.rollout == decision.rollout)
        verdict = begun.verdict | {"reasons": tuple(begun.verdict["reasons"])}
        promotion.promote_version(versions.list_versions()[decision.version], Verdict(**verdict))
        publishing.warn_of_changed_inputs(present())
    tell(decision)
    POINTER.unlink(missing_ok=True)


def tell(decision: Decision) -> None:
    """Tell whoever else follows the plan; where one cannot be told, it is not carried out yet."""
    get_hooks().apply_rollout_plan(decision=decision)


def present() -> history.Entry:
    """The decision that made the champion what it is.  ProjectError where there is none."""
    champion = versions.read_state().champion
    if not champion:
        raise ProjectError("no version is champion: nothing can be replaced; run: make pipeline")
    return champion


def promoted(decision: Decision) -> bool:
    """Has the registry carried this promotion out?  A rollback that came after it stands."""
    entries = history.list_promotions(versions.read_state().entries)
    return any(it.version == decision.version and it.time >= decision.time for it in entries)


def settle() -> Decision | None:
    """Have what was decided last be so; the decision, where its rollout goes on.

    A rollout whose champion is champion no longer is aborted.
    """
    found = last()
    if not found:
        return None
    there = POINTER.read_text(encoding="utf-8") if POINTER.exists() else None
    wanted = found.plan.model_dump_json() if found.plan else None
    if not found.plan and there is None:
        return None
    with registry_lock():
        champion = recover_decisions().champion
    moved = not champion or champion.version != found.champion
    if moved and found.action != "abort" and not (found.action == "promote" and promoted(found)):
        now = f"v{champion.version}" if champion else "none"
        print(decide(following(found, "abort", [f"the champion is {now} by now"])))
        return None
    if there != wanted:
        print(f"Finishing what was interrupted: {found}")
        carry_out(found)
    return found if found.plan else None


def following(
    before: Decision,
    action: Action,
    reasons: list[str],
    plan: Plan | None = None,
    evidence: Any = None,
) -> Decision:
    """The decision that comes after another of the same rollout; without a plan it ends."""
    changed = {"time": datetime.now(UTC), "who": get_actor(), "action": action, "reasons": reasons}
    return before.model_copy(update=changed | {"plan": plan, "evidence": evidence, "verdict": None})
