"""The deep run: try every promise and plant every fault, in a copy of the repository."""

import signal
import sys
import tempfile
import time
from pathlib import Path

from mlops_ladder.maturity import Check, CHECKS, Unknown
from mlops_ladder.maturity.grading import Assessed, Assessment
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.sandbox import Copy


def exercise(repository: Repository, assessment: Assessment, seed: int, only: list[str]) -> None:
    """Try what is present, or only these capabilities; write the results into the assessment.

    A capability is exercised if every trial passed and every fault was caught.
    """
    assessment.deep = True
    signal.signal(signal.SIGTERM, end_interrupted)
    present = [one for one in assessment.capabilities if one.is_here and not one.waived]
    chosen = {one.id: one for one in present if not only or one.id in only}
    checks = [check for check in CHECKS if check.kind in ("trial", "fault")]
    todo = [check for name in chosen for check in checks if check.capability == name]
    show_progress(f"{len(todo)} trials and faults, in a copy of this repository; seed {seed}\n")
    with tempfile.TemporaryDirectory(prefix="maturity-", ignore_cleanup_errors=True) as name:
        copy = Copy(repository, Path(name).resolve(), seed)
        copy.must("make", "setup")
        for place, check in enumerate(todo, start=1):
            title = f"{check.capability:17} {check.kind}: {check.promise}"
            show_progress(f"[{place:2}/{len(todo)}] {title} ...")
            show_progress(f" {run_check(copy, check, chosen[check.capability])}\n")
    for assessed in chosen.values():
        update_grade(assessed)


def end_interrupted(*_arguments: object) -> None:
    """End as on Ctrl-C, so that started processes are ended and the copy is removed."""
    sys.exit(3)


def run_check(copy: Copy, check: Check, assessed: Assessed) -> str:
    """Run one trial or fault; return its result in a word, with its duration in seconds."""
    started = time.monotonic()
    result = judge_check(copy, check, assessed)
    return f"{result} ({time.monotonic() - started:.0f} s)"


def judge_check(copy: Copy, check: Check, assessed: Assessed) -> str:
    """Run one trial or fault, and return its result in a word."""
    try:
        copy.reset()
    except Unknown as reason:
        assessed.untried.append(str(reason))
        return f"unknown: {reason}"
    if problems := assessed.run_check(check, copy):
        return f"FAILED: {problems[0]}"
    good = "caught" if check.kind == "fault" else "passed"
    return assessed.done[check.promise].replace("passed", good)


def update_grade(assessed: Assessed) -> None:
    """Set the grade after the trials: a broken promise lowers it."""
    if assessed.problems:
        assessed.grade = "declared"
    elif assessed.grade == "present" and assessed.tried and not assessed.untried:
        assessed.grade = "exercised"


def show_progress(words: str) -> None:
    """Write progress to standard error: standard output is for the report."""
    sys.stderr.write(words)
    sys.stderr.flush()
