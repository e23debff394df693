# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7,<3", "uvloop>=0.21,<1"]
# ///
"""What the metrics of level 3 cost: the service with them beside the same one without.

uv run --script benchmarks/metrics.py [--rounds N] [--seconds N]
"""

import argparse
import json
import os
import shlex
import tempfile
from contextlib import suppress
from pathlib import Path
from statistics import median

import uvloop
from load import Load, loaded
from peers import project_of, run
from serving import EXAMPLE, Party, plain, start, wait

ROWS = (1, 100, 1000)  # in a request; one connection
SERVE = """
import sys
import uvicorn
from flight_delays.serving import main
from flight_delays.settings import load
found = main.observers
if "without" in sys.argv:
    main.observers = lambda door: [it for it in found(door) if "metrics" not in it.__module__]
uvicorn.run(main.build(), port=load().serving.port, access_log=False)
"""


def measured(project: Path, rounds: int, seconds: float) -> dict[int, list[tuple[Load, Load]]]:
    """The loads with and without metrics, by turns, for each number of rows."""
    python, found = project / ".venv/bin/python", {rows: list[tuple[Load, Load]]() for rows in ROWS}
    row = json.loads(run(python, "-c", EXAMPLE, at=project))
    both = [
        Party(how, f"{python} -c {shlex.quote(SERVE)} {how}", "/predict", plain, port)
        for how, port in (("with", 18231), ("without", 18232))
    ]
    processes = []
    try:
        for party in both:
            processes.append(start(party, project))
            wait(party, processes[-1], row)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        for turn in range(rounds + 1):
            for rows in ROWS:
                order = both if turn % 2 else both[::-1]
                loads = {
                    it.name: uvloop.run(loaded(it.port, it.request(row, rows), 1, seconds))
                    for it in order
                }
                if turn:  # the first one warms up
                    found[rows].append((loads["with"], loads["without"]))
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            process.wait()
    return found


def line(rows: int, turns: list[tuple[Load, Load]]) -> str:
    """A row of the table: all turns together, and the median of the ratios of each turn."""
    ours, bare = (sum((pair[at] for pair in turns), Load()) for at in (0, 1))
    assert not ours.failures and not bare.failures
    cells = [f"{rows}", f"{len(ours.milliseconds)}"]
    for share in (50, 99):
        whole = f"{ours.within(share):.2f} / {bare.within(share):.2f}"
        ratios = sorted(a.within(share) / b.within(share) for a, b in turns)
        spread = f"{ratios[len(ratios) // 4]:.3f}–{ratios[3 * len(ratios) // 4]:.3f}"
        cells += [whole, f"{ours.within(share) / bare.within(share):.3f}"]
        cells += [f"{median(ratios):.3f} ({spread})"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=3)
    asked = parser.parse_args()
    print(f"load {os.getloadavg()[0]:.1f} at the start, {asked.rounds} rounds", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        scratch = Path(name).resolve()
        project = project_of(scratch, 3, "pipeline")
        found = measured(project, asked.rounds, asked.seconds)
    print("| rows | answers | p50 ms | ratio | by turns (quartiles) | p99 ms | ratio | by turns |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for rows, turns in found.items():
        print(line(rows, turns))


if __name__ == "__main__":
    main()
