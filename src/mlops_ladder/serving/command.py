"""The command that serves, and the description of the service that is kept in the repository."""

import argparse
from asyncio import TimerHandle, Transport
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mlops_ladder import write_file_atomically
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.serving.app import create_app, follow_champion
from mlops_ladder.settings import load_settings, Settings

SNAPSHOT = Path("docs/openapi.json")
SERVICE = f"{__package__}.app:build"  # by name: each worker makes one
DRAIN = 15  # seconds that requests under way get after SIGTERM; then the log is closed
SLOW = 30  # seconds that a request may take to arrive, with its body


class Impatient(HttpToolsProtocol):
    """A connection that is closed where a request does not arrive: nobody holds half of one."""

    _late: TimerHandle | None = None

    # asyncio hands over a Transport here; its base class names BaseTransport.
    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._late = self.loop.call_later(SLOW, transport.close)

    def data_received(self, data: bytes) -> None:
        """Wait for the rest of a request, or no longer."""
        super().data_received(data)
        arrived = self.cycle and not (self.cycle.response_complete or self.cycle.more_body)
        if self._late and arrived:
            self._late.cancel()
            self._late = None
        elif not (self._late or arrived):
            self._late = self.loop.call_later(SLOW, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing."""
        super().connection_lost(exc)
        if self._late:
            self._late.cancel()


OPTIONS: dict[str, Any] = {
    "factory": True,
    "http": f"{__name__}:Impatient",  # by name: a worker has to live before it imports this
    "access_log": False,
    "proxy_headers": False,  # anybody can write them
    "server_header": False,
    "timeout_graceful_shutdown": DRAIN,
}


def document(contract: Contract, settings: Settings) -> dict[str, Any]:
    """The OpenAPI document of the service that this contract gives, before a champion is there."""
    return create_app(settings, follow_champion(contract, settings)).openapi()


def snapshot(settings: Settings, _frame: object = None) -> None:
    """Write the OpenAPI document to the file that is kept, so that a change of the API is seen."""
    text = orjson.dumps(document(read_contract(), settings), option=orjson.OPT_INDENT_2)
    write_file_atomically(SNAPSHOT, text + b"\n")
    print(f"Wrote {SNAPSHOT}")


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM or Ctrl-C; requests under way are then answered, and logged."""
    parser = argparse.ArgumentParser(prog="serve", description="Serve the champion over HTTP.")
    parser.add_argument("--openapi", action="store_true", help=f"only write {SNAPSHOT}")
    if parser.parse_args(arguments).openapi:
        snapshot(load_settings())
        return
    serving = load_settings().serving
    uvicorn.run(
        SERVICE, host=serving.host, port=serving.port, root_path=serving.root_path, **OPTIONS
    )
