# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7,<3"]
# ///
"""What `make pipeline` costs beside the same steps without Prefect, and beside a script by hand.

uv run --script benchmarks/pipeline.py [--rounds N]
"""

import argparse
import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from paired import by_turns, Party, table
from peers import environment, HERE, project_of, run

KEPT = (".venv", ".prefect")
IMPORTS = ("prefect", "mlflow", "mlops_ladder.pipeline.steps", "optuna", "pandera.pandas")


def clean(project: Path) -> None:
    """Take away what a run has left, but not the environment: a copied one is refused."""
    run("git", "clean", "--quiet", "-fdx", *(f"--exclude={name}" for name in KEPT), at=project)


def fresh(project: Path) -> Callable[[Path], object]:
    """A preparation: the project as it is committed, with the environment that it has."""

    def prepared(folder: Path) -> None:
        clean(project)
        folder.mkdir()

    return prepared


def by_step(project: Path, rounds: int) -> list[tuple[str, float]]:
    """The seconds of each step of the pipeline, and those before the first and after the last."""
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        clean(project)
        started = time.perf_counter()
        said = run(project / ".venv/bin/ladder", "pipeline", at=project)
        total = time.perf_counter() - started
        steps = dict(re.findall(r"^(\w+) .* ([\d.]+) s$", said, re.MULTILINE))
        for name, seconds in steps.items():
            found.setdefault(name, []).append(float(seconds))
        rest = total - sum(map(float, steps.values()))
        found.setdefault("imports, Prefect's server, farewell", []).append(rest)
    return [(name, median(values)) for name, values in found.items()]


def imports(project: Path, rounds: int) -> list[tuple[str, float]]:
    """The seconds that each import takes in a process of its own, Python's own start included."""
    python, found = project / ".venv/bin/python", []
    for name in IMPORTS:
        taken = []
        for _ in range(rounds):
            started = time.perf_counter()
            run(python, "-c", f"import {name}", at=project)
            taken.append(time.perf_counter() - started)
        found.append((f"import {name}", median(taken)))
    return found


def main() -> None:
    """Measure, and print one table for the parties and one for the steps."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    print(f"{cores} cores, load {load:.1f} at the start, {rounds} rounds", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        scratch = Path(name).resolve()
        project = project_of(scratch, 2, "pipeline")
        python, ready, there = ".venv/bin/python", fresh(project), f"cd {project} &&"
        parties = [
            Party("mlops-ladder, the pipeline", f"{there} .venv/bin/ladder pipeline", ready),
            Party(
                "the same steps, without Prefect",
                f"{there} {python} {HERE / 'plain_steps.py'}",
                ready,
            ),
            Party(
                "a script by hand: no checks, plots, gate, export",
                f"{there} {python} {HERE / 'tuning_script.py'} data/sample",
                ready,
            ),
        ]
        print(f"\n{table(by_turns(parties, rounds, scratch, environment()))}\n", flush=True)
        for what, seconds in [*by_step(project, rounds), *imports(project, rounds)]:
            print(f"{what:40} {seconds:6.2f} s", flush=True)


if __name__ == "__main__":
    main()
