"""Tried and planted: several workers of the service, and of a cluster; one is killed."""

import re
import time
from collections.abc import Iterator
from http.client import HTTPConnection

from mlops_ladder.maturity import fault, trial
from mlops_ladder.maturity.sandbox import Copy, last
from mlops_ladder.maturity.service import serving
from mlops_ladder.maturity.trials.project import answer

REQUESTS = 20
TOLD = 2  # seconds after which every worker's counts are seen
COUNTED = re.compile(r'^serving_requests_total\{.*status="200".*\} (\S+)$', re.MULTILINE)
BRIEF = {"SECONDS": "3", "CONNECTIONS": "4"}
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


@trial("serving.scale", "several workers answer on one port, and any of them counts for all")
def several(copy: Copy) -> Iterator[str]:
    """`make serve WORKERS=2`, over a new connection for each request."""
    copy.need("rehearse")
    copy.environment["WORKERS"] = "2"
    try:
        with serving(copy) as service:
            row = service.example()
            seen = [service.ask("/predict", row)[0] for _ in range(REQUESTS)]
            time.sleep(TOLD)
            to = HTTPConnection("127.0.0.1", service.port, timeout=30)
            to.request("GET", "/metrics")
            found = COUNTED.search(to.getresponse().read().decode())
    finally:
        del copy.environment["WORKERS"]
    if wrong := sorted({status for status in seen if status != 200}):
        yield f"/predict: {wrong} of two workers"
    counted = float(found[1]) if found else 0
    if counted != seen.count(200):
        yield f"/metrics: counts {counted:.0f} of {seen.count(200)} requests of two workers"


@fault("serving.scale", "a worker is killed under load, and no request fails")
def survived(copy: Copy) -> Iterator[str]:
    """`make survive`, which kills it."""
    copy.need("rehearse")
    own = f"{copy.package.name.upper()}_LOAD__"
    done = copy.run("make", "survive", **{own + key: value for key, value in BRIEF.items()})
    if done.returncode:
        yield f"make survive: {last(done)}"


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
