"""Load: requests with rows of the configured data, a service to send them to, and its budgets."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection, InvalidURL
from itertools import cycle
from pathlib import Path
from threading import Thread
from typing import Annotated, Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import typer

from mlops_ladder import project, ProjectError, write_file_atomically
from mlops_ladder.data.casting import conform
from mlops_ladder.data.columns import spell
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings
from mlops_ladder.serving.settings import Load

BODIES = 500  # different requests, sent again and again
START = 60  # seconds that a service gets to become ready
PATIENCE = 30  # seconds that an answer may take
SERVE = "from mlops_ladder import main; raise SystemExit(main())"

Sent = tuple[float, float, int]  # when it was sent, seconds to the answer, status (0: none)
REPORT, PICTURE = Path("reports/load.json"), Path("reports/load.png")


def bodies(frame: pd.DataFrame, contract: Contract, size: int) -> list[bytes]:
    """Requests of so many rows each, drawn from these rows, as a client would send them."""
    return requests_of(frame.sample(BODIES * size, replace=True, random_state=0), contract, size)


def requests_of(frame: pd.DataFrame, contract: Contract, size: int) -> list[bytes]:
    """All of these rows, in their order, as requests of so many each."""
    rows = conform(frame, contract, contract.inputs())
    for name in contract.inputs("time"):
        rows[name] = rows[name].map(partial(spell, contract.columns[name]), na_action="ignore")
    for name in contract.inputs("boolean"):
        rows[name] = rows[name].astype("object").map(bool, na_action="ignore")
    plain = rows.astype("object").where(rows.notna(), None).to_dict("records")
    starts = range(0, len(plain), size)
    return [json.dumps(plain[at : at + size] if size > 1 else plain[at]).encode() for at in starts]


def measured(
    url: str,
    requests: Sequence[bytes],
    wanted: Load,
    key: str = "",
    again: list[float] | None = None,
) -> list[Sent]:
    """Every request that was sent in the time that is wanted, by so many connections at once.

    `again`: one whose connection breaks before an answer is sent once more; when it was, joins it.
    """
    place = f"{urlsplit(url).path.rstrip('/')}/predict"
    clients = [Client(connected(url), place, key, again) for _ in range(wanted.connections)]
    end = time.perf_counter() + wanted.seconds
    threads = [
        Thread(target=client.ask, args=([*requests[first:], *requests[:first]], end), daemon=True)
        for first, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(sent for client in clients for sent in client.sent)


@dataclass
class Client:
    """Sends one request after the other on one connection, and keeps how it was answered."""

    connection: HTTPConnection
    place: str
    key: str
    again: list[float] | None = None
    sent: list[Sent] = field(default_factory=list)

    def ask(self, requests: Sequence[bytes], end: float) -> None:
        """Send these requests again and again, until the end."""
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {self.key}"} if self.key else {}
        for body in cycle(requests):
            if (began := time.perf_counter()) >= end:
                break
            status = self._answered(body, headers)
            if not status and self.again is not None:
                self.again.append(began)
                status = self._answered(body, headers)
            self.sent.append((began, time.perf_counter() - began, status))
        self.connection.close()

    def _answered(self, body: bytes, headers: dict[str, str]) -> int:
        """The status of the answer; 0 where none comes."""
        try:
            self.connection.request("POST", self.place, body, headers)
            answer = self.connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, HTTPException):
            self.connection.close()  # the next request opens it again
            return 0


def connected(url: str) -> HTTPConnection:
    """A connection to the service.  ProjectError where this is no address of one."""
    kinds: dict[str, type[HTTPConnection]] = {"http": HTTPConnection, "https": HTTPSConnection}
    try:
        place = urlsplit(url)
        return kinds[place.scheme](place.hostname or "", place.port, timeout=PATIENCE)
    except (KeyError, ValueError, InvalidURL) as error:
        message = f"URL {url!r}: no address of a service; such as http://127.0.0.1:8000"
        raise ProjectError(message) from error


@contextmanager
def apart() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder for a service that nobody but the load asks, and the variables that it needs."""
    with tempfile.TemporaryDirectory() as place:
        changed = {
            "SERVING__HOST": "127.0.0.1",
            "SERVING__PREDICTION_LOG_URL": f"sqlite:///{place}/load.db",
            "ACCESS__KEY_FILE": f"{place}/keys.json",
            "ACCESS__REQUESTS_PER_MINUTE": "0",
        }
        prefix = project.get_project().prefix
        yield Path(place), {prefix + name: value for name, value in changed.items()}


@contextmanager
def service() -> Iterator[tuple[str, int]]:
    """The address and the process of a service of the champion, on a port that is free.

    It has a log of its own, so that nobody takes these requests for real ones, and no limits.
    """
    with apart() as (place, changed), socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        environment = (
            os.environ | changed | {f"{project.get_project().prefix}SERVING__PORT": str(port)}
        )
        said = place / "said"
        command = [sys.executable, "-c", SERVE, "serve"]
        options: Any = {"stderr": subprocess.STDOUT, "env": environment}
        with (
            said.open("wb") as output,
            subprocess.Popen(command, stdout=output, **options) as process,
        ):
            try:
                url = f"http://127.0.0.1:{port}"
                wait(url, process, said)
                yield url, process.pid
            finally:
                process.terminate()


def wait(url: str, process: "subprocess.Popen[bytes]", said: Path) -> None:
    """Wait until the service is ready.  ProjectError that says why it is not."""
    if why := unready(url, lambda: process.poll() is None):
        told = said.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
        raise ProjectError(f"the service is not ready: {told or why}; run: make serve")


