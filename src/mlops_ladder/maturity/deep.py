"""The deep run: every promise tried, every fault planted, in a copy of the repository."""

import signal
import sys
import tempfile
import time
from pathlib import Path

from mlops_ladder.maturity import Check, CHECKS, Unknown
from mlops_ladder.maturity.grading import Assessed, Assessment
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.sandbox import Copy


def exercise(repository: Repository, found: Assessment, seed: int, only: list[str]) -> None:
    """Try what is present, or only these; what a trial or a planted fault shows is in `found`.

    A capability is exercised where every trial passed and every fault was caught.
    """
    found.deep = True
    signal.signal(signal.SIGTERM, interrupted)
    wanted = [it for it in found.capabilities if it.is_here and not it.waived]
    chosen = {it.id: it for it in wanted if not only or it.id in only}
    checks = [it for it in CHECKS if it.kind in ("trial", "fault")]
    todo = [check for name in chosen for check in checks if check.capability == name]
    tell(f"{len(todo)} trials and faults, in a copy of this repository; seed {seed}\n")
    with tempfile.TemporaryDirectory(prefix="maturity-", ignore_cleanup_errors=True) as name:
        copy = Copy(repository, Path(name).resolve(), seed)
        copy.must("make", "setup")
        for place, check in enumerate(todo, start=1):
            tell(f"[{place:2}/{len(todo)}] {check.capability:17} {check.kind}: {check.promise} ...")
            started = time.monotonic()
            said = tried(copy, check, chosen[check.capability])
            tell(f" {said} ({time.monotonic() - started:.0f} s)\n")
    for it in chosen.values():
        settle(it)


def interrupted(*_given: object) -> None:
    """End as by Ctrl-C: what was started is ended, the copy is removed."""
    sys.exit(3)


def tried(copy: Copy, check: Check, it: Assessed) -> str:
    """Make one trial, and say in a word how it ended."""
    try:
        copy.reset()
    except Unknown as reason:
        it.untried.append(str(reason))
        return f"unknown: {reason}"
    if wrong := it.run_check(check, copy):
        return f"FAILED: {wrong[0]}"
    good = "caught" if check.kind == "fault" else "passed"
    return it.done[check.promise].replace("passed", good)


def settle(it: Assessed) -> None:
    """The grade after the trials: a promise that was broken brings it down."""
    if it.problems:
        it.grade = "declared"
    elif it.grade == "present" and it.tried and not it.untried:
        it.grade = "exercised"


def tell(words: str) -> None:
    """Show progress: on stderr, as stdout is for the report."""
    sys.stderr.write(words)
    sys.stderr.flush()
