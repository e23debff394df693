"""Tried and planted: the schedule of the pipeline."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.delivery import read_registered_model
from mlops_ladder.maturity.sandbox import Copy, last
from mlops_ladder.maturity.service import running, told

PATIENCE = 180  # seconds in which a run starts
HEARD = 30  # seconds in which somebody is told


@trial("pipeline.schedule", "the same input again is no second version")
def again(copy: Copy) -> Iterator[str]:
    """Run the pipeline twice."""
    before = read_registered_model(copy.need("rehearse"))["versions"]
    done = copy.run("make", "rehearse")
    if done.returncode:
        yield f"make pipeline, again: {last(done)}"
    elif (now := read_registered_model(copy.repository)["versions"]) != before:
        yield f"make pipeline: {len(before)} versions, and {len(now)} after the same input again"


@contextmanager
def listening() -> Iterator[tuple[str, list[Any]]]:
    """An address, and what is posted there."""
    heard: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        """Takes what is posted."""

        def do_POST(self) -> None:  # pylint: disable=invalid-name  # as the base class calls it
            """Keep it."""
            heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    to = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=to.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{to.server_port}", heard
    finally:
        to.shutdown()
        to.server_close()


def step_of(copy: Copy, group: int) -> int | None:
    """The process of a run that has read its rows, of the schedule with this group; None yet."""
    if "ingest " not in told(copy):
        return None
    listed = copy.must("ps", "-Aww", "-o", "pid=,pgid=,args=").splitlines()
    rows = [line.split(maxsplit=2) for line in listed if "spawn_main" in line]
    found = [int(pid) for pid, its, _ in rows if int(its) == group]
    return found[-1] if found else None


@fault("pipeline.schedule", "a run that is killed is told to whom the settings name")
def killed(copy: Copy) -> Iterator[str]:
    """Serve the schedule, start a run, end its process by SIGKILL, and listen."""
    own, until = f"{copy.package.name.upper()}_SCHEDULE__", time.monotonic() + PATIENCE
    with listening() as (address, heard):
        settings = {f"{own}WEBHOOK": address, f"{own}POLL_SECONDS": "1"}
        with running(copy, "make", "schedule", "NOW=yes", **settings) as process:
            while (pid := step_of(copy, process.pid)) is None:
                if process.poll() is not None or time.monotonic() > until:
                    raise Unknown(f"no run starts that can be killed: {told(copy)[-800:].strip()}")
                time.sleep(0.2)
            os.kill(pid, signal.SIGKILL)
            until = time.monotonic() + HEARD
            while not heard and time.monotonic() < until:
                time.sleep(0.1)
    if not any(it.get("state") == "Crashed" for it in heard):
        yield f"a run was killed, and nobody is told of it within {HEARD} s"
