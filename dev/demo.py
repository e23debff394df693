"""`make demo`: a project that trains, gates, serves, predicts and rolls back; and the whole loop.

The first is of level 2.  The loop, of level 4, is simulated: data shift, drift, a training, the
gate, a canary, a promotion.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from cookiecutter.main import cookiecutter

TEMPLATE = Path(__file__).resolve().parents[1]
FOLDER = TEMPLATE / "demo"
NAME = "flight-delays"
LOOP = "covariate_drift"  # of the six scenarios of `make simulate` the one that goes all the way
PREFIX = "FLIGHT_DELAYS_"
HASTY = {f"{PREFIX}TUNING__TRIALS": "1", f"{PREFIX}MODEL": '{"max_iter": 5}'}
PATIENCE = 30  # seconds in which the service has to answer, and to follow a rollback
GIT = ["git", "-c", "user.name=Demo", "-c", "user.email=demo@example.com"]


def shown(*command: str, at: Path, **environment: str) -> None:
    """Run a command so that a person sees what it prints; end where it fails."""
    set_first = "".join(f"{name}={value!r} " for name, value in environment.items())
    print(f"\n$ {set_first}{' '.join(command)}", flush=True)
    done = subprocess.run(command, cwd=at, env=os.environ | environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def edited(project: Path) -> bool:
    """Has somebody changed the demo since it was made?"""
    changes = ["git", "-C", str(project), "status", "--porcelain"]
    commits = ["git", "-C", str(project), "rev-list", "--count", "HEAD"]
    status = subprocess.run(changes, capture_output=True, text=True, check=False)
    count = subprocess.run(commits, capture_output=True, text=True, check=False)
    return bool(status.stdout.strip()) or count.stdout.strip() != "1"


def free(project: Path) -> None:
    """Make room for a project; one that somebody has changed is left alone."""
    if project.exists() and edited(project):
        sys.exit(f"{project} has changes of yours; move it away, then run make demo again")
    if project.exists():
        shutil.rmtree(project)


def generated(project: Path, level: str) -> None:
    """Generate a project of a level and commit it."""
    place = project.relative_to(TEMPLATE)
    print(f"\nGenerating a level-{level} project in {place} ...", flush=True)
    cookiecutter(
        str(TEMPLATE),
        no_input=True,
        default_config=True,
        extra_context={"maturity_level": level},
        output_dir=str(project.parent),
    )
    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "Start"]):
        subprocess.run([*GIT, *arguments], cwd=project, check=True)


@contextmanager
def serving(project: Path) -> Iterator[str]:
    """The service of the project on a free port; its address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    command = [".venv/bin/ladder", "serve"]  # what `make serve` runs
    print(f"\n$ {PREFIX}SERVING__PORT={port} {' '.join(command)} &", flush=True)
    environment = os.environ | {f"{PREFIX}SERVING__PORT": str(port)}
    with subprocess.Popen(command, cwd=project, env=environment) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def asked(address: str, body: Any = None) -> dict[str, Any]:
    """What the service answers, as soon as it does.  URLError where it does not in time."""
    data = None if body is None else json.dumps(body).encode()
    request = Request(address, data, {"Content-Type": "application/json"})
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(request) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except URLError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def predicted(address: str, row: dict[str, Any]) -> str:
    """Ask for a prediction of one row, show it, and give the version of the model."""
    asked(f"{address}/ready")
    print(f"\n$ curl --json '{json.dumps(row)}' {address}/predict", flush=True)
    found = asked(f"{address}/predict", row)
    print(json.dumps(found))
    return str(found["model_version"])


def main() -> None:
    """A hasty model, a better one, a service that follows them, and a way back; then the loop."""
    started = time.perf_counter()
    project, loop = FOLDER / NAME, FOLDER / "level-4" / NAME
    for made in (project, loop):
        free(made)
    generated(project, "2")
    make = ("make", "--no-print-directory")
    shown(*make, "pipeline", at=project, **HASTY)
    shown(*make, "pipeline", at=project)
    with serving(project) as address:
        document = asked(f"{address}/openapi.json")["paths"]["/predict"]["post"]
        row = document["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]
        newer = predicted(address, row)
        shown(*make, "rollback", at=project)
        until = time.monotonic() + PATIENCE
        while asked(f"{address}/ready")["model_version"] == newer and time.monotonic() < until:
            time.sleep(0.1)
        if predicted(address, row) == newer:
            sys.exit("the service did not follow the rollback")
    seconds = time.perf_counter() - started
    print(f"\nFrom nothing to a served model and back in {seconds:.0f} s.")
    generated(loop, "4")
    shown(*make, "simulate", f"SCENARIO={LOOP}", at=loop)
    print(f"\nAll six scenarios: make simulate in {loop.relative_to(TEMPLATE)}.  Next:")
    print(f"  cd {project.relative_to(Path.cwd())}")
    print("  make serve                                     # and http://127.0.0.1:8000/docs")
    print("  make contract DATA=your.csv TARGET=its-column  # your own data; then make pipeline")


if __name__ == "__main__":
    main()
