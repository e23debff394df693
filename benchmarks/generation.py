# /// script
# requires-python = ">=3.11"
# dependencies = ["cookiecutter>=2.7,<3"]
# ///
"""How long the template takes to generate, to reach a trained model, and to climb, beside peers.

uv run --script benchmarks/generation.py [--only generation|model|climb] [--rounds N]
"""

import argparse
import json
import os
import platform
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

from paired import by_turns, Party, table
from peers import committed, environment, HERE, installed, named, plain_template, run, snapshot

Group = tuple[str, int, list[Party]]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
COOKIECUTTER = f"{shlex.quote(sys.executable)} -m cookiecutter --no-input --default-config"
LADDER = shlex.quote(str(HERE.parent / ".venv/bin/ladder"))  # made by `make setup`
LOCKED = ["data/*", "uv.lock"]
PEER_PACKAGES = "scikit-learn pandas pyarrow"


def generated(template: Path, level: str, folder: Path) -> Path:
    """A project of this level, in a new folder."""
    folder.mkdir()
    run(*shlex.split(COOKIECUTTER), template, f"maturity_level={level}", at=folder)
    return folder / "flight-delays"


def generation(template: Path, scratch: Path) -> Iterator[Group]:
    """A project from the template, beside plain cookiecutter over as many files, and Kedro's."""
    kedro = installed(scratch / "kedro", PYTHON, "kedro")
    for level in ("0", "1", "4"):
        project = generated(template, level, scratch / f"project-{level}")
        copying = plain_template(project, scratch / f"copying-{level}", LOCKED)
        rendering = plain_template(project, scratch / f"rendering-{level}", [])
        yield f"Generating level {level}", 15, [
            Party(
                f"mlops-ladder, level {level}", f"{COOKIECUTTER} {template} maturity_level={level}"
            ),
            Party("plain cookiecutter, data and lock copied", f"{COOKIECUTTER} {copying}"),
            Party("plain cookiecutter, all through Jinja", f"{COOKIECUTTER} {rendering}"),
            Party(
                named("kedro", kedro),
                f"{kedro}/kedro new --name 'Flight Delays' --tools none --example n",
            ),
        ]


def model(template: Path, scratch: Path) -> Iterator[Group]:
    """From an empty folder to a trained model, beside a script and Kedro's project."""
    kedro = installed(scratch / "kedro", PYTHON, "kedro")
    sample = generated(template, "1", scratch / "project-1") / "data" / "sample"
    scripts = {"0": ("scikit_learn", PEER_PACKAGES), "1": ("mlflow", f"mlflow {PEER_PACKAGES}")}
    start = f"uv venv --quiet --python {PYTHON} && uv pip install --quiet"
    for level, (name, packages) in scripts.items():
        learn = f".venv/bin/python {HERE / f'{name}_quickstart.py'} {sample}"
        make = "cd flight-delays && make train"
        new = (
            f"{kedro}/kedro new --name 'Flight Delays' --tools none --example n && cd flight-delays"
        )
        yield f"From nothing to a trained model, level {level}", 5, [
            Party(
                f"mlops-ladder, level {level}",
                f"{COOKIECUTTER} {template} maturity_level={level} && {make}",
            ),
            Party(f"{name} quickstart script", f"{start} {packages} && {learn}"),
            Party(
                f"{named('kedro', kedro)}, which trains nothing",
                f"{new} && {start} -r requirements.txt && .venv/bin/kedro registry list",
            ),
        ]


def climb(template: Path, scratch: Path) -> Iterator[Group]:
    """One commit that brings another level, beside `cruft update` with the same answer."""
    same = f"cookiecutter=={version('cookiecutter')}"
    cruft = installed(scratch / "cruft", PYTHON, "cruft", same)
    for old, new in (("0", "1"), ("1", "2"), ("0", "4")):
        project = committed(generated(template, old, scratch / f"from-{old}-to-{new}"))
        answer = json.dumps({"maturity_level": new})
        yield f"Climbing from level {old} to {new}", 9, [
            Party(
                "mlops-ladder, ladder climb",
                f"{LADDER} climb {new}",
                copy_of(project),
            ),
            Party(
                f"{named('cruft', cruft)}, update",
                f"{cruft}/cruft update --variables-to-update '{answer}' -y",
                copy_of(project),
            ),
        ]


def copy_of(project: Path) -> Callable[[Path], object]:
    """A preparation that copies the project, history included."""
    return lambda folder: shutil.copytree(project, folder, symlinks=True)


def machine() -> str:
    """What the numbers were measured on, and with which versions."""
    cores = len(os.sched_getaffinity(0))
    versions = [
        f"cookiecutter {version('cookiecutter')}",
        run("uv", "--version").partition(" (")[0],
    ]
    given = os.environ.get("PYTHONDONTWRITEBYTECODE")
    compiled = f"PYTHONDONTWRITEBYTECODE is {given or 'not set'} here"
    load = f"load {os.getloadavg()[0]:.1f} at the start"
    return (
        f"{cores} cores, {load}, {platform.machine()}, {platform.system()}; "
        f"Python {platform.python_version()}, "
        f"{', '.join(versions)}, {run('git', '--version')}.\n{compiled}, and unset for every party."
    )


MEASURED = {"generation": generation, "model": model, "climb": climb}


def main() -> None:
    """Measure, and print one table for each question."""
    parser = argparse.ArgumentParser(description=str(__doc__).split("\n", maxsplit=1)[0])
    parser.add_argument("--only", choices=MEASURED, action="append", help="may be given again")
    parser.add_argument("--rounds", type=int, help="instead of 15, 5 and 9")
    options = parser.parse_args()
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        scratch = Path(name).resolve()
        template = snapshot(HERE.parent, scratch)
        for question in options.only or MEASURED:
            (scratch / question).mkdir()
            for title, rounds, parties in MEASURED[question](template, scratch / question):
                turns = options.rounds or rounds
                timed = by_turns(parties, turns, scratch, environment())
                print(f"\n### {title} ({turns} rounds)\n\n{table(timed)}", flush=True)


if __name__ == "__main__":
    main()
