"""`make maturity-deep`: all is tried in a copy; a machine that catches nothing is found out."""

import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from checks import CHECKS, Unknown, grading
from checks.repository import Repository
from checks.sandbox import Copy
from conftest import DRAW, MANIFEST, Generate, commit, files, ok, outside_make, run
from faults import MACHINES, Fault

# pylint: disable=protected-access  # a copy is used for many machines; what they share is kept
TRAINING = set(
    "doc.modelcard model.eval model.tune pipeline.flow registry.gate tracking.runs".split()
)
TRAINING |= {"registry.rollback"}
NEED_DOCKER = {"cd.deploy", "cd.promote", "doc.runbook"}
pytestmark = pytest.mark.slow
DEEP = ("uv", "run", "--quiet", "--script", "tools/maturity.py", "--deep")


@pytest.fixture(name="made", scope="module")
def _made(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """`made(2)`: a committed project of level 2, the same one each time."""

    @cache
    def made(level: int) -> Path:
        folder = tmp_path_factory.mktemp("deep") / "project"
        shutil.copytree(generate(maturity_level=str(level)), folder)
        commit(folder)
        return folder

    return made


@pytest.fixture(name="project", scope="module")
def _project(made: Callable[[int], Path]) -> Path:
    """A committed project of level 2."""
    return made(2)


def written(project: Path) -> dict[str, bytes]:
    """The files of a project but the evidence, and what Python has compiled of the tool."""
    found = files(project).items()
    return {
        name: text for name, text in found if not {".maturity", "__pycache__"} & {*name.split("/")}
    }


def tried(levels: range, number: int) -> list[str]:
    """The capabilities of these levels that a deep run tries in a fresh project: some, or all."""
    asked = {"cloud", "people"}  # what a fresh project has only where an answer asks for it
    known = {
        name: it["level"]
        for name, it in MANIFEST["capabilities"].items()
        if it.get("if") not in asked
    }
    tries = {check.capability for check in CHECKS if check.kind in ("trial", "fault")}
    here = sorted(name for name, level in known.items() if level in levels and name in tries)
    forges = {"ci.review"} if 2 in levels else set()  # it has no trial: the forge is asked
    assert {name for name, level in known.items() if level in levels} - {*here} == forges
    return here if DRAW == "all" else random.Random(DRAW).sample(here, number)


@pytest.mark.parametrize(("level", "lowest", "number"), [(2, 0, 4), (4, 3, 3)])
def test_what_is_here_is_exercised_in_a_fresh_project_and_nothing_in_it_changes(
    made: Callable[[int], Path], level: int, lowest: int, number: int
) -> None:
    """Every trial passes and every fault is caught; what needs Docker is unknown where there is none."""
    grading.load()
    project = made(level)
    before, chosen = written(project), tried(range(lowest, level + 1), number)
    done = run(*DEEP, "--only", *chosen, "--seed", "7", "--json", at=project)
    assert "seed 7" in done.stderr, done.stderr
    found = json.loads(done.stdout)
    grades = {it["id"]: it["grade"] for it in found["capabilities"]}
    docker = NEED_DOCKER if run("docker", "info", at=project).returncode else set()
    docker &= {*chosen}
    exercised = {name for name in grades if grades[name] == "exercised"}
    assert exercised == {*chosen} - docker, done.stderr
    assert (found["equipped"], done.returncode) == (level, 2 if docker else 0)
    assert written(project) == before and ok("git", "status", "--short", at=project) == ""
    shown = run(*DEEP[:-1], "--json", at=project).stdout
    recalled = {it["id"]: it["grade"] for it in json.loads(shown)["capabilities"]}
    assert recalled == grades


def test_an_interrupted_run_leaves_nothing_behind(project: Path, tmp_path: Path) -> None:
    """Ctrl-C in the middle: no copy stays, no process, and the project is as it was."""
    before = written(project)
    process = subprocess.Popen(
        [*DEEP, "--only", "tracking.runs"],
        cwd=project,
        env=outside_make() | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while not list(tmp_path.glob("maturity-*/copy/.venv")) and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert list(tmp_path.glob("maturity-*")) == [] and written(project) == before
    left = run("pgrep", "--full", str(tmp_path), at=project).stdout
    assert left == ""


@pytest.fixture(name="copy", scope="module")
def _copy(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """A copy of the project with an environment, as a deep run makes it."""
    grading.load()
    made = Copy(Repository(project), tmp_path_factory.mktemp("copy"), 7)
    made.must("make", "setup")
    yield made


def broken_promises(copy: Copy, name: str) -> list[str]:
    """What the trials and faults of a capability find wrong."""
    wrong: list[str] = []
    for check in CHECKS:
        if check.capability == name and check.kind in ("trial", "fault") and not wrong:
            copy.reset()
            try:
                wrong.extend(check.find(copy))
            except Unknown:
                pass
    return wrong


@pytest.mark.drawn(6)
@pytest.mark.parametrize("fault", MACHINES, ids=lambda it: it.name)
def test_a_machine_that_catches_nothing_is_found_out(
    copy: Copy, tmp_path: Path, fault: Fault
) -> None:
    """What a deep run plants is not caught, or what it tries does not work: the capability falls.

    By its files alone no other capability has another grade than before.
    """
    start, made, saved = copy._start, copy._made, copy._saved
    copy.reset()
    before = {it.id: it.grade for it in grading.assess(copy.repository).capabilities}
    try:
        fault.plant(copy.root)
        copy.must("git", "commit", "--quiet", "--all", "--no-verify", "--message", "A fault")
        copy._start = copy.must("git", "rev-parse", "HEAD").strip()
        if fault.lowers in TRAINING:
            copy._made, copy._saved = {}, tmp_path / "saved"
        after = {it.id: it.grade for it in grading.assess(copy.repository).capabilities}
        assert {name for name in after if after[name] != before[name]} <= {fault.lowers}
        assert broken_promises(copy, fault.lowers)
    finally:
        copy._start, copy._made, copy._saved = start, made, saved
