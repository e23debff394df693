"""The gate's questions: on the sample, on own data of each kind, and with faults planted."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import commit, Generate, ok, plant

from mlops_ladder.maturity import grading
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.trials.project import QUESTIONS as SCRIPT

QUESTIONS = ("behaviour", "fairness", "slices")
SIGNS = [
    ("config/slices.toml", 'mode = "enforce"', 'mode = "report"', "model.slices"),
    ("config/behaviour.toml", 'mode = "enforce"', 'mode = "report"', "model.behaviour"),
    ("config/fairness.toml", 'mode = "enforce"', 'mode = "report"', "model.fairness"),
    ("config/fairness.toml", 'groups = ["origin"]', "groups = []", "model.fairness"),
]
ASK = """
import json
from mlops_ladder.data.contract import read_contract
from mlops_ladder.model import training
from mlops_ladder.problem import read_data
from mlops_ladder.registry.gate_checks import CheckContext, list_checks, run_check
from mlops_ladder.settings import load_settings

settings, contract = load_settings(), read_contract()
frame = read_data(settings)
trained = training.train_model(frame, contract, settings)
context = CheckContext(trained, trained.predictions, frame)
results = {check.name: run_check(check, context) for check in list_checks(contract)}
print(json.dumps({name: [it.verdict, it.reason] for name, it in results.items()}))
"""


def grades(project: Path) -> dict[str, str]:
    """The grade of each capability."""
    return {it.id: it.grade for it in grading.assess(Repository(project)).capabilities}


@pytest.fixture(name="fresh", scope="module")
def _fresh(generate: Generate) -> Path:
    """A project of level 3 whose predictions affect people."""
    return generate(maturity_level="3", affects_people="yes")


@pytest.mark.slow
@pytest.mark.parametrize(("name", "old", "new", "lowered"), SIGNS)
def test_a_question_that_refuses_nobody_is_seen(
    fresh: Path, tmp_path: Path, name: str, old: str, new: str, lowered: str
) -> None:
    """A file that takes the teeth out of the gate lowers exactly its capability."""
    project = tmp_path / "project"
    shutil.copytree(fresh, project)
    commit(project)
    before = grades(project)
    plant(project / name, old, new)
    after = grades(project)
    assert {it for it in after if after[it] != before[it]} == {lowered}
    assert (before[lowered], after[lowered]) == ("present", "declared")


def test_without_people_there_is_nothing_about_fairness(generate: Generate) -> None:
    """No file, no module, no test of it, and the other questions are there."""
    project = generate(maturity_level="3")
    assert not [path for path in project.rglob("*fairness*") if "tools" not in path.parts]
    assert (project / "config/slices.toml").exists() and (
        project / "config/behaviour.toml"
    ).exists()


@pytest.fixture(name="project", scope="module")
def _project(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a project whose pipeline has run, in an environment of its own."""
    folder = tmp_path_factory.mktemp("asked") / "project"
    shutil.copytree(fresh, folder)
    commit(folder)
    ok("make", "pipeline-smoke", at=folder)
    return folder


def inside(project: Path, *words: str) -> Any:
    """What a question of `maturity/inside` is answered."""
    told = ok(".venv/bin/python", "-P", SCRIPT, *words, at=project)
    return json.loads(told.splitlines()[-1])


@pytest.mark.slow
def test_the_sample_passes_and_its_run_says_so(project: Path) -> None:
    """The gate's report and the log of promotions name each question with its verdict."""
    log = (project / "promotions.jsonl").read_text(encoding="utf-8").splitlines()
    said = json.loads(log[-1])["verdict"]
    passed = {"verdict": "passed", "decides": True}
    assert said["evidence"]["questions"] == dict.fromkeys(QUESTIONS, passed)
    assert [it for it in said["reasons"] if it.startswith("slices: 12 slices")]
    (report,) = project.glob("mlruns/*/*/artifacts/questions.json")
    found = json.loads(report.read_text(encoding="utf-8"))
    assert {it["slice"] for it in found["slices"]["evidence"]["slices"]} >= {"origin = JFK"}
    ok("make", "card", at=project)
    card = (project / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert all(f"docs/model_card/{name}.png" in card for name in QUESTIONS)


@pytest.mark.slow
def test_a_model_bad_for_some_rows_is_refused_and_the_champion_stays(project: Path) -> None:
    """Good on the whole, better than the champion, and wrong about one airline: refused."""
    found = inside(project, "gate", "propose_spoiled_model", "slices")
    refusals = {it.split(":")[0] for it in found["reasons"] if it.endswith(": no")}
    assert found["gain"] > 0 and found["champion"] == found["before"]
    assert (refusals, found["spoilt"]) == ({"slices", "fairness"}, "carrier = B6")


@pytest.mark.slow
def test_an_inverted_model_is_refused(project: Path) -> None:
    """A direction that the model keeps refuses its opposite."""
    found = inside(project, "gate", "judge_inverted_model")
    ok("git", "checkout", "config/behaviour.toml", at=project)
    assert (found["honest"], found["turned"]) == (["passed", True], ["refused", True])


def own(kind: str) -> str:
    """A CSV of three classes, of numbers, or of ten rows."""
    rows = ["größe,farbe,ziel"]
    for n in range(10 if kind == "few" else 6000):
        size, colour = n * 7 % 100, ("rot", "grün", "")[n % 3]
        answer = {"numbers": str(size * 1.5 + 0.5 + n % 5)}.get(kind, f"Klasse {size // 34}")
        rows.append(f"{'' if n % 20 == 0 else size},{colour},{answer}")
    return "\n".join(rows) + "\n"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["classes", "numbers", "few"])
def test_own_data_get_answers_to_every_question(project: Path, tmp_path: Path, kind: str) -> None:
    """Three classes, a regression, ten rows: verdicts without an edit; of ten rows none is a judgement."""
    here = tmp_path / "own"
    shutil.copytree(
        project, here, ignore=shutil.ignore_patterns(".venv", "mlruns", "models", "src")
    )
    (here / "own.csv").write_text(own(kind), encoding="utf-8")
    python = str(project / ".venv/bin/python")
    made = ("-m", "mlops_ladder", "contract", "--data", "own.csv", "--target", "ziel")
    assert "config/fairness.toml" in ok(python, *made, at=here)
    assert "groups = []" in (here / "config/fairness.toml").read_text(encoding="utf-8")
    plant(here / "config/fairness.toml", "groups = []", 'groups = ["farbe"]')
    found = json.loads(ok(python, "-c", ASK, at=here).splitlines()[-1])
    few = kind == "few"
    assert found["slices"][0] == found["fairness"][0] == ("not enough rows" if few else "passed")
    assert found["behaviour"][0] == "passed", found["behaviour"]
