"""Several workers on one port: a free one takes the next connection; one that dies is replaced.

If a worker is killed, its open requests are lost: the client sees the connection break, and sends
the request again.  A proxy in front does so for its clients: deploy/compose/Caddyfile.workers.
`ladder survive` kills a worker under load, and no request may fail.
"""

import argparse
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Annotated
from unittest.mock import patch

import typer
from uvicorn.supervisors import Multiprocess

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import read_contract
from mlops_ladder.problem import read_data
from mlops_ladder.serving import load_test
from mlops_ladder.serving.command import create_workers, SERVICE
from mlops_ladder.settings import load_settings
from mlops_ladder.serving.settings import Load

KILL_AFTER = 0.3  # share of the load after which a worker is killed
NOTICE_S = 0.3  # seconds until clients see that a connection is broken


def main(arguments: list[str]) -> None:
    """Serve with several workers until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="workers", description=main.__doc__)
    parser.add_argument("--number", type=int, default=os.cpu_count() or 1, help="of workers")
    number, serving = max(1, parser.parse_args(arguments).number), load_settings().serving
    with socket.create_server((serving.host, serving.port), backlog=2048) as listening:
        print(f"{number} workers at http://{serving.host}:{listening.getsockname()[1]}", flush=True)
        with create_workers(SERVICE, number, listening) as workers:
            workers.run()


@dataclass
class Attack:
    """A load on workers; one of them is killed, or more until a connection has broken."""

    url: str
    requests: Sequence[bytes]
    options: Load
    sent: list[load_test.Sent] = field(default_factory=list)
    resent: list[float] = field(default_factory=list)
    killed: int = 0
    error: str = ""

    def run(self, workers: Multiprocess) -> None:
        """Wait until the workers are ready, put load on them, kill, and let them end."""
        try:
            self.error = load_test.wait_until_ready(self.url)
            if not self.error:
                Thread(target=self.kill_workers, args=[workers], daemon=True).start()
                self.sent = load_test.send_load(
                    self.url, self.requests, self.options, resent=self.resent
                )
        finally:
            workers.should_exit.set()

    def kill_workers(self, workers: Multiprocess) -> None:
        """Send SIGKILL, the busiest worker first."""
        time.sleep(KILL_AFTER * self.options.seconds)
        by_cpu = sorted(workers.processes, key=lambda worker: read_cpu_ticks(worker.pid or 0))
        for worker in reversed(by_cpu):
            worker.kill()
            self.killed += 1
            time.sleep(NOTICE_S)
            if self.resent:
                return

    def __str__(self) -> str:
        longest = max(took for _, took, _ in self.sent)
        return (
            f"{len(self.sent):,} requests, {self.killed} workers killed: none failed;"
            f" {len(self.resent)} were sent again, the longest took {longest:.2f} s"
        )


def read_cpu_ticks(pid: int) -> int:
    """Return the CPU time of a process in ticks; 0 if this system does not tell."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0
    return sum(map(int, text.rpartition(")")[2].split()[11:13]))


def attack_workers(app: str, number: int, requests: Sequence[bytes], options: Load) -> Attack:
    """Start workers of an app, kill one of them under load, and return the attack."""
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listening:
        attack = Attack(f"http://127.0.0.1:{listening.getsockname()[1]}", requests, options)
        with create_workers(app, number, listening) as workers:
            thread = Thread(target=attack.run, args=[workers])
            thread.start()
            workers.run()
            thread.join()
    return attack


def check_attack(attack: Attack) -> None:
    """Raise ProjectError if a request failed, or if the attack shows nothing."""
    failed = sum(status != 200 for *_, status in attack.sent)
    if attack.error:
        raise ProjectError(f"the service is not ready: {attack.error}; run: make serve")
    if failed:
        raise ProjectError(f"{failed} of {len(attack.sent)} requests failed as a worker was killed")
    if not attack.resent:
        raise ProjectError("no connection broke: more seconds or connections, see [load]")


def survive(number: Annotated[int, typer.Option(help="of workers")] = 2) -> None:
    """Kill a worker of the service under load; raise ProjectError if a request fails."""
    settings = load_settings()
    requests = load_test.sample_requests(read_data(settings), read_contract(), settings.load.rows)
    with load_test.isolated_settings() as (_, variables), patch.dict(os.environ, variables):
        attack = attack_workers(SERVICE, max(2, number), requests, settings.load)
    check_attack(attack)
    print(attack)
