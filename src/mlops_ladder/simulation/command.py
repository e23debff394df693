"""The command `simulate`: the whole loop in a throw-away folder, scenario by scenario."""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import joblib
import typer

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data.contract import read_contract
from mlops_ladder.settings import load_settings
from mlops_ladder.simulation.folder import environment, prepare, scenario_place, STORY, WORLD
from mlops_ladder.simulation.observations import Story
from mlops_ladder.simulation.page import page
from mlops_ladder.simulation.scenarios import SCENARIOS

PAGE = Path("reports/simulation.html")
MOST = 3  # processes at once: each takes a processor, and up to a gigabyte with its service
COMMAND = f"from {__package__}.runner import main; main()"


def main(
    scenario: Annotated[
        str | None, typer.Option(help="one of them (default: all)", metavar="NAME")
    ] = None,
    seed: Annotated[int, typer.Option(help="of all that is drawn")] = 1,
) -> None:
    """Live through the scenarios; ProjectError where one does not end as it should."""
    if scenario and scenario not in SCENARIOS:
        known = ", ".join(SCENARIOS)
        raise ProjectError(f"SCENARIO={scenario}: no such scenario; there are: {known}")
    if not 0 <= seed < 2**32:
        raise ProjectError(f"SEED={seed}: give a whole number from 0 to {2**32 - 1}")
    names = [scenario] if scenario else list(SCENARIOS)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="simulate-") as place:
        base = Path(place).resolve() / "base"
        base.mkdir()
        prepare(base, load_settings(), read_contract(), seed)
        stories = lived(base, names)
        write_file_atomically(PAGE, page(stories, about(base, seed)))
    seconds = time.perf_counter() - started
    if wrong := [f"{it.name}: {line}" for it in stories for line in it.wrong]:
        raise ProjectError("\n  ".join([f"not as it should be, see {PAGE}", *wrong]))
    print(f"All as it should be, in {seconds:.0f} s; nothing of the project has changed.")
    print(f"Next: open {PAGE}")


def lived(base: Path, names: list[str]) -> list[Story]:
    """The first champion, and then each scenario; processes share them, as processors allow.

    Raises ProjectError with the last words of one that does not get to its end.
    """
    print(f"{load_settings().about.question}\nThe first champion learns ...\n", flush=True)
    inside(base)
    count = min(len(names), os.cpu_count() or 1, MOST)
    with ThreadPoolExecutor(count) as pool:
        shares = [names[at::count] for at in range(count)]
        list(pool.map(lambda share: inside(base, *share), shares))
    return [joblib.load(scenario_place(base, name) / STORY) for name in names]


def inside(base: Path, *names: str) -> None:
    """Have a process live in the folder, by its clock; each of its timelines is printed at once.

    Raises ProjectError with its last words where it fails.
    """
    command, block = [sys.executable, "-c", COMMAND, *names], list[str]()
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors,
        subprocess.Popen(
            command, cwd=base, env=environment(), stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        for line in process.stdout or ():
            block.append(line)
            if not line.strip():
                print("".join(block), end="", flush=True)
                block.clear()
        if process.wait():
            errors.seek(0)
            said = errors.read().strip()[-1500:]
            raise ProjectError(f"make simulate: it has ended early: {said}")


def about(base: Path, seed: int) -> str:
    """What the page says of all scenarios."""
    return (
        f"Real rows of this project, drawn with seed {seed}; the answers of a part"
        f" are made up where something changes.  {joblib.load(base / WORLD).axis} is what shifts. "
        " The parts that ran are those that run in production; the days are simulated."
    )
