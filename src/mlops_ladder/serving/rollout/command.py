"""The command `rollout`: begin it, see where it stands, have it decide, end it."""

import time
from typing import Annotated

import typer

from mlops_ladder import ProjectError
from mlops_ladder.registry import publishing, versions
from mlops_ladder.serving.rollout import deciding, decisions
from mlops_ladder.serving.rollout.deciding import Standing
from mlops_ladder.settings import load, Settings

HEAD = f"{'':22} {'champion':>12} {'candidate':>12}"


def main(
    version: Annotated[
        str, typer.Option(metavar="N", help="begin the rollout of this version")
    ] = "",
    step: Annotated[bool, typer.Option("--step", help="go on, wait or abort, by evidence")] = False,
    seconds: Annotated[
        float, typer.Option("--watch", metavar="SECONDS", help="do so until it has ended")
    ] = 0,
    fetch: Annotated[
        str, typer.Option(metavar="N", help="only have the bundle of this version here")
    ] = "",
    abort: Annotated[bool, typer.Option("--abort", help="end it: the champion stays")] = False,
) -> None:
    """Show the rollout, or do with it what is asked."""
    settings = load()
    if fetch:
        publishing.fetch(versions.numbered(fetch))
    elif version:
        print(deciding.start(version, settings.rollout))
        print("Next: make serve, make rollout STEP=yes")
    elif abort:
        print(deciding.stop("by hand"))
    elif seconds:
        watch(settings, seconds)
    else:
        print(shown(deciding.step(settings) if step else look(settings)))


def look(settings: Settings) -> Standing | None:
    """Where the rollout stands; nothing is decided, but what a kill has interrupted is finished."""
    with decisions.alone():
        now = decisions.settle()
    return deciding.standing(now, settings) if now else None


def shown(found: Standing | None) -> str:
    """Where it stands, for a person: the numbers of both arms, and what comes next."""
    if not found:
        ended = decisions.last()
        before = f"  The last one: {ended}" if ended else ""
        return f"No rollout goes on.{before}\nNext: make rollout VERSION=n"
    arms, decision = found.analysis, found.decision
    lines = [str(decision), HEAD, f"{'units':22} {arms.champion:12} {arms.candidate:12}"]
    lines += map(str, arms.findings)
    if not decision.running:
        return "\n".join([*lines, "It has ended.  Next: make registry"])
    waits = f"Waits: {found.waits}." if found.waits else "The step has seen enough."
    return "\n".join([*lines, f"{waits}  Next: make rollout STEP=yes"])


def watch(settings: Settings, seconds: float) -> None:
    """Step again and again until the rollout has ended.  ProjectError where it was aborted."""
    known = None
    while found := deciding.step(settings):
        if found.decision != known:
            print(shown(found), flush=True)
        known = found.decision
        if not known.running or known.experiment and not found.waits:
            break
        time.sleep(seconds)
    ended = decisions.last()
    if not ended or ended.action == "abort":
        reasons = "; ".join(ended.reasons) if ended else "no rollout goes on"
        raise ProjectError(f"no new champion: {reasons}")
