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
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from statistics import quantiles

import uvloop
from load import alternated, Load
from peers import project_of, run
from serving import EXAMPLE, Party, plain, start, wait

ROWS = (1, 100, 1000)  # in a request; one connection to each party, which are asked by turns
PARTIES = ("with", "without", "without-again")  # the last one shows what chance does
PAIRS = ((0, 1), (2, 1))
SERVE = """
import sys
import uvicorn
from mlops_ladder import plugins, project
from mlops_ladder.serving.app import create_service
from mlops_ladder.settings import load_settings
if sys.argv[1] != "with":
    plugins.load_plugins(project.get_project()).unregister(name="metrics")
uvicorn.run(create_service(), port=load_settings().serving.port, access_log=False)
"""


def measured(project: Path, rounds: int, seconds: float) -> dict[int, list[list[Load]]]:
    """The loads of all parties in each round, for each number of rows."""
    python, found = project / ".venv/bin/python", {rows: list[list[Load]]() for rows in ROWS}
    row = json.loads(run(python, "-c", EXAMPLE, at=project))
    all_ = [
        Party(name, f"{python} -c {shlex.quote(SERVE)} {name}", "/predict", plain, port)
        for port, name in enumerate(PARTIES, 18231)
    ]
    processes = []
    try:
        for party in all_:
            processes.append(start(party, project))
            wait(party, processes[-1], row)
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        for turn in range(rounds + 1):
            for rows in ROWS:
                asked = [(it.port, it.request(row, rows)) for it in all_]
                loads = uvloop.run(alternated(asked, seconds))
                if turn:  # the first one warms up
                    found[rows].append(loads)
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 15)
            process.wait()
    return found


def line(rows: int, rounds: list[list[Load]]) -> str:
    """A row of the table: all rounds together, and the spread of what is drawn of them anew."""
    whole = [sum(loads, Load()) for loads in zip(*rounds, strict=True)]
    assert not any(load.failures for load in whole)
    cells = [f"{rows:,}", f"{len(whole[0].milliseconds):,}"]
    for share in (50, 99):
        ours, bare, _ = (load.within(share) for load in whole)
        cells.append(f"{ours:.2f} / {bare:.2f}")
        cells += [
            f"{ratio(whole, *pair, share):.3f} ({spread(rounds, *pair, share)})" for pair in PAIRS
        ]
    return f"| {' | '.join(cells)} |"


def ratio(loads: Sequence[Load], of: int, to: int, share: int) -> float:
    """By how much a party takes longer than another, for this share of the answers."""
    return loads[of].within(share) / loads[to].within(share)


def spread(rounds: list[list[Load]], of: int, to: int, share: int) -> str:
    """Between which ratios 90 % are when rounds are drawn anew (bootstrap, Efron 1979)."""
    random, ratios = Random(0), []
    for _ in range(200):
        drawn = random.choices(rounds, k=len(rounds))
        loads = [
            Load([taken for loads in drawn for taken in loads[at].milliseconds]) for at in (of, to)
        ]
        ratios.append(ratio(loads, 0, 1, share))
    low, *_, high = quantiles(ratios, n=20)
    return f"{low:.3f}–{high:.3f}"


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
    cells = "with / without ms | ratio (90 %) | of two without"
    print(f"| rows | answers of each | p50 {cells} | p99 {cells} |")
    print("|---:" * 8 + "|")
    for rows, loads in found.items():
        print(line(rows, loads))


if __name__ == "__main__":
    main()
