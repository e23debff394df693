"""Level 4: `make simulate` lives through the whole loop, harms nothing, and can fail."""

import json
import shutil
from importlib.resources import files as packaged
from pathlib import Path

import pytest
from conftest import commit, fails, files, Generate, ok, plant, run
from engines import beside

pytestmark = pytest.mark.slow
SCENARIOS = {  # with what has to happen in each
    "no_drift": "drift: none",
    "covariate_drift": "rollout: promote v2",
    "concept_drift": "rollout: promote v2",
    "broken_data": "trigger: veto",
    "worse_candidate": "gate: refuse v2",
    "bad_canary": "rollout: abort v2",
    "batch_drift": "gate: promote v2",
}
SMALL = {"FLIGHT_DELAYS_TUNING__TRIALS": "2"}
UNREAD = (".venv/", "reports/", "uv.lock")


@pytest.fixture(name="project", scope="module")
def _project(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh project of level 4, installed."""
    project = tmp_path_factory.mktemp("simulated") / "project"
    run("cp", "-r", str(generate(maturity_level="4")), str(project), at=project.parent)
    commit(project)
    ok("make", "setup", at=project)
    return project


def kept(project: Path) -> dict[str, bytes]:
    """All that a user has in the project."""
    found = files(project).items()
    return {
        name: content
        for name, content in found
        if not name.startswith(UNREAD) and "__pycache__" not in name
    }


@pytest.mark.drawn(2)
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_whole_loop_runs_and_no_request_fails(project: Path, name: str) -> None:
    """Data shift, drift is found, a training, the gate, a canary, a promotion; no Docker."""
    before = kept(project)
    said = ok("make", "simulate", f"SCENARIO={name}", at=project)
    page = (project / "reports/simulation.html").read_text(encoding="utf-8")
    assert said.count("\n  as expected") == said.count(" requests, 0 failed;") == 1
    assert SCENARIOS[name] in said
    assert page.count("<img") == 1 and "http://" not in page
    assert kept(project) == before


def test_a_loop_that_does_not_close_fails_and_is_named(project: Path) -> None:
    """With no run a week nothing is learned; a scenario that there is not is refused."""
    plant(project / "config/triggers.toml", "runs_per_week = 3", "runs_per_week = 0")
    said = fails("make", "simulate", "SCENARIO=covariate_drift", at=project)
    plant(project / "config/triggers.toml", "runs_per_week = 0", "runs_per_week = 3")
    assert "covariate_drift: training: budget, expected run" in said
    assert "covariate_drift: serves: v1, expected v2" in said
    assert "there are: no_drift" in fails("make", "simulate", "SCENARIO=sun", at=project)


def test_without_a_service_the_loop_is_of_batches(generate: Generate, tmp_path: Path) -> None:
    """The file after the training is scored by the new champion; a lost one is named."""
    shutil.copytree(generate(maturity_level="4", serve="batch"), tmp_path / "project")
    commit(tmp_path / "project")
    said = ok("make", "setup", "simulate", at=tmp_path / "project")
    assert "9 requests, 0 failed; serves v2\n  as expected" in said
    wrong = fails("make", "simulate", "SCENARIO=bad_canary", at=tmp_path / "project")
    assert "no such scenario; there are: batch_drift" in wrong


def test_the_bill_of_materials_is_what_its_schema_wants(project: Path) -> None:
    """Libraries, model and data of a real champion; a component without a name is found."""
    ok("make", "pipeline", "sbom", at=project, **SMALL)
    path = project / "reports/sbom.json"
    bill = path.read_text(encoding="utf-8")
    # No formats: to take every URL of a wheel apart takes many minutes.
    schema = str(packaged("cyclonedx.schema") / "_res/bom-1.6.SNAPSHOT.schema.json")
    judge = [beside("check-jsonschema"), "--disable-formats", "*", "--schemafile", schema]
    ok(*judge, str(path), at=project)
    path.write_text(bill.replace('"name": "pandas"', '"nam": "pandas"', 1), encoding="utf-8")
    assert "'name' is a required property" in fails(*judge, str(path), at=project)
    kinds = {it["type"] for it in json.loads(bill)["components"]}
    assert kinds == {"library", "machine-learning-model", "data"}
