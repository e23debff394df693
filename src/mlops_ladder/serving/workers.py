"""Several workers on one port: each takes connections as it is free, and one that dies is replaced.

What a worker was answering when it was killed is lost with it: whoever asked sees the connection
break, and asks again.  A proxy in front does so for its clients: deploy/compose/Caddyfile.workers.
`ladder survive` kills a worker under load, and no request may fail.
"""

import argparse
import os
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Annotated
from unittest.mock import patch

import typer
import uvicorn
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import SIGNALS

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import read_contract
from mlops_ladder.problem import read_data
from mlops_ladder.serving.command import OPTIONS, SERVICE
from mlops_ladder.serving.instruments import SHARED
from mlops_ladder.serving.load_test import apart, bodies, measured, Sent, unready
from mlops_ladder.settings import load_settings
from mlops_ladder.serving.settings import Load

KILLED = 0.3  # of the time of the load, after which a worker is killed
NOTICED = 0.3  # seconds in which its clients see it


@contextmanager
def supervised(app: str, number: int, listening: socket.socket) -> Iterator[Multiprocess]:
    """Workers of an app on this socket, once they are let `run`, which is for the main thread.

    They share a folder for their metrics, so that whichever is asked answers for all.
    """
    config = uvicorn.Config(
        app,
        workers=number,
        root_path=load_settings().serving.root_path,
        log_level="warning",
        **OPTIONS,
    )
    before = {name: signal.getsignal(name) for name in SIGNALS}
    shared = os.environ.get(SHARED)
    with tempfile.TemporaryDirectory() as folder:
        os.environ[SHARED] = folder
        try:
            yield Multiprocess(config, sockets=[listening])
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)
            os.environ.pop(SHARED)
            os.environ.update({SHARED: shared} if shared else {})


def main(arguments: list[str]) -> None:
    """Serve with several workers until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="workers", description=main.__doc__)
    parser.add_argument("--number", type=int, default=os.cpu_count() or 1, help="of workers")
    number, serving = max(1, parser.parse_args(arguments).number), load_settings().serving
    with socket.create_server((serving.host, serving.port), backlog=2048) as listening:
        print(f"{number} workers at http://{serving.host}:{listening.getsockname()[1]}", flush=True)
        with supervised(SERVICE, number, listening) as workers:
            workers.run()


@dataclass
class Attack:
    """Load on workers, of which one is killed, or more until a connection has broken."""

    url: str
    requests: Sequence[bytes]
    wanted: Load
    sent: list[Sent] = field(default_factory=list)
    again: list[float] = field(default_factory=list)
    killed: int = 0
    trouble: str = ""

    def run(self, workers: Multiprocess) -> None:
        """Wait until they are ready, put load on them, kill, and let them end."""
        try:
            self.trouble = unready(self.url)
            if not self.trouble:
                Thread(target=self.kill, args=[workers], daemon=True).start()
                self.sent = measured(self.url, self.requests, self.wanted, again=self.again)
        finally:
            workers.should_exit.set()

    def kill(self, workers: Multiprocess) -> None:
        """SIGKILL, which no worker can answer, to the busiest first."""
        time.sleep(KILLED * self.wanted.seconds)
        for worker in sorted(workers.processes, key=lambda it: worked(it.pid or 0), reverse=True):
            worker.kill()
            self.killed += 1
            time.sleep(NOTICED)
            if self.again:
                return


def worked(pid: int) -> int:
    """How long a process has used a CPU, in ticks; 0 where this system does not say."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0
    return sum(map(int, said.rpartition(")")[2].split()[11:13]))


def attacked(app: str, number: int, requests: Sequence[bytes], wanted: Load) -> Attack:
    """What workers of an app answered while one of them was killed."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        attack = Attack(f"http://127.0.0.1:{listening.getsockname()[1]}", requests, wanted)
        with supervised(app, number, listening) as workers:
            thread = Thread(target=attack.run, args=[workers])
            thread.start()
            workers.run()
            thread.join()
    return attack


def judged(attack: Attack) -> str:
    """What happened, in a line.  ProjectError where a request failed, or nothing was shown."""
    failed = sum(status != 200 for *_, status in attack.sent)
    if attack.trouble:
        raise ProjectError(f"the service is not ready: {attack.trouble}; run: make serve")
    if failed:
        raise ProjectError(f"{failed} of {len(attack.sent)} requests failed as a worker was killed")
    if not attack.again:
        raise ProjectError("no connection broke: more seconds or connections, see [load]")
    longest = max(took for _, took, _ in attack.sent)
    return (
        f"{len(attack.sent):,} requests, {attack.killed} workers killed: none failed;"
        f" {len(attack.again)} were sent again, the longest took {longest:.2f} s"
    )


def survive(number: Annotated[int, typer.Option(help="of workers")] = 2) -> None:
    """Kill a worker of the service under load; ProjectError where a request fails."""
    settings = load_settings()
    requests = bodies(read_data(settings), read_contract(), settings.load.rows)
    with apart() as (_, changed), patch.dict(os.environ, changed):
        print(judged(attacked(SERVICE, max(2, number), requests, settings.load)))
