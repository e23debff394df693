"""Registry, gate and rollback of level 2, proved: by really different models, kills and faults."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import commit, fails, Generate, kill_mutant, ok, plant, run

pytestmark = [pytest.mark.slow]

SMALL = {"MY_PROBLEM_TUNING__TRIALS": "1"}
# One tree that splits once, and forty: really different models of the same rows.
WORSE = {"MY_PROBLEM_MODEL": json.dumps({"max_iter": 1, "max_leaf_nodes": 2})}
BETTER = {"MY_PROBLEM_MODEL": json.dumps({"max_iter": 40})}
KILLED = """
import os, signal, sys
from mlops_ladder import main
from mlops_ladder.registry import history, publishing, versions

step, left = sys.argv[1], int(sys.argv[2])
module = next(it for it in (versions, history, publishing) if hasattr(it, step))
real = getattr(module, step)

def killed(*arguments):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)

setattr(module, step, killed)
sys.argv = ["ladder", "rollback"]
sys.exit(main())
"""
STEPS = [
    ("ensure_bundle", 0),
    ("write_decision", 0),
    ("append_entry", 0),
    ("set_alias", 0),
    ("set_alias", 1),
    ("publish_entry", 0),
]


@pytest.fixture(scope="module", name="promoted")
def _promoted(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose poor first model was replaced by a better one."""
    made = generate(maturity_level="2", project_name="My Problem")
    project = tmp_path_factory.mktemp("registry") / made.name
    shutil.copytree(made, project, symlinks=True)
    commit(project)
    ok("make", "pipeline", at=project, **SMALL, **WORSE)
    ok("make", "pipeline", at=project, **SMALL, **BETTER)
    return project


@pytest.fixture(name="project")
def _project(promoted: Path, tmp_path: Path) -> Iterator[Path]:
    """That project; registry, log and what is served are brought back after the test."""
    kept = ["mlflow.db", "promotions.jsonl", "models"]
    for name in kept:
        ok("cp", "-R", str(promoted / name), str(tmp_path / name), at=promoted)
    yield promoted
    for name in kept:
        ok("rm", "-rf", str(promoted / name), at=promoted)
        ok("cp", "-R", str(tmp_path / name), str(promoted / name), at=promoted)
    run("git", "checkout", "--quiet", ".", at=promoted)


def log(project: Path) -> list[dict[str, str]]:
    """The decisions of the log."""
    return [json.loads(line) for line in (project / "promotions.jsonl").open(encoding="utf-8")]


def state(project: Path) -> dict[str, str]:
    """The version that each alias names, and the one that is served."""
    with sqlite3.connect(project / "mlflow.db") as store:
        query = "select alias, version from registered_model_aliases where alias != 'candidate'"
        names = {alias: str(version) for alias, version in store.execute(query)}
    said = json.loads((project / "models/serving/champion.json").read_text(encoding="utf-8"))
    return names | {"version": said["version"]}


def test_a_worse_model_is_refused_and_a_better_one_accepted(project: Path) -> None:
    """The second, better model is champion; the first one again is refused, with numbers."""
    assert [it["action"] for it in log(project)] == ["promote", "promote"]
    assert state(project) == {"champion": "2", "previous": "1", "version": "2"}
    worst = {"MY_PROBLEM_MODEL": json.dumps({"max_iter": 2, "max_leaf_nodes": 2})}
    printed = ok("make", "pipeline", at=project, **SMALL, **worst)
    assert "against champion v2: gain -" in printed and "more than 0 needed: no" in printed
    assert log(project)[-1]["action"] == "refuse"
    assert state(project)["champion"] == "2"


@pytest.mark.long
def test_a_rollback_is_not_undone_by_the_same_training(project: Path) -> None:
    """After a rollback the same training is refused; a second rollback brings the model back."""
    ok("make", "rollback", at=project)
    assert state(project) == {"champion": "1", "previous": "2", "version": "1"}
    printed = ok("make", "pipeline", at=project, **SMALL, **BETTER)
    assert "has rolled back; `make rollback TO=2` makes it champion again: no" in printed
    ok("make", "rollback", at=project)
    assert state(project) == {"champion": "2", "previous": "1", "version": "2"}


