"""Decisions of a rollout: each is a line of `rollouts.jsonl` before it is applied.

If a command is killed before it has applied the last line, the next command does so.
"""

import json
from contextlib import suppress
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
LOCK = Path("models/rollout.lock")  # of all decisions on rollouts on this machine
POINTER = publishing.SERVING / PLAN
Action = Literal["start", "advance", "promote", "abort"]


class Decision(BaseModel):
    """One decision on a rollout: the action, its reasons, and the numbers behind it.

    The service follows `plan`; at the end of the rollout it is None.  `wanted` are the settings at
    its start, which are valid to its end, and so is the `question` of an experiment.  A start has
    the `verdict` of the gate; a later decision has the `evidence`, the variants of the last step.
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
    def is_running(self) -> bool:
        """Whether the rollout continues after this decision."""
        return self.plan is not None

    def __str__(self) -> str:
        about, how = f"v{self.version} beside champion v{self.champion}", describe_decision(self)
        return f"{self.time:%Y-%m-%d %H:%M} {self.action} {about} by {self.who}: {how}"


def describe_decision(decision: Decision) -> str:
    """Return the next step and the reasons, in a line."""
    plan = decision.plan
    how = "shadow" if plan and plan.shadow else f"{plan.share:.0%} of the clients" if plan else ""
    return "; ".join(filter(None, [how, *decision.reasons]))


def read_rollout_log() -> list[Decision]:
    """Return all decisions, the oldest first.  An incomplete line was never applied: skip it."""
    lines = LOG.read_text(encoding="utf-8").splitlines() if LOG.exists() else []
    entries = []
    for line in lines:
        with suppress(ValidationError):
            entries.append(Decision.model_validate_json(line))
    return entries


def find_last_decision(rollout: str | None = None) -> Decision | None:
    """Return the newest decision, or the newest one of a rollout."""
    entries = [entry for entry in read_rollout_log() if rollout in (None, entry.rollout)]
    return entries[-1] if entries else None


def find_running() -> Decision | None:
    """Return the newest decision if its rollout continues, else None."""
    last = find_last_decision()
    return last if last and last.is_running else None


def decide(decision: Decision) -> Decision:
    """Write a decision to the log, on the disk, and then apply it."""
    append_line(LOG, json.dumps(decision.model_dump(mode="json")))
    apply_decision(decision)
    get_hooks().after_decision(decision=decision)
    return decision


def apply_decision(decision: Decision) -> None:
    """Let the service follow a decision; if it promotes, promote in the registry first.

    If a plugin that routes requests raises, the decision is not applied yet.
    """
    if plan := decision.plan:
        if publishing.verify_bundle(publishing.SERVING / plan.version, plan.sha256):
            publishing.ensure_bundle(versions.list_versions()[plan.version], plan.sha256)
        get_hooks().apply_rollout_plan(decision=decision)
        write_file_atomically(POINTER, plan.model_dump_json())
        return
    if decision.action == "promote" and not is_promoted(decision):
        begun = next(entry for entry in read_rollout_log() if entry.rollout == decision.rollout)
        verdict = begun.verdict | {"reasons": tuple(begun.verdict["reasons"])}
        promotion.promote_version(versions.list_versions()[decision.version], Verdict(**verdict))
        publishing.warn_of_changed_inputs(get_champion_entry())
    get_hooks().apply_rollout_plan(decision=decision)
    POINTER.unlink(missing_ok=True)


def get_champion_entry() -> history.Entry:
    """Return the decision that made the current champion.  Raise ProjectError if there is none."""
    champion = versions.read_state().champion
    if not champion:
        raise ProjectError("no version is champion: nothing can be replaced; run: make pipeline")
    return champion


def is_promoted(decision: Decision) -> bool:
    """Return whether the registry holds this promotion, also if a rollback came after it."""
    entries = history.list_promotions(versions.read_state().entries)
    return any(line.version == decision.version and line.time >= decision.time for line in entries)


def finish_last_decision() -> Decision | None:
    """Apply the last decision if a kill prevented it; return it if its rollout continues.

    If the champion has changed since, the rollout is aborted.
    """
    last = find_last_decision()
    if not last:
        return None
    text = POINTER.read_text(encoding="utf-8") if POINTER.exists() else None
    plan = last.plan.model_dump_json() if last.plan else None
    if not last.plan and text is None:
        return None
    with registry_lock():
        champion = recover_decisions().champion
    moved = not champion or champion.version != last.champion
    if moved and last.action != "abort" and not (last.action == "promote" and is_promoted(last)):
        now = f"v{champion.version}" if champion else "none"
        print(decide(make_next_decision(last, "abort", [f"the champion is {now} by now"])))
        return None
    if text != plan:
        print(f"Finishing what was interrupted: {last}")
        apply_decision(last)
    return last if last.plan else None


def make_next_decision(
    before: Decision,
    action: Action,
    reasons: list[str],
    plan: Plan | None = None,
    evidence: Any = None,
) -> Decision:
    """Return the next decision of the same rollout; without a plan the rollout ends."""
    changed = {"time": datetime.now(UTC), "who": get_actor(), "action": action, "reasons": reasons}
    return before.model_copy(update=changed | {"plan": plan, "evidence": evidence, "verdict": None})
