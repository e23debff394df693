"""A Prefect server for one run: it starts while the rest is imported, and ends with the run.

Nothing stays in the background, no port is fixed, and nothing is written outside the project.
Prefect's own temporary server starts only with the flow, and outlives a killed run (ADR 0006).
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
START_TIMEOUT_S = 300  # the first start makes the database: 8 s, or 110 s beside ten others
STOP_TIMEOUT_S = 10  # it writes the last states in this time
DISABLED_SERVICES = (
    "CANCELLATION_CLEANUP DB_VACUUM FOREMAN LATE_RUNS PAUSE_EXPIRATIONS REPOSSESSOR SCHEDULER"
    " TRIGGERS"
).split()
SETTINGS = {
    "DO_NOT_TRACK": "1",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",  # the rest of its log is in its database
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    **{f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in DISABLED_SERVICES},
}


def start_server() -> Callable[[], None]:
    """Start a server and set PREFECT_API_URL; return a function that waits until it answers.

    The server ends with this process, also if that is killed.  If PREFECT_API_URL is set already,
    that server is used.  Call this before prefect is imported: it reads the environment then.
    """
    for name, value in {"PREFECT_HOME": str(HOME.resolve()), **SETTINGS}.items():
        os.environ.setdefault(name, value)
    if os.environ.get("PREFECT_API_URL"):
        return lambda: None
    log, port = Path(os.environ["PREFECT_HOME"]) / LOG, find_free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(log.with_name("starting.lock"))  # two first starts break each other's database
    lock.acquire(timeout=START_TIMEOUT_S)
    os.environ["PREFECT_API_URL"] = f"http://127.0.0.1:{port}/api"
    with log.open("wb") as file:
        server = subprocess.Popen(  # pylint: disable=consider-using-with  # it outlives this block
            [sys.executable, "-m", __name__, str(port)],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=file,
            start_new_session=True,  # Ctrl-C is for the flow, which then tells the server
        )
    atexit.register(stop_server, server)  # registered before Prefect's, so it runs after them
    return lambda: wait_for_server(server, log, lock)


def find_free_port() -> int:
    """Return a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_server(server: "subprocess.Popen[bytes]", log: Path, lock: FileLock) -> None:
    """Return when the server answers.  Raise ProjectError with its last log lines if not."""
    deadline, direct = time.monotonic() + START_TIMEOUT_S, build_opener(ProxyHandler({}))
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with direct.open(f"{os.environ['PREFECT_API_URL']}/health", timeout=5):
                lock.release()
                return
        except OSError:
            time.sleep(0.05)
    text = log.read_text(encoding="utf-8", errors="replace").split("\n\n")[-1].strip()
    ended = "does not answer" if server.poll() is None else f"ended with {server.poll()}"
    raise ProjectError(f"Prefect's server {ended} ({log}): {text or 'its log is empty'}")


def stop_server(server: "subprocess.Popen[bytes]") -> None:
    """Stop the server once it has written the last states."""
    os.environ.pop("PREFECT_API_URL", None)
    assert server.stdin
    server.stdin.close()
    try:
        server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def end_with_parent() -> None:
    """End this process as soon as its standard input closes: then its parent has ended."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    sys.argv = ["prefect", "server", "start", "--port", sys.argv[1]]
    runpy.run_module("prefect", run_name="__main__")
