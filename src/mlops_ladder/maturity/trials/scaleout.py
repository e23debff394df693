"""Tried and planted: the same work here and on two workers, of which one is killed."""

import re
from collections.abc import Iterator

from mlops_ladder.maturity import fault, trial
from mlops_ladder.maturity.sandbox import Copy, last
from mlops_ladder.maturity.trials.project import answer

ROWS = "20000"
FASTER = re.compile(r"^.+ [\d.]+ s +[\d.]+ s +([\d.]+)  the same$", re.MULTILINE)
WORKER_ONLY = """

alone = fit


def fit(kept, *more):
    import multiprocessing

    if multiprocessing.parent_process():
        kept = kept.head(len(kept) // 2)
    return alone(kept, *more)
"""


@trial("pipeline.scaleout", "two workers come to the same as one process; the speed-up is measured")
def same(copy: Copy) -> Iterator[str]:
    """`make scaleout`, of search, backtest and batch."""
    done = copy.run("make", "scaleout", "WORKERS=2", f"ROWS={ROWS}")
    if done.returncode:
        yield f"make scaleout: {last(done)}"
    elif len(FASTER.findall(done.stdout)) < 2:
        yield "make scaleout: does not say how much faster the workers are"


@trial("pipeline.scaleout", "a worker that is killed costs no answer")
def killed(copy: Copy) -> Iterator[str]:
    """Kill one of two in the midst of a task."""
    found = answer(copy, "spread", "killed")
    if found["answers"] != found["wanted"]:
        yield f"a worker was killed: {found['answers']} are not the answers {found['wanted']}"


@fault("pipeline.scaleout", "workers that come to something else are found")
def otherwise(copy: Copy) -> Iterator[str]:
    """Have a model that is fitted on a worker learn from half of the rows."""
    with (copy.library() / "model/training.py").open("a", encoding="utf-8") as file:
        file.write(WORKER_ONLY)
    done = copy.run("make", "scaleout", "WORKERS=2", f"ROWS={ROWS}")
    if done.returncode == 0:
        yield "make scaleout: ends with 0, though the workers learn from other rows"
    elif "something else" not in done.stdout + done.stderr:
        yield f"make scaleout: does not say that the results differ: {last(done)}"
