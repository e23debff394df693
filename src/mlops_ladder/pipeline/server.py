"""A Prefect server for one run: it starts while the rest is imported, and ends with the run.

Nothing is kept in the background, no port is fixed, nothing is written outside the project.
"""

import atexit
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import build_opener, ProxyHandler

from filelock import FileLock

from mlops_ladder import ProjectError

HOME = Path(".prefect")
LOG = "server.log"
PATIENCE = 300  # seconds; the first start makes the database: 8 alone, 110 where ten others compute
FAREWELL = 10  # seconds in which it writes down what it was told last
UNNEEDED = (
    "CANCELLATION_CLEANUP DB_VACUUM FOREMAN LATE_RUNS PAUSE_EXPIRATIONS REPOSSESSOR SCHEDULER"
    " TRIGGERS"
).split()
SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the rest of its log is in its database
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in UNNEEDED},
}


def start() -> Callable[[], None]:
    """Start a server, and have PREFECT_API_URL name it; what is given waits until it answers.

    It ends with this process, even where that is killed.  Where PREFECT_API_URL names a server
    already, that one is used.  Call this before prefect is imported, which reads the environment.
    """
    for name, value in {"PREFECT_HOME": str(HOME.resolve()), **SETTINGS}.items():
        os.environ.setdefault(name, value)
    if os.environ.get("PREFECT_API_URL"):
        return lambda: None
    log, port = Path(os.environ["PREFECT_HOME"]) / LOG, free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(log.with_name("starting.lock"))  # two that make its database break each other
    lock.acquire(timeout=PATIENCE)
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    with log.open("wb") as file:
        server = subprocess.Popen(  # pylint: disable=consider-using-with  # it outlives this block
            [sys.executable, "-m", __name__, str(port)],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            start_new_session=True,  # Ctrl-C is for the flow, which then tells the server
        )
    atexit.register(stop, server)  # after Prefect's own farewells: the last that comes goes first
    return lambda: wait(server, log, lock)


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait(server: "subprocess.Popen[bytes]", log: Path, lock: FileLock) -> None:
    """Return when the server answers.  ProjectError with its last words where it does not."""
    deadline, direct = time.monotonic() + PATIENCE, build_opener(ProxyHandler({}))
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with direct.open(f"{os.environ['PREFECT_API_URL']}/health", timeout=5):
                lock.release()
                return
        except OSError:
            time.sleep(0.05)
    words = log.read_text(encoding="utf-8", errors="replace").split("\n\n")[-1].strip()
    ended = "does not answer" if server.poll() is None else f"ended with {server.poll()}"
    raise ProjectError(f"Prefect's server {ended} ({log}): {words or 'it said nothing'}")


def stop(server: "subprocess.Popen[bytes]") -> None:
    """Let the server write down what it was told, and end it."""
    os.environ.pop("PREFECT_API_URL", None)
    assert server.stdin
    server.stdin.close()
    try:
        server.wait(FAREWELL)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def end_with_parent() -> None:
    """Ask this process to end as soon as its standard input does: then its parent has ended."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.argv = ["prefect", "server", "start", "--port", sys.argv[1]]
    runpy.run_module("prefect", run_name="__main__")