def test_a_champion_whose_code_was_renamed_is_compared_all_the_same(project: Path) -> None:
    """A function of `problem.py` is renamed: what is served answers, and a worse model is refused.

    `make publish` then serves, and names what `make predict` cannot load; no traceback.
    """
    problem = project / "src/my_problem/problem.py"
    plant(problem, "calendar(", "timetable(")
    plant(problem, "FunctionTransformer(calendar)", "FunctionTransformer(timetable)")
    printed = ok("make", "pipeline", at=project, **SMALL, **WORSE)
    assert "against champion v2: gain -" in printed and "more than 0 needed: no" in printed
    assert state(project) == {"champion": "2", "previous": "1", "version": "2"}
    printed = run("make", "publish", at=project)
    assert "Traceback" not in printed.stdout + printed.stderr


@pytest.mark.parametrize(("step", "passed"), [*STEPS, ("mark_applied", 0)])
def test_a_kill_at_each_step_is_made_good(project: Path, step: str, passed: int) -> None:
    """SIGKILL before each step of a rollback: champion is logged, and the next command finishes."""
    command = [".venv/bin/python", "-c", KILLED, step, str(passed)]
    done = subprocess.run(command, cwd=project, env=os.environ, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert state(project)["champion"] in {it["version"] for it in log(project)}
    assert "All is as the gate left it" in ok("make", "registry", at=project)
    unwritten = {"champion": "2", "previous": "1", "version": "2"}
    finished = {"champion": "1", "previous": "2", "version": "1"}
    assert state(project) == (
        unwritten if step in ("ensure_bundle", "write_decision") else finished
    )


def test_an_alias_moved_by_hand_stops_the_gate(project: Path) -> None:
    """MLflow's client moves `champion`: named, refused by the pipeline, put back by the way out."""
    code = (
        "from mlops_ladder.registry import versions;"
        "versions.get_client().set_registered_model_alias(versions.model_name(), 'champion', '1')"
    )
    ok(".venv/bin/python", "-c", code, at=project)
    told = "alias champion: it names version 1; the gate decided on 2"
    assert told in fails("make", "registry", at=project)
    assert told in fails("make", "pipeline", at=project, **SMALL, **BETTER)
    ok("make", "registry", "REPAIR=yes", at=project)
    assert state(project) == {"champion": "2", "previous": "1", "version": "2"}


def test_another_machine_serves_what_the_registry_says(project: Path) -> None:
    """With neither log nor bundles, `make publish` brings both; a changed bundle is found."""
    ok("rm", "-rf", "promotions.jsonl", "models/serving", at=project)
    ok("make", "publish", at=project)
    assert state(project)["version"] == "2" and len(log(project)) == 2
    (model,) = (project / "models/serving/2").glob("model.*")
    model.write_bytes(b"another")
    assert f"{model.relative_to(project)}: changed" in fails("make", "registry", at=project)
    ok("make", "publish", "registry", at=project)


MUTANTS = {
    "equal models welcome": ("registry/gate.py", "gain.value > least", "gain.value >= least"),
    "errors welcome": ("registry/gate.py", "value <= floor if lower", "value >= floor if lower"),
    "the verdict ignored": ("registry/promotion.py", "if not verdict.accepted:", "if False:"),
    "an alias before the log": (
        "registry/decisions.py",
        "    versions.write_decision(entry)\n    history.append_entry(entry)\n",
        "    versions.write_decision(entry)\n",
    ),
    "aliases not compared": ("registry/decisions.py", "if names != right:", "if False:"),
    "evidence not compared": ("registry/history.py", "sound and entry.short", "entry.short"),
    "a bundle not verified": (
        "registry/publishing.py",
        "hashes.get(name) != digest",
        "name not in hashes",
    ),
    "a rollback forgotten": (
        "registry/champion.py",
        "in filter(None, (",
        "in filter(None, () and (",
    ),
    "an unpaired draw": (
        "model/resampling.py",
        "times = np.bincount(random",
        "times = np.ones(rows) + 0 * np.bincount(random",
    ),
}


@pytest.mark.long
@pytest.mark.drawn(2)
@pytest.mark.parametrize("name", MUTANTS)
def test_the_tests_of_the_library_catch_a_fault_in_the_gate(tmp_path: Path, name: str) -> None:
    """A fault planted in gate or registry turns the tests of the library red."""
    kill_mutant(tmp_path, *MUTANTS[name])
