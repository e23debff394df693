"""The command `simulate`: the whole loop in a temporary folder, scenario by scenario."""

import os
import shutil
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
from mlops_ladder.project import get_project
from mlops_ladder.settings import load_settings
from mlops_ladder.simulation import folder
from mlops_ladder.simulation.observations import Story
from mlops_ladder.simulation.page import render_simulation_page
from mlops_ladder.simulation.scenarios import list_scenarios

PAGE = Path("reports/simulation.html")
MAX_PROCESSES = 3  # in parallel: each uses a processor, and up to a gigabyte with its service
COMMAND = f"from {__package__}.runner import main; main()"


def main(
    scenario: Annotated[str | None, typer.Option(help="default: all", metavar="NAME")] = None,
    seed: Annotated[int, typer.Option(help="of all that is drawn")] = 1,
) -> None:
    """Run the scenarios, and write a page; fail if one does not end as expected."""
    known = list_scenarios(get_project().serve)
    if scenario and scenario not in known:
        raise ProjectError(f"SCENARIO={scenario}: no such scenario; there are: {', '.join(known)}")
    if not 0 <= seed < 2**32:
        raise ProjectError(f"SEED={seed}: give a whole number from 0 to {2**32 - 1}")
    names = [scenario] if scenario else known
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
    run_in_folder(base)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_PROCESSES)) as pool:
        return list(pool.map(lambda name: run_scenario(base, name), names))


def run_scenario(base: Path, name: str) -> Story:
    """Run a scenario in a copy of the first champion's folder; print and return its story."""
    place = base.parent / name
    shutil.copytree(base, place, ignore=shutil.ignore_patterns("mlruns", "mlartifacts", ".prefect"))
    run_in_folder(place, name)
    story: Story = joblib.load(place / folder.STORY)
    print(f"{story}\n", flush=True)
    return story


def run_in_folder(place: Path, *arguments: str) -> None:
    """Run a process of the simulation.  Raise ProjectError with its last lines if it fails."""
    store = f"sqlite:///{place}/mlflow.db"  # an absolute path: each folder has its own
    environment = folder.build_environment() | {"MLFLOW_TRACKING_URI": store}
    options: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "errors": "replace"}
    command = [sys.executable, "-c", COMMAND, *arguments]
    options |= {"cwd": place, "env": environment}
    process = subprocess.run(command, check=False, encoding="utf-8", **options)
    if process.returncode:
        last_lines = process.stdout.strip()[-1500:]
        raise ProjectError(f"make simulate: it has ended early: {last_lines}")


def describe_page(base: Path, seed: int) -> str:
    """Return the note about all scenarios."""
    return (
        f"Real rows of this project, drawn with seed {seed}; the answers of a part are made up"
        f" where something changes.  {joblib.load(base / folder.WORLD).axis} is what shifts. "
        " The parts that ran are those that run in production; the days are simulated."
    )
