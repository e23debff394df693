"""The command that serves, and the description of the service that the repository holds.

All that the service needs of uvicorn's undocumented parts is here; a test names the version.
"""

import argparse
import os
import signal
import socket
import tempfile
from asyncio import TimerHandle, Transport
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import SIGNALS

from mlops_ladder import write_file_atomically
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.serving.app import create_app, create_reloader
from mlops_ladder.settings import load_settings, Settings

SNAPSHOT = Path("docs/openapi.json")
SERVICE = f"{__package__}.app:create_service"  # by name: each worker imports it
STOP_TIMEOUT_S = 15  # for open requests after SIGTERM; then the log is closed
REQUEST_TIMEOUT_S = 30  # for a request to arrive, with its body


class TimeoutProtocol(HttpToolsProtocol):
    """A connection that is closed if a request does not arrive in time."""

    _timeout: TimerHandle | None = None

    # asyncio passes a Transport; its base class names BaseTransport.
    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._timeout = self.loop.call_later(REQUEST_TIMEOUT_S, transport.close)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a request, or stop waiting."""
        super().data_received(data)
        has_arrived = self.cycle and not (self.cycle.response_complete or self.cycle.more_body)
        if self._timeout and has_arrived:
            self._timeout.cancel()
            self._timeout = None
        elif not (self._timeout or has_arrived):
            self._timeout = self.loop.call_later(REQUEST_TIMEOUT_S, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        super().connection_lost(exc)
        if self._timeout:
            self._timeout.cancel()


OPTIONS: dict[str, Any] = {
    "factory": True,
    "http": f"{__name__}:TimeoutProtocol",  # by name: a worker has to live before it imports this
    "access_log": False,
    "proxy_headers": False,  # any client can send them
    "server_header": False,
    "timeout_graceful_shutdown": STOP_TIMEOUT_S,
}


@contextmanager
def create_workers(app: str, number: int, listening: socket.socket) -> Iterator[Multiprocess]:
    """Give workers of an app on this socket; `run` starts them, in the main thread.

    They share a folder for their metrics, so that each of them answers for all.
    """
    root = load_settings().serving.root_path
    config = uvicorn.Config(app, workers=number, root_path=root, log_level="warning", **OPTIONS)
    handlers = {name: signal.getsignal(name) for name in SIGNALS}
    with tempfile.TemporaryDirectory() as folder:
        try:
            with patch.dict(os.environ, {"PROMETHEUS_MULTIPROC_DIR": folder}):
                yield Multiprocess(config, sockets=[listening])
        finally:
            for name, handler in handlers.items():
                signal.signal(name, handler)


def describe_service(contract: Contract, settings: Settings) -> dict[str, Any]:
    """Return the OpenAPI document of the service of a contract, before there is a champion."""
    return create_app(settings, create_reloader(contract, settings)).openapi()


def write_openapi(settings: Settings, _frame: object = None) -> None:
    """Write the OpenAPI document into the repository, so that a change of the API is seen."""
    document = describe_service(read_contract(), settings)
    write_file_atomically(SNAPSHOT, orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
    print(f"Wrote {SNAPSHOT}")


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM or Ctrl-C; open requests are then answered, and logged."""
    parser = argparse.ArgumentParser(prog="serve", description="Serve the champion over HTTP.")
    parser.add_argument("--openapi", action="store_true", help=f"only write {SNAPSHOT}")
    if parser.parse_args(arguments).openapi:
        write_openapi(load_settings())
        return
    address = load_settings().serving.model_dump(include={"host", "port", "root_path"})
    uvicorn.run(SERVICE, **address, **OPTIONS)
