"""The command `simulate`: the whole loop in a temporary folder, scenario by scenario."""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import joblib
import typer

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data.contract import read_contract
from mlops_ladder.settings import load_settings
from mlops_ladder.simulation import folder
from mlops_ladder.simulation.observations import Story
from mlops_ladder.simulation.page import render_simulation_page
from mlops_ladder.simulation.scenarios import SCENARIOS

PAGE = Path("reports/simulation.html")
MAX_PROCESSES = 3  # in parallel: each uses a processor, and up to a gigabyte with its service
COMMAND = f"from {__package__}.runner import main; main()"


def main(
    scenario: Annotated[str | None, typer.Option(help="default: all", metavar="NAME")] = None,
    seed: Annotated[int, typer.Option(help="of all that is drawn")] = 1,
) -> None:
    """Run the scenarios, and write a page; fail if one does not end as expected."""
    if scenario and scenario not in SCENARIOS:
        scenarios = ", ".join(SCENARIOS)
        raise ProjectError(f"SCENARIO={scenario}: no such scenario; there are: {scenarios}")
    if not 0 <= seed < 2**32:
        raise ProjectError(f"SEED={seed}: give a whole number from 0 to {2**32 - 1}")
    names = [scenario] if scenario else list(SCENARIOS)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="simulate-") as place:
        base = Path(place).resolve() / "base"
        base.mkdir()
        folder.prepare_folder(base, load_settings(), read_contract(), seed)
        stories = run_scenarios(base, names)
        write_file_atomically(PAGE, render_simulation_page(stories, describe_page(base, seed)))
    seconds = time.perf_counter() - started
    if wrong := [f"{story.name}: {line}" for story in stories for line in story.wrong]:
        raise ProjectError("\n  ".join([f"not as it should be, see {PAGE}", *wrong]))
    print(f"All as it should be, in {seconds:.0f} s; nothing of the project has changed.")
    print(f"Next: open {PAGE}")


def run_scenarios(base: Path, names: list[str]) -> list[Story]:
    """Train the first champion, then run the scenarios in parallel processes.

    Raises ProjectError with the last lines of a process that fails.
    """
    print(f"{load_settings().about.question}\nThe first champion learns ...\n", flush=True)
    run_in_process(base)
    count = min(len(names), os.cpu_count() or 1, MAX_PROCESSES)
    with ThreadPoolExecutor(count) as pool:
        shares = [names[at::count] for at in range(count)]
        list(pool.map(lambda share: run_in_process(base, *share), shares))
    return [joblib.load(base.parent / name / folder.STORY) for name in names]


def run_in_process(base: Path, *names: str) -> None:
    """Run scenarios in a process of their own, and print each timeline when it is complete.

    Raises ProjectError with the process's last lines if it fails.
    """
    command, block = [sys.executable, "-c", COMMAND, *names], list[str]()
    options: Any = {"cwd": base, "env": folder.build_environment(), "text": True}
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, **options) as process,
    ):
        for line in process.stdout or ():
            block.append(line)
            if not line.strip():
                print("".join(block), end="", flush=True)
                block.clear()
        if process.wait():
            errors.seek(0)
            last_lines = errors.read().strip()[-1500:]
            raise ProjectError(f"make simulate: it has ended early: {last_lines}")


def describe_page(base: Path, seed: int) -> str:
    """Return the note about all scenarios."""
    return (
        f"Real rows of this project, drawn with seed {seed}; the answers of a part are made up"
        f" where something changes.  {joblib.load(base / folder.WORLD).axis} is what shifts. "
        " The parts that ran are those that run in production; the days are simulated."
    )
