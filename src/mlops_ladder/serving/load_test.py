"""The load test: sends rows of the configured data to a service, which has budgets to keep."""

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection, InvalidURL
from itertools import chain, cycle
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import typer

from mlops_ladder import project, ProjectError, write_file_atomically
from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.columns import format_time
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.export.runtime import frame_to_rows
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings
from mlops_ladder.serving.settings import Load

MAX_REQUESTS = 500  # different requests, which are sent again and again
START_TIMEOUT_S = 60
ANSWER_TIMEOUT_S = 30

Sent = tuple[float, float, int]  # the time, the seconds to the answer, the status (0: no answer)
REPORT = Path("reports/load.json")


def sample_requests(frame: pd.DataFrame, contract: Contract, size: int) -> list[bytes]:
    """Return requests of so many rows each, drawn from these rows, as a client would send them."""
    rows = frame.sample(MAX_REQUESTS * size, replace=True, random_state=0)
    return make_requests(rows, contract, size)


def make_requests(frame: pd.DataFrame, contract: Contract, size: int) -> list[bytes]:
    """Return all of these rows, in their order, as requests of so many rows each."""
    cast = validate_and_cast(frame, contract, contract.inputs())
    for name in contract.inputs("time"):
        spell = partial(format_time, contract.columns[name])
        cast[name] = cast[name].map(spell, na_action="ignore")
    for name in contract.inputs("boolean"):
        cast[name] = cast[name].astype("object").map(bool, na_action="ignore")
    rows = frame_to_rows(cast)
    starts = range(0, len(rows), size)
    return [json.dumps(rows[at : at + size] if size > 1 else rows[at]).encode() for at in starts]


def send_load(
    url: str,
    requests: Sequence[bytes],
    options: Load,
    key: str = "",
    resent: list[float] | None = None,
) -> list[Sent]:
    """Return every request that was sent in the time of the load, in the order of sending.

    Args:
        url: The address of the service.
        requests: Bodies, which are sent again and again.
        options: The seconds and the number of connections.
        key: The API key, if the service needs one.
        resent: If a connection breaks, the request is sent once more, and its time is added here.
    """
    headers = {"Content-Type": "application/json"}
    headers |= {"Authorization": f"Bearer {key}"} if key else {}
    path, end = f"{urlsplit(url).path.rstrip('/')}/predict", time.perf_counter() + options.seconds

    def send_until_end(first: int) -> list[Sent]:
        connection, sent = connect(url), list[Sent]()
        for body in cycle([*requests[first:], *requests[:first]]):
            if (began := time.perf_counter()) >= end:
                break
            status, _ = fetch_answer(connection, "POST", path, body, headers)
            if not status and resent is not None:
                resent.append(began)
                status, _ = fetch_answer(connection, "POST", path, body, headers)
            sent.append((began, time.perf_counter() - began, status))
        connection.close()
        return sent

    with ThreadPoolExecutor(options.connections) as pool:
        return sorted(chain(*pool.map(send_until_end, range(options.connections))))


def fetch_answer(connection: HTTPConnection, *request: Any) -> tuple[int, bytes]:
    """Return status and content of the answer; 0 and the reason if there is none.

    Args:
        connection: To the service; if it breaks, the next request opens it again.
        request: Method and path, then body and headers if there are any.
    """
    try:
        connection.request(*request)
        answer = connection.getresponse()
        return answer.status, answer.read()
    except (OSError, HTTPException) as error:
        connection.close()
        return 0, str(error).encode()


def connect(url: str) -> HTTPConnection:
    """Return a connection to a service.  Raise ProjectError if the address is wrong."""
    kinds: dict[str, type[HTTPConnection]] = {"http": HTTPConnection, "https": HTTPSConnection}
    try:
        parts = urlsplit(url)
        return kinds[parts.scheme](parts.hostname or "", parts.port, timeout=ANSWER_TIMEOUT_S)
    except (KeyError, ValueError, InvalidURL) as error:
        message = f"URL {url!r}: no address of a service; such as http://127.0.0.1:8000"
        raise ProjectError(message) from error


@contextmanager
def isolated_settings() -> Iterator[tuple[Path, dict[str, str]]]:
    """Give an empty folder, and the environment of a service that logs there and has no limits."""
    with tempfile.TemporaryDirectory() as folder:
        variables = {
            "SERVING__HOST": "127.0.0.1",
            "SERVING__PREDICTION_LOG_URL": f"sqlite:///{folder}/load.db",
            "ACCESS__KEY_FILE": f"{folder}/keys.json",
            "ACCESS__REQUESTS_PER_MINUTE": "0",
        }
        prefix = project.get_project().prefix
        yield Path(folder), {prefix + name: value for name, value in variables.items()}


