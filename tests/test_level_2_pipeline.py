"""The pipeline of level 2, proved: it completes, repeats, survives; planted faults are caught."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import commit, fails, Generate, kill_mutant, ok, plant, run, spoil

pytestmark = [pytest.mark.slow]

STEPS = {"ingest", "check", "split", "tune", "train", "evaluate", "gate", "register"}
SRC = Path("src/my_problem")
KILLS = int(os.environ.get("KILLS", "6"))  # each run draws other moments; for long: KILLS=100
SMALL = {
    "MY_PROBLEM_TUNING__TRIALS": "1",
    "MY_PROBLEM_DATA__PATH": "data/sample/flights-2013-0[1-3].csv",
}


@pytest.fixture(scope="module", name="installed")
def _installed(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed project of level 2 with all that it needs."""
    made = generate(maturity_level="2", project_name="My Problem")
    project = tmp_path_factory.mktemp("pipeline") / made.name
    shutil.copytree(made, project, symlinks=True)
    commit(project)
    ok("make", "setup", at=project)
    return project


@pytest.fixture(name="project")
def _project(installed: Path) -> Iterator[Path]:
    """The project as it is committed, with nothing trained; Prefect's database stays."""
    yield installed
    run("git", "reset", "--quiet", "--hard", at=installed)
    run("git", "clean", "--quiet", "-fdx", "-e", ".venv", "-e", ".prefect", at=installed)


def asked(database: Path, query: str) -> list[tuple[str, ...]]:
    """The rows that a query gives."""
    with sqlite3.connect(database) as store:
        return store.execute(query).fetchall()


def flow_runs(project: Path) -> list[tuple[str, ...]]:
    """The id and state of each flow run, the newest first."""
    query = "select id, state_type from flow_run order by created desc"
    return asked(project / ".prefect" / "prefect.db", query)


def task_runs(project: Path) -> dict[str, str]:
    """The state of each task run of the newest flow run."""
    found = asked(
        project / ".prefect" / "prefect.db",
        "select name, state_type from task_run where flow_run_id ="
        " (select id from flow_run order by created desc limit 1)",
    )
    return {name.rsplit("-", 1)[0]: state for name, state in found}


def champion(project: Path) -> str | None:
    """The version that the alias names."""
    query = "select version from registered_model_aliases where alias = 'champion'"
    found = asked(project / "mlflow.db", query) if (project / "mlflow.db").exists() else []
    return str(found[0][0]) if found else None


def versions(project: Path) -> list[tuple[str, ...]]:
    """Every version in the registry, with its run."""
    return asked(project / "mlflow.db", "select version, run_id from model_versions")


def promotions(project: Path) -> list[str]:
    """The lines of the log."""
    log = project / "promotions.jsonl"
    return log.read_text(encoding="utf-8").splitlines() if log.exists() else []


