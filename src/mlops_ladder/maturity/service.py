"""A service of the project that runs in a copy: started on a free port, asked, and ended."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from mlops_ladder.maturity.sandbox import Copy

PATIENCE = 90  # seconds that it has to start
FAREWELL = 40  # seconds that it has to end
SAID = ".git/process.log"  # what a process says, where no check of files looks
UNREACHABLE = 0  # the status of an answer that does not come


class Service:
    """A service and its address."""

    def __init__(self, port: int, process: "subprocess.Popen[bytes]") -> None:
        self.port = port
        self.process = process

    @property
    def lives(self) -> bool:
        """Does its process live?"""
        return self.process.poll() is None

    def connect(self) -> http.client.HTTPConnection:
        """A connection that is kept."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """The status of one answer, and what it says."""
        status, answer = asked(self.connect(), path, body)
        return status, answer

    def example(self) -> Any:
        """The row that its own description gives as an example; None where there is none."""
        _, document = self.ask("/openapi.json")
        try:
            body = document["paths"]["/predict"]["post"]["requestBody"]["content"]
            return body["application/json"]["examples"]["one"]["value"]
        except (KeyError, TypeError):
            return None

    def end(self) -> None:
        """Ask it to end, wait for that, and leave nothing of it behind."""
        until = time.monotonic() + FAREWELL
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
            while time.monotonic() < until:
                self.process.poll()
                os.killpg(self.process.pid, 0)
                time.sleep(0.05)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def asked(to: http.client.HTTPConnection, path: str, body: Any = None, **more: str) -> Any:
    """The status and the JSON of an answer over this connection."""
    headers = {"Content-Type": "application/json"} | more
    try:
        if body is None:
            to.request("GET", path)
        else:
            to.request("POST", path, json.dumps(body), headers)
        answer = to.getresponse()
        return answer.status, json.loads(answer.read())
    except (OSError, http.client.HTTPException) as error:
        return UNREACHABLE, f"no answer: {error!r}"
    except ValueError:
        return answer.status, "an answer that is not JSON"


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def started(copy: Copy, port: int) -> "subprocess.Popen[bytes]":
    """`make serve` on this port; it logs into the copy, wherever the settings would have it log."""
    own = f"{copy.package.name.upper()}_SERVING__"
    settings = {f"{own}HOST": "127.0.0.1", f"{own}PORT": str(port)}
    settings |= {
        f"{own}PREDICTION_LOG_URL": "sqlite:///predictions.db",
        f"{own}POLL_SECONDS": "0.2",
    }
    with (copy.root / ".git" / "service.log").open("wb") as log:
        return subprocess.Popen(
            ["make", "serve"],
            cwd=copy.root,
            env=copy.environment | settings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@contextmanager
def serving(copy: Copy) -> Iterator[Service]:
    """A service of the copy, once it answers or its time is up; ended whatever happens."""
    port = free_port()
    service = Service(port, started(copy, port))
    try:
        until = time.monotonic() + PATIENCE
        while service.lives and service.ask("/health")[0] == UNREACHABLE:
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        yield service
    finally:
        service.end()


def told(copy: Copy) -> str:
    """What the process that runs in the copy, or ran last, has said so far."""
    return (copy.root / SAID).read_text("utf-8", "replace")


@contextmanager
def running(copy: Copy, *command: str, **more: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the copy, ended with all that it started."""
    with (copy.root / SAID).open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=copy.root,
            env=copy.environment | more,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for end in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, end)
                process.wait(20)
