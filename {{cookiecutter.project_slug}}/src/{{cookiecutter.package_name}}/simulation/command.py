"""The command `simulate`: the whole loop in a throw-away folder, scenario by scenario."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .. import ProjectError
from ..contract import read_contract
from ..settings import load
from .folder import ERRORS, environment, prepare
from .scenarios import SCENARIOS

PAGE, WRONG = Path("reports/simulation.html"), Path("wrong.json")
COMMAND = f"from {__package__}.inside import main; main()"


def main(arguments: list[str]) -> None:
    """Live through the scenarios; ProjectError where one does not end as it should."""
    parser = argparse.ArgumentParser(prog="simulate", description=main.__doc__)
    parser.add_argument("--scenario", metavar="NAME", help="one of them (default: all)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is drawn")
    asked = parser.parse_args(arguments)
    if asked.scenario and asked.scenario not in SCENARIOS:
        known = ", ".join(SCENARIOS)
        raise ProjectError(f"SCENARIO={asked.scenario}: no such scenario; there are: {known}")
    if not 0 <= asked.seed < 2**32:
        raise ProjectError(f"SEED={asked.seed}: give a whole number from 0 to {2**32 - 1}")
    names = [asked.scenario] if asked.scenario else list(SCENARIOS)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="simulate-") as place:
        base = Path(place).resolve() / "base"
        base.mkdir()
        prepare(base, load(), read_contract(), asked.seed)
        wrong = lived(base, names)
    seconds = time.perf_counter() - started
    if wrong:
        told = "\n  ".join(wrong)
        raise ProjectError(f"not as it should be, see {PAGE}\n  {told}")
    print(f"All as it should be, in {seconds:.0f} s; nothing of the project has changed.")
    print(f"Next: open {PAGE}")


def lived(base: Path, names: list[str]) -> list[str]:
    """What was not as it should be in these scenarios; a process of its own lives through them.

    Raises ProjectError with the last words of one that does not get to its end.
    """
    command = [sys.executable, "-c", COMMAND, *names]
    with (base / ERRORS).open("w", encoding="utf-8") as errors:
        done = subprocess.run(command, cwd=base, env=environment(), stderr=errors, check=False)
    if (page := base / PAGE).exists():
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, PAGE.with_suffix(".part"))
        os.replace(PAGE.with_suffix(".part"), PAGE)
    if done.returncode:
        said = (base / ERRORS).read_text(encoding="utf-8", errors="replace").strip()
        raise ProjectError(f"make simulate: it has ended early: {said[-1500:]}")
    wrong: list[str] = json.loads((base / WRONG).read_text(encoding="utf-8"))
    return wrong