def servers(project: Path) -> list[int]:
    """The processes of Prefect servers that this project has started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            here = (process / "cwd").resolve() == project.resolve()
        except OSError:
            continue
        if here and b"mlops_ladder.pipeline.server" in command:
            found.append(int(process.name))
    return found


def test_the_pipeline_makes_a_champion_and_the_same_rows_no_second_one(project: Path) -> None:
    """All task runs are completed, the run carries the flow run; run again, nothing is added.

    The home of the user cannot be written to, and no server is left behind.
    """
    alone = {**SMALL, "HOME": "/proc/nowhere"}
    said = ok("make", "pipeline", at=project, **alone)
    flow_run, state = flow_runs(project)[0]
    registered = versions(project)
    log = promotions(project)
    assert {line.split()[0] for line in said.splitlines() if line.endswith(" s")} == STEPS
    assert (state, task_runs(project)) == ("COMPLETED", dict.fromkeys(STEPS, "COMPLETED"))
    query = "select run_uuid, replace(value, '-', '') from tags where key = 'prefect.flow_run_id'"
    carried = asked(project / "mlflow.db", query)
    assert registered[0][1] in {run_id for run_id, _ in carried}
    assert {flow for _, flow in carried} == {flow_run.replace("-", "")}
    assert (champion(project), len(log), servers(project)) == ("1", 1, [])
    assert said.rstrip().endswith("Next: make serve")
    assert "Unchanged" in ok("make", "pipeline", at=project, **alone)
    assert (versions(project), promotions(project)) == (registered, log)


@pytest.mark.parametrize(
    ("file", "old", "new", "failed"),
    [
        (
            "pipeline/steps.py",
            "    trained, predictions, results = predict_for_gate",
            "    raise RuntimeError('planted')\n    trained, predictions, results = predict_for_gate",
            "gate",
        ),
        (
            "src/*/pipeline.py",
            "    finish_submitted()",
            "    __import__('prefect').task(name='forgotten')(lambda: 1 / 0).submit()\n"
            "    finish_submitted()",
            "forgotten",
        ),
    ],
)
def test_a_failing_task_fails_the_flow_and_registers_nothing(
    project: Path, file: str, old: str, new: str, failed: str
) -> None:
    """A step that raises, and a submitted task that nobody waits for: both fail all of it."""
    if own := list(project.glob(file)):
        plant(own[0], old, new)
    else:
        spoil(project, file, old, new)
    fails("make", "pipeline", at=project, **SMALL)
    assert flow_runs(project)[0][1] == "FAILED"
    assert task_runs(project)[failed] == "FAILED"
    assert "register" not in task_runs(project)
    assert (versions(project), promotions(project), servers(project)) == ([], [], [])


def test_an_error_of_the_user_is_one_error_without_a_traceback(project: Path) -> None:
    """A contract that the rows break is told in its own words, once, and ends with status 1."""
    plant(project / "contract.toml", "range = [80, 4983]", "range = [800, 4983]\nenforce = true")
    said = run("make", "pipeline", at=project, **SMALL)
    assert said.returncode != 0
    assert said.stderr.count("Error: the data break the contract") == 1
    assert "Traceback" not in said.stdout + said.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (
            "pipeline/tuning.py",
            "data = parts.train, parts.validation,",
            "data = parts.train, parts.holdout,",
        ),
        ("pipeline/tuning.py", "return max(defined,", "return min(defined,"),
        ("model/study.py", "seed=settings.seed, ", ""),
    ],
)
def test_a_search_that_cheats_is_caught_by_the_tests_of_the_library(
    tmp_path: Path, file: str, old: str, new: str
) -> None:
    """Choosing by the held-out rows, taking a worse trial, and searching without a seed."""
    kill_mutant(tmp_path, file, old, new, "pipeline/test_tuning.py")


def test_a_training_repeats_and_a_removed_seed_is_reported(project: Path) -> None:
    """Two trainings and the champion agree to the digit, until chance is let in."""
    ok("make", "pipeline", at=project, **SMALL)
    assert "the champion" in ok("make", "reproduce", at=project, **SMALL)
    plant(project / SRC / "problem.py", '"random_state": settings.seed', '"random_state": None')
    assert "no seed" in fails("make", "reproduce", at=project, **SMALL)
    plant(project / SRC / "problem.py", '"max_leaf_nodes": 8', '"max_features": 0.5')
    assert "the second training differs by" in fails("make", "reproduce", at=project, **SMALL)


def killed(project: Path, chance: random.Random, **environment: str) -> float:
    """Start the pipeline, and kill it at a random moment; the seconds that it had.

    Every other time the moment is one after the gate, where the registry is written to.
    """
    words, late = project / "killed.log", chance.random() < 0.5
    started = time.monotonic()
    with (
        words.open("wb") as out,
        subprocess.Popen(
            [".venv/bin/ladder", "pipeline"],
            cwd=project,
            env=os.environ | SMALL | environment,
            stdout=out,
            stderr=out,
        ) as process,
    ):
        while late and process.poll() is None and b"\ngate " not in words.read_bytes():
            time.sleep(0.01)
        try:
            process.wait(chance.uniform(0, 1.5 if late else 20))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
    return time.monotonic() - started


@pytest.mark.long
def test_a_kill_at_any_moment_leaves_no_champion_that_the_log_does_not_name(project: Path) -> None:
    """After each of some kills the champion is one of the log; the next run succeeds."""
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    print(f"seed {seed}")
    ok("make", "pipeline", at=project, **SMALL)
    for number in range(KILLS):
        model = {"MY_PROBLEM_MODEL": json.dumps({"max_iter": 20 + number})}
        seconds = killed(project, chance, **model)
        known = {json.loads(line)["version"] for line in promotions(project)}
        print(f"kill {number} after {seconds:.1f} s: champion {champion(project)}")
        assert champion(project) in known, f"seed {seed}, kill {number}"
    ok("make", "pipeline", at=project, **SMALL, MY_PROBLEM_MODEL=json.dumps({"max_iter": 60}))
    assert ok("make", "registry", at=project)
    deadline = time.monotonic() + 60
    while left := servers(project):
        assert time.monotonic() < deadline, f"servers that outlive their pipeline: {left}"
        time.sleep(0.2)
