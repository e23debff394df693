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
from conftest import commit, DRAW, files, Generate, LADDER, MANIFEST, ok, outside_make, run
from engines import Engine, VERSION
from faults import Fault, MACHINES

from mlops_ladder.maturity import CHECKS, grading, signs, Unknown
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.sandbox import Copy

# pylint: disable=protected-access  # a copy is used for many machines; what they share is kept
TRAINING = set(
    "doc.modelcard model.eval model.tune pipeline.flow registry.gate tracking.runs".split()
)
TRAINING |= {"registry.rollback"}
NEED_DOCKER = ("cd.deploy", "cd.promote", "doc.runbook")
pytestmark = pytest.mark.slow
LOOK = (LADDER, "maturity")
DEEP = (*LOOK, "--deep", "--yes")


@pytest.fixture(name="made", scope="module")
def _made(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """`made(2)`: a committed project of level 2, the same one each time."""

    @cache
    def made(level: int) -> Path:
        folder = tmp_path_factory.mktemp("deep") / "project"
        shutil.copytree(generate(maturity_level=str(level), python_version=VERSION), folder)
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
    wanted = {name for name, level in known.items() if level in levels}
    forges = {"ci.review"} if 2 in levels else set()  # it has no trial: the forge is asked
    assert wanted - tries == forges
    here = sorted(wanted & tries - {*NEED_DOCKER})
    return here if DRAW == "all" else random.Random(DRAW).sample(here, number)


def is_exercised(project: Path, chosen: list[str], level: int, **environment: str) -> None:
    """A deep run exercises just these, is remembered, and changes nothing."""
    before = written(project)
    done = run(
        *DEEP, "--only", *chosen, "--seed", "7", "--json", "--out", "-", at=project, **environment
    )
    assert "seed 7" in done.stderr and done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    grades = {it["id"]: it["grade"] for it in found["capabilities"]}
    assert {it for it in grades if grades[it] == "exercised"} == {*chosen}, done.stderr
    assert found["equipped"] == level
    assert written(project) == before and ok("git", "status", "--short", at=project) == ""
    shown = json.loads(ok(*LOOK, "--json", "--out", "-", at=project))
    recalled = {it["id"]: it["grade"] for it in shown["capabilities"]}
    assert {*chosen} <= {it for it in recalled if recalled[it] == "exercised"}


@pytest.mark.parametrize(("level", "lowest", "number"), [(2, 0, 3), (4, 3, 2)])
def test_what_is_here_is_exercised_in_a_fresh_project_and_nothing_in_it_changes(
    made: Callable[[int], Path], level: int, lowest: int, number: int
) -> None:
    """Every trial passes and every fault is caught."""
    signs.load_checks()
    is_exercised(made(level), tried(range(lowest, level + 1), number), level)


# Five minutes each, and tests of the levels do the same: it is for `make test-all`.
@pytest.mark.systems
@pytest.mark.drawn(0)
@pytest.mark.parametrize("name", NEED_DOCKER)
def test_what_needs_docker_is_exercised_where_there_is_one(
    made: Callable[[int], Path], engine: Engine, name: str
) -> None:
    """Every trial passes and every fault is caught, by an engine of the tests' own."""
    is_exercised(made(4), [name], 4, **engine.environment)
    assert engine.docker("ps", "--all", "--quiet") == ""
    assert "maturity-" not in engine.docker("images", "--format", "{{.Repository}}")


def test_what_needs_docker_is_unknown_where_there_is_none(project: Path) -> None:
    """It says so, and is not taken for exercised."""
    done = run(*DEEP, "--only", "cd.deploy", at=project, DOCKER_HOST="unix:///proc/nowhere")
    assert done.returncode == 2 and "unknown: no docker" in done.stderr, done.stderr


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
    signs.load_checks()
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


@pytest.mark.drawn(3)
@pytest.mark.parametrize("fault", MACHINES, ids=lambda it: it.name)
def test_a_machine_that_catches_nothing_is_found_out(
    copy: Copy, tmp_path: Path, fault: Fault
) -> None:
    """What a deep run plants is not caught, or what it tries does not work: the capability falls.

    By its files alone no other capability has another grade than before.
    """
    start, made, saved = copy._start, copy._results, copy._saved
    copy.reset()
    before = {it.id: it.grade for it in grading.assess(copy.repository).capabilities}
    try:
        fault.plant(copy.root)
        copy.must("git", "commit", "--quiet", "--all", "--no-verify", "--message", "A fault")
        copy.must("make", "setup")  # a fault may be in the wheel
        copy._start = copy.must("git", "rev-parse", "HEAD").strip()
        if fault.lowers in TRAINING:
            copy._results, copy._saved = {}, tmp_path / "saved"
        after = {it.id: it.grade for it in grading.assess(copy.repository).capabilities}
        assert {name for name in after if after[name] != before[name]} <= {fault.lowers}
        assert broken_promises(copy, fault.lowers)
    finally:
        copy._start, copy._results, copy._saved = start, made, saved