def unready(url: str, lives: Callable[[], bool] = lambda: True) -> str:
    """Why a service that lives is not ready in time; nothing once it is."""
    until, why = time.monotonic() + START, "it has ended"
    while time.monotonic() < until and lives():
        status, why = readiness(url)
        if status == 200:
            return ""
        time.sleep(0.1)
    return why or "no answer"


def readiness(url: str) -> tuple[int, str]:
    """The status of a service that is asked whether it is ready, and its words; else 0, and why."""
    connection = connected(url)
    try:
        connection.request("GET", f"{urlsplit(url).path.rstrip('/')}/ready")
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, HTTPException) as error:
        return 0, str(error)
    finally:
        connection.close()


@dataclass(frozen=True)
class Budget:
    """What was measured, and the most that it may be."""

    name: str
    unit: str
    measured: float | None
    limit: float

    @property
    def broken(self) -> bool:
        """Is it more?  What could not be measured is not."""
        return self.measured is not None and self.measured > self.limit

    def __str__(self) -> str:
        found = "not measured" if self.measured is None else f"{self.measured:.4g} {self.unit}"
        verdict = "-" if self.measured is None else "BROKEN" if self.broken else "ok"
        return f"{self.name:10} {found:>16}   at most {self.limit:g} {self.unit:7} {verdict}"


def budgets(sent: Sequence[Sent], held: float | None, wanted: Load) -> list[Budget]:
    """What was measured, each beside its budget.  ProjectError where nothing was answered."""
    times = [seconds * 1000 for _, seconds, status in sent if status == 200]
    if not times:
        found = summary(sent)["statuses"] if sent else "none was sent"
        raise ProjectError(f"no request was answered (by status: {found}); see make serve")
    p95 = float(np.quantile(times, 0.95))
    errors = sum(status != 200 for *_, status in sent) / len(sent)
    return [
        Budget("p95", "ms", p95, wanted.p95_ms),
        Budget("errors", "share", errors, wanted.error_share),
        Budget("memory", "MiB", held, wanted.memory_mib),
    ]


def summary(sent: Sequence[Sent]) -> dict[str, Any]:
    """How many requests were answered how, how fast, and how many a second."""
    times = np.array([seconds for _, seconds, _ in sent]) * 1000
    statuses, counts = np.unique([status for *_, status in sent], return_counts=True)
    seconds = max(began + took for began, took, _ in sent) - sent[0][0]
    quantiles = {f"p{share}_ms": float(np.percentile(times, share)) for share in (50, 95, 99)}
    return {
        "requests": len(sent),
        "per_second": len(sent) / seconds,
        "statuses": dict(zip(map(str, statuses.tolist()), counts.tolist(), strict=True)),
    } | quantiles


def draw(sent: Sequence[Sent], wanted: Load) -> None:
    """A picture of how long answers took, and how many came in each part of the time."""
    # pylint: disable=import-outside-toplevel  # 0.5 s
    from matplotlib.ticker import LogFormatter

    from mlops_ladder.model.figures import create_figure

    figure = create_figure(9, 3.5)
    left, right = figure.subplots(1, 2)
    times = np.sort([seconds * 1000 for _, seconds, _ in sent])
    left.plot(times, np.arange(1, len(times) + 1) / len(times))
    left.axvline(wanted.p95_ms, color="tab:red", linestyle="--", label="budget of p95")
    left.set(xlabel="milliseconds to the answer", ylabel="share of requests", xscale="log")
    left.xaxis.set(major_formatter=LogFormatter(), minor_formatter=LogFormatter())
    left.legend()
    ends = np.array([began + took for began, took, _ in sent]) - sent[0][0]
    counts, edges = np.histogram(ends, bins=20)
    right.stairs(counts / np.diff(edges), edges, fill=True)
    right.set(xlabel="seconds", ylabel="answers per second")
    figure.savefig(PICTURE)


def report(sent: Sequence[Sent], judged: Sequence[Budget], wanted: Load) -> None:
    """Print what was measured, and keep it as a file and as a picture."""
    found = summary(sent)
    said = found | {"load": wanted.model_dump(), "budgets": [asdict(budget) for budget in judged]}
    write_file_atomically(REPORT, json.dumps(said, indent=2) + "\n")
    draw(sent, wanted)
    print(f"{found['requests']:,} requests, {found['per_second']:,.0f} a second", end=": ")
    print(", ".join(f"p{share} {found[f'p{share}_ms']:.2f} ms" for share in (50, 95, 99)))
    for budget in judged:
        print(budget)
    print(f"Wrote {REPORT} and {PICTURE}")


def memory(pid: int) -> float | None:
    """The most MiB that a process has held; None where this system does not say."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    peak = next((line.split()[1] for line in lines if line.startswith("VmHWM")), None)
    return int(peak) / 1024 if peak else None


def main(
    url: Annotated[
        str | None, typer.Option(help="of a running service (KEY in the environment: its key)")
    ] = None,
) -> None:
    """Put load on a service; ProjectError where it breaks a budget of config/load.toml."""
    settings = load_settings()
    wanted = settings.load
    if url and not (found := readiness(url))[0]:
        raise ProjectError(f"URL {url}: no service answers: {found[1]}")
    requests = bodies(read_data(settings), read_contract(), wanted.rows)
    with nullcontext((url, 0)) if url else service() as (address, process):
        sent = measured(address, requests, wanted, os.environ.get("KEY", ""))
        judged = budgets(sent, memory(process) if process else None, wanted)
    report(sent, judged, wanted)
    if broken := [budget.name for budget in judged if budget.broken]:
        raise ProjectError(f"over budget: {', '.join(broken)}; see {REPORT}, [load]")
