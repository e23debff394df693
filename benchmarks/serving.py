# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7,<3", "uvloop>=0.21,<1"]
# ///
"""How fast a generated project serves, beside `mlflow models serve` and FastAPI doing nothing.

uv run --script benchmarks/serving.py [--rounds N] [--seconds N]

One model, trained once.  Each party runs as one worker on one core, the load comes from another.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop
from load import Load, loaded, posted
from peers import environment, HERE, run, snapshot

COOKIECUTTER = f"{shlex.quote(sys.executable)} -m cookiecutter --no-input --default-config"
CONNECTIONS = ((1, 1), (1, 8), (100, 8))  # rows in a request, and connections
PREPARE = """
import hashlib, json
from pathlib import Path
from mlops_ladder.model import training; from mlops_ladder.tracking import runs
from mlops_ladder.data.contract import read_contract
from mlops_ladder.export.bundle import export_bundle
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings
settings, contract = load_settings(), read_contract()
trained = training.train_model(read_data(settings), contract, settings)
run_id, folder = runs.record_training(trained), Path("models/serving")
made = export_bundle(trained, folder / "1", run_id)
sha256 = hashlib.sha256((folder / "1/bundle.json").read_bytes()).hexdigest()
pointer = {"version": "1", "run_id": run_id, "sha256": sha256}
(folder / "champion.json").write_text(json.dumps(pointer))
assert made.runtime == "onnx", made.why
"""


@dataclass
class Party:  # pylint: disable=too-many-instance-attributes  # half is asked, half is found
    """A service: how it is started, where it is asked, and how it wants the rows."""

    name: str
    command: str
    path: str
    form: Any
    port: int
    start: float = 0
    memory: float = 0
    unlogged: int = 0
    loads: dict[tuple[int, int], Load] = field(default_factory=dict)

    def request(self, row: dict[str, Any], rows: int) -> bytes:
        """The request for so many rows."""
        return posted(self.path, json.dumps(self.form([row] * rows)).encode())


def plain(rows: list[dict[str, Any]]) -> Any:
    """A row as an object, more as a list."""
    return rows if len(rows) > 1 else rows[0]


def parties(project: Path, run_id: str) -> list[Party]:
    """Ours, MLflow's and the bare one."""
    programs = project / ".venv/bin"
    mlflow = f"{programs}/mlflow models serve -m runs:/{run_id}/model --env-manager local"
    return [
        Party(
            "mlops-ladder, level 2, with a guard",
            f"{programs}/python {HERE / 'guarded_service.py'}",
            "/predict",
            plain,
            18221,
        ),
        Party(
            "mlflow models serve",
            f"{mlflow} --workers 1 --port 18222",
            "/invocations",
            lambda rows: {"dataframe_records": rows},
            18222,
        ),
        Party(
            "bare FastAPI, constant answer",
            f"{programs}/python {HERE / 'bare_service.py'}",
            "/predict",
            plain,
            18223,
        ),
    ]


