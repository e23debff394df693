"""A service of the project in a copy: start it on a free port, send requests, end it."""

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

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.sandbox import Copy

START_TIMEOUT_S, STOP_TIMEOUT_S = 90, 40
PROCESS_LOG, SERVICE_LOG = ".git/process.log", ".git/service.log"  # the checks of files ignore .git
UNREACHABLE = 0  # the status if no answer came

Process = subprocess.Popen[bytes]


class Service:
    """A service and its address."""

    def __init__(self, port: int, process: Process) -> None:
        self.port = port
        self.process = process

    @property
    def lives(self) -> bool:
        """Return whether its process lives."""
        return self.process.poll() is None

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that is kept."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Return the status and the body of one answer."""
        status, answer = exchange_json(self.connect(), path, body)
        return status, answer

    def example(self) -> Any:
        """Return the row that its own description gives as an example, or None."""
        _, document = self.ask("/openapi.json")
        try:
            body = document["paths"]["/predict"]["post"]["requestBody"]["content"]
            return body["application/json"]["examples"]["one"]["value"]
        except (KeyError, TypeError):
            return None

    def end(self) -> None:
        """End the service: ask it, wait, and then kill what is left of it."""
        until = time.monotonic() + STOP_TIMEOUT_S
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
            while time.monotonic() < until:
                self.process.poll()
                os.killpg(self.process.pid, 0)
                time.sleep(0.05)
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def exchange_json(to: http.client.HTTPConnection, path: str, body: Any = None, **more: str) -> Any:
    """Return the status and the JSON of an answer over this connection."""
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


def find_free_port() -> int:
    """Return a port of this machine on which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def start_process(copy: Copy, log: str, *command: str, **variables: str) -> Process:
    """Start a command in the copy in its own session, with its output in a file."""
    options: Any = {"cwd": copy.root, "env": copy.environment | variables}
    with (copy.root / log).open("wb") as file:
        options |= {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file}
        return subprocess.Popen(command, start_new_session=True, **options)


@contextmanager
def run_service(copy: Copy) -> Iterator[Service]:
    """Run `make serve` on a free port; yield the service when it answers, or at the timeout.

    It logs into the copy, independent of the settings.  It is always ended.  Raises Unknown if the
    project has no service.
    """
    if copy.original.answers.get("serve") == "batch":
        raise Unknown("this project has no service")
    port, own = find_free_port(), f"{copy.package.name.upper()}_SERVING__"
    settings = {f"{own}HOST": "127.0.0.1", f"{own}PORT": str(port), f"{own}POLL_SECONDS": "0.2"}
    settings[f"{own}PREDICTION_LOG_URL"] = "sqlite:///predictions.db"
    service = Service(port, start_process(copy, SERVICE_LOG, "make", "serve", **settings))
    try:
        until = time.monotonic() + START_TIMEOUT_S
        while service.lives and service.ask("/health")[0] == UNREACHABLE:
            if time.monotonic() > until:
                break
            time.sleep(0.05)
        yield service
    finally:
        service.end()


def read_process_log(copy: Copy) -> str:
    """Return the output of the process that runs beside, or ran last."""
    return (copy.root / PROCESS_LOG).read_text("utf-8", "replace")


@contextmanager
def run_beside(copy: Copy, *command: str, **variables: str) -> Iterator[Process]:
    """Yield a process of the copy; end it with all that it started."""
    process = start_process(copy, PROCESS_LOG, *command, **variables)
    try:
        yield process
    finally:
        for end in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                os.killpg(process.pid, end)
                process.wait(20)
