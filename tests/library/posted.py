"""An address that takes what is posted to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


@contextmanager
def receiver() -> Iterator[tuple[str, list[Any]]]:
    """An address of this machine, and what was posted to it as JSON, in its order."""
    found: list[Any] = []

    class Receiver(BaseHTTPRequestHandler):
        """Takes what is posted."""

        def do_POST(self) -> None:  # pylint: disable=invalid-name  # as the base class calls it
            """Keep it."""
            found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", found
    finally:
        server.shutdown()
        server.server_close()
