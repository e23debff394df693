"""A service of a generated project, for the tests: started on a free port, asked, ended."""

import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conftest import outside_make


class Service:
    """A service that runs, and its address."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.port = port

    def connect(self) -> http.client.HTTPConnection:
        """A connection that is kept."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """The status and the JSON of one answer."""
        return asked(self.connect(), path, body)


def asked(to: http.client.HTTPConnection, path: str, body: Any = None) -> tuple[int, Any]:
    """The status and the JSON of an answer over this connection."""
    if body is None:
        to.request("GET", path)
    else:
        to.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = to.getresponse()
    return answer.status, json.loads(answer.read())


@contextmanager
def serving(
    project: Path,
    *command: str,
    path: str = "/health",
    told: Path = Path(os.devnull),
    **environment: str,
) -> Iterator[Service]:
    """A service of this project, once it answers; ended with SIGTERM, and then waited for.

    What it logs is appended to `told`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(environment.get("FLIGHT_DELAYS_SERVING__PORT", free.getsockname()[1]))
    settings = {"FLIGHT_DELAYS_SERVING__PORT": str(port)}
    settings |= {"FLIGHT_DELAYS_SERVING__POLL_SECONDS": "0.05"}
    around = outside_make()
    around.pop("PYTHONDONTWRITEBYTECODE", None)  # else every start compiles all that it imports
    with told.open("ab") as log:
        process = subprocess.Popen(
            command or [".venv/bin/ladder", "serve"],
            cwd=project,
            env=around | settings | environment,
            stderr=log,
        )
    service = Service(process, port)
    try:
        until = time.monotonic() + 60
        while True:
            try:
                service.ask(path)
                break
            except OSError:
                assert time.monotonic() < until and process.poll() is None
                time.sleep(0.02)
        yield service
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def example(service: Service) -> dict[str, Any]:
    """The row that the description of the service shows."""
    operation = service.ask("/openapi.json")[1]["paths"]["/predict"]["post"]
    row = operation["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
    assert isinstance(row, dict)
    return row