@contextmanager
def start_service() -> Iterator[tuple[str, int]]:
    """Start a service of the champion on a free port; give its address and its process id.

    It has a log of its own, so that nobody takes these requests for real ones.  Raises ProjectError
    with the reason if it does not become ready.
    """
    with isolated_settings() as (folder, variables):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        variables |= {f"{project.get_project().prefix}SERVING__PORT": str(port)}
        url, output = f"http://127.0.0.1:{port}", folder / "output"
        command = [sys.executable, "-m", "mlops_ladder", "serve"]
        options: Any = {"stderr": subprocess.STDOUT, "env": os.environ | variables}
        with (
            output.open("wb") as file,
            subprocess.Popen(command, stdout=file, **options) as process,
        ):
            try:
                if reason := wait_until_ready(url, lambda: process.poll() is None):
                    text = output.read_text(encoding="utf-8", errors="replace")
                    reason = text.strip().rpartition("\n")[2] or reason
                    raise ProjectError(f"the service is not ready: {reason}; run: make serve")
                yield url, process.pid
            finally:
                process.terminate()


def wait_until_ready(url: str, is_alive: Callable[[], bool] = lambda: True) -> str:
    """Return "" once a service is ready; the reason if it ends, or is not ready in time."""
    until, reason = time.monotonic() + START_TIMEOUT_S, "it has ended"
    while time.monotonic() < until and is_alive():
        status, reason = get_endpoint(url, "/ready")
        if status == 200:
            return ""
        time.sleep(0.1)
    return reason or "no answer"


def get_endpoint(url: str, path: str) -> tuple[int, str]:
    """Return status and text of an endpoint; 0 and the reason if there is no answer."""
    connection = connect(url)
    status, content = fetch_answer(connection, "GET", f"{urlsplit(url).path.rstrip('/')}{path}")
    connection.close()
    return status, content.decode()


@dataclass(frozen=True)
class Budget:
    """A measured value, None if it could not be measured, and its largest allowed value."""

    name: str
    unit: str
    measured: float | None
    limit: float

    @property
    def is_broken(self) -> bool:
        """Whether the measured value is above the limit."""
        return self.measured is not None and self.measured > self.limit

    def __str__(self) -> str:
        value = "not measured" if self.measured is None else f"{self.measured:.4g} {self.unit}"
        verdict = "-" if self.measured is None else "BROKEN" if self.is_broken else "ok"
        return f"{self.name:10} {value:>16}   at most {self.limit:g} {self.unit:7} {verdict}"


def list_budgets(sent: Sequence[Sent], memory: float | None, options: Load) -> list[Budget]:
    """Return each measured value with its budget.  Raise ProjectError without an answer."""
    times = [seconds * 1000 for _, seconds, status in sent if status == 200]
    if not times:
        statuses = summarize(sent)["statuses"] if sent else "none was sent"
        raise ProjectError(f"no request was answered (by status: {statuses}); see make serve")
    return [
        Budget("p95", "ms", float(np.quantile(times, 0.95)), options.p95_ms),
        Budget("errors", "share", 1 - len(times) / len(sent), options.error_share),
        Budget("memory", "MiB", memory, options.memory_mib),
    ]


def summarize(sent: Sequence[Sent]) -> dict[str, Any]:
    """Return the number of requests, by status too, their rate and the quantiles of their times."""
    times = [seconds * 1000 for _, seconds, _ in sent]
    seconds = max(began + took for began, took, _ in sent) - sent[0][0]
    statuses = dict(sorted(Counter(str(status) for *_, status in sent).items()))
    summary = {"requests": len(sent), "per_second": len(sent) / seconds, "statuses": statuses}
    return summary | {f"p{at}_ms": float(np.percentile(times, at)) for at in (50, 95, 99)}


def write_load_report(sent: Sequence[Sent], budgets: Sequence[Budget], options: Load) -> None:
    """Print the result, and write it to a file."""
    summary = summarize(sent)
    more = {"load": options.model_dump(), "budgets": [asdict(budget) for budget in budgets]}
    write_file_atomically(REPORT, json.dumps(summary | more, indent=2) + "\n")
    print(f"{summary['requests']:,} requests, {summary['per_second']:,.0f} a second", end=": ")
    print(", ".join(f"p{share} {summary[f'p{share}_ms']:.2f} ms" for share in (50, 95, 99)))
    print(*budgets, sep="\n")
    print(f"Wrote {REPORT}")


def read_peak_memory(pid: int) -> float | None:
    """Return the largest memory of a process in MiB; None if this system does not tell."""
    try:
        peak = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="utf-8"))
    except OSError:
        return None
    return int(peak[1]) / 1024 if peak else None


def main(
    url: Annotated[
        str | None, typer.Option(help="of a running service (KEY in the environment: its key)")
    ] = None,
) -> None:
    """Put load on a service; raise ProjectError if it breaks a budget of config/load.toml."""
    settings = load_settings()
    options = settings.load
    if url:
        status, reason = get_endpoint(url, "/ready")
        if not status:
            raise ProjectError(f"URL {url}: no service answers: {reason}")
    requests = sample_requests(read_data(settings), read_contract(), options.rows)
    with nullcontext((url, 0)) if url else start_service() as (address, process):
        sent = send_load(address, requests, options, os.environ.get("KEY", ""))
        budgets = list_budgets(sent, read_peak_memory(process) if process else None, options)
    write_load_report(sent, budgets, options)
    if broken := [budget.name for budget in budgets if budget.is_broken]:
        raise ProjectError(f"over budget: {', '.join(broken)}; see {REPORT}, [load]")
