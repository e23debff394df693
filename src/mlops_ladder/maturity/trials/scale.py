"""Tried and planted: several workers, of which one is killed."""

import re
import time
from collections.abc import Iterator
from http.client import HTTPConnection

from mlops_ladder.maturity import fault, trial
from mlops_ladder.maturity.sandbox import Copy, last
from mlops_ladder.maturity.service import serving

REQUESTS = 20
TOLD = 2  # seconds after which every worker's counts are seen
COUNTED = re.compile(r'^serving_requests_total\{.*status="200".*\} (\S+)$', re.MULTILINE)
BRIEF = {"SECONDS": "3", "CONNECTIONS": "4"}


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
def killed(copy: Copy) -> Iterator[str]:
    """`make survive`, which kills it."""
    copy.need("rehearse")
    own = f"{copy.package.name.upper()}_LOAD__"
    done = copy.run("make", "survive", **{own + key: value for key, value in BRIEF.items()})
    if done.returncode:
        yield f"make survive: {last(done)}"