def start(party: Party, project: Path) -> subprocess.Popen[bytes]:
    """The process of a party, on the first core."""
    process = subprocess.Popen(  # pylint: disable=consider-using-with  # ended by `measure`
        shlex.split(party.command),
        cwd=project,
        env=environment()
        | {"PORT": str(party.port), "FLIGHT_DELAYS_SERVING__PORT": str(party.port)}
        | {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db", "OMP_NUM_THREADS": "1"}
        | {"PATH": f"{project}/.venv/bin:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
    return process


def wait(party: Party, process: subprocess.Popen[bytes], row: dict[str, Any]) -> None:
    """Wait for the first answer of a party, and note how long that took."""
    begun = time.perf_counter()
    while not answers(party, row):
        if process.poll() is not None or time.perf_counter() - begun > 120:
            raise RuntimeError(f"{party.name}: {party.command}: does not answer")
        time.sleep(0.01)
    party.start = time.perf_counter() - begun


def answers(party: Party, row: dict[str, Any]) -> bool:
    """Does a party answer a request?"""
    try:
        load = uvloop.run(loaded(party.port, party.request(row, 1), 1, 0.001))
    except OSError:
        return False
    return bool(load.milliseconds) and not load.failures


def resident(pid: int) -> float:
    """MiB that a process and all below it hold."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    own = int(status.partition("VmRSS:")[2].split()[0]) / 1024
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()
    return own + sum(resident(int(child)) for child in below)


def unlogged(ours: Party) -> int:
    """How many answered requests our log did not take, as `/health` says."""
    with urllib.request.urlopen(f"http://127.0.0.1:{ours.port}/health") as answer:
        return int(json.load(answer)["observers"]["log"]["dropped"])


def measure(project: Path, rounds: int, seconds: float) -> list[Party]:
    """Every party under every load, by turns."""
    python, pointer = project / ".venv/bin/python", project / "models/serving/champion.json"
    if not pointer.exists():
        run(python, "-c", PREPARE, at=project)
    row = json.loads(run(python, "-c", EXAMPLE, at=project))
    all_ = parties(project, json.loads(pointer.read_text(encoding="utf-8"))["run_id"])
    processes = []
    try:
        for party in all_:
            processes.append(start(party, project))
            wait(party, processes[-1], row)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        for turn in range(rounds + 1):
            for rows, connections in CONNECTIONS:
                for party in all_:
                    request = party.request(row, rows)
                    load = uvloop.run(loaded(party.port, request, connections, seconds))
                    if turn:  # the first one warms up
                        party.loads[rows, connections] = (
                            party.loads.get((rows, connections), Load()) + load
                        )
        for party, process in zip(all_, processes, strict=True):
            party.memory = resident(process.pid)
        all_[0].unlogged = unlogged(all_[0])
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            process.wait()
    return all_


EXAMPLE = """
import json
from mlops_ladder.data.contract import read_contract
from mlops_ladder.serving.schemas import example
contract = read_contract()
row = example(contract)
row |= {name: row[name].removesuffix("Z") for name in contract.inputs("time")}  # as MLflow wants it
print(json.dumps(row))
"""


def table(all_: list[Party]) -> str:
    """Answers a second, p50 and p99 of every party under every load; its start and its memory."""
    heads = [f"{rows} row(s), {count} conn." for rows, count in CONNECTIONS]
    lines = [f"| party | {' | '.join(heads)} | first answer | resident |", "|---" * 6 + "|"]
    for party in all_:
        cells = [
            f"{load.rate:.0f}/s · {load.within(50):.2f} · {load.within(99):.2f} ms"
            for load in party.loads.values()
        ]
        last = f"{party.start:.2f} s | {party.memory:.0f} MiB"
        lines.append(f"| {party.name} | {' | '.join(cells)} | {last} |")
    return "\n".join(lines)


def targets(ours: Party, mlflow: Party, bare: Party) -> list[tuple[str, float, bool]]:
    """Each aim in words, what was measured, and whether it is met."""

    def times(peer: Party, load: tuple[int, int]) -> float:
        return ours.loads[load].rate / peer.loads[load].rate

    late, usual = ours.loads[1, 8].within(99), mlflow.loads[1, 8].within(50)
    failures = sum(load.failures for load in ours.loads.values())
    floor, many = 1 / times(bare, (1, 8)), 1 / times(bare, (100, 8))
    return [
        (
            "1 row: at least 25 × mlflow's requests",
            times(mlflow, (1, 8)),
            times(mlflow, (1, 8)) >= 25,
        ),
        ("100 rows: at least 10 ×", times(mlflow, (100, 8)), times(mlflow, (100, 8)) >= 10),
        ("p99 below mlflow's p50, in ms", late, late < usual),
        ("bare FastAPI at most 1.5 × as fast, 1 row", floor, floor <= 1.5),
        ("bare FastAPI at most 1.5 × as fast, 100 rows", many, many <= 1.5),
        ("first answer within 1 s", ours.start, ours.start < 1),
        ("at most 150 MiB resident", ours.memory, ours.memory <= 150),
        ("no failed request", failures, not failures),
        ("no request that the log dropped", ours.unlogged, not ours.unlogged),
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--project", type=Path, help="one that is set up, instead of a new one")
    options = parser.parse_args()
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    print(f"{len(os.sched_getaffinity(0))} cores, {load}", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        project = options.project
        if not project:
            template = snapshot(HERE.parent, Path(name))
            asked = ("maturity_level=2", "project_name=Flight Delays")
            run(*shlex.split(COOKIECUTTER), template, *asked, at=Path(name))
            project = Path(name) / "flight-delays"
            run("make", "setup", at=project)
        measured = measure(project, options.rounds, options.seconds)
    print(f"\n{table(measured)}\n")
    for words, found, met in targets(*measured):
        print(f"{'met   ' if met else 'MISSED'}  {words}: {found:.2f}")


if __name__ == "__main__":
    main()
