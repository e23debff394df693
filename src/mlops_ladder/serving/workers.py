"""Several workers on one port: each takes connections as it is free, and one that dies is replaced.

What a worker was answering when it was killed is lost with it: whoever asked sees the connection
break, and asks again.  A proxy in front does so for its clients: deploy/compose/Caddyfile.workers.
"""

import argparse
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.supervisors import Multiprocess
from uvicorn.supervisors.multiprocess import SIGNALS

from mlops_ladder.serving.command import OPTIONS, SERVICE
from mlops_ladder.serving.instruments import SHARED
from mlops_ladder.settings import load


@contextmanager
def supervised(app: str, number: int, listening: socket.socket) -> Iterator[Multiprocess]:
    """Workers of an app on this socket, once they are let `run`, which is for the main thread.

    They share a folder for their metrics, so that whichever is asked answers for all.
    """
    config = uvicorn.Config(
        app,
        workers=number,
        root_path=load().serving.root_path,
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
    number, serving = max(1, parser.parse_args(arguments).number), load().serving
    with socket.create_server((serving.host, serving.port), backlog=2048) as listening:
        print(f"{number} workers at http://{serving.host}:{listening.getsockname()[1]}", flush=True)
        with supervised(SERVICE, number, listening) as workers:
            workers.run()
