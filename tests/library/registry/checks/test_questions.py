"""Questions: each is a file, about the model that MLflow gives back; a new one is only reported."""

import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.model.training import Trained
from mlops_ladder.project import get_project
from mlops_ladder.registry import checks, gate_checks
from mlops_ladder.registry.gate_checks import CheckContext, GateCheck, CheckResult
from mlops_ladder.settings import Settings
from mlops_ladder.tracking import runs

FILE = '''
from mlops_ladder.registry.gate_checks import CheckResult


def check_candidate(context, settings):
    """Never is it good enough."""
    return CheckResult("refused", f"{len(context.trained.predictions)} rows")
'''


@pytest.fixture(name="added")
def _added(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A question that is one file more, `added.py`, in a folder without TOML files."""
    own = folder / "own" / get_project().package
    (own / "checks").mkdir(parents=True)
    (folder / "config").mkdir(exist_ok=True)
    (own / "checks" / "__init__.py").touch()
    (own / "checks" / "added.py").write_text(FILE, encoding="utf-8")
    package = import_module(get_project().package)
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(own)])
    yield folder
    for name in ("", ".added"):
        sys.modules.pop(f"{get_project().package}.checks{name}", None)


def by_name(contract: Contract) -> dict[str, GateCheck]:
    """The questions of the project, by their names."""
    return {it.name: it for it in gate_checks.list_checks(contract)}


def test_a_file_more_is_a_question_more_that_is_only_reported(
    added: Path, contract: Contract, trained: Trained
) -> None:
    """Until a file of its name says `mode = "enforce"`."""
    new = by_name(contract)["added"]
    assert (
        not new.decides and new.run(CheckContext(trained)).reason == f"{len(trained.holdout)} rows"
    )
    (added / "config/added.toml").write_text('mode = "enforce"\n', encoding="utf-8")
    assert by_name(contract)["added"].decides


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('mode = "perhaps"', "config/slices.toml: mode = 'perhaps'"),
        ("colums = []", "config/slices.toml: colums = "),
        ('columns = ["no such"]', "config/slices.toml: no such: no such column; there are "),
        ("mode =", "config/slices.toml: not valid TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_named(
    folder: Path, contract: Contract, text: str, told: str
) -> None:
    """The file, the key, the value and what it may be, before anything is trained."""
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config/slices.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError, match=told):
        gate_checks.list_checks(contract)


def test_another_contract_takes_out_what_is_about_other_columns(
    folder: Path, contract: Contract, settings: Settings, frame: Any
) -> None:
    """After `make contract` each file is about columns that there are; comments stay."""
    kept = contract.inputs()[0]
    text = f'# yours\ncolumns = ["gone", "{kept}"]\n\n[[slices]]\ncolumn = "gone"\nlow = 1\n'
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config/slices.toml").write_text(text, encoding="utf-8")
    text = f'# yours\ncolumns = ["{kept}"]\n\n'
    assert checks.drop_unknown_columns(settings, frame) == {Path("config/slices.toml"): text}
    Path("config/slices.toml").write_text(text, encoding="utf-8")
    assert "slices" in by_name(contract)


def test_the_answers_are_about_the_artifact_and_stand_in_its_run(
    run: runs.Run, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is the one that MLflow gives back, and says there what it said when trained."""
    seen: list[CheckContext] = []

    def ask(asked: CheckContext) -> CheckResult:
        seen.append(asked)
        return CheckResult("refused", "too bad", {"n": 3, "share": float("nan")})

    def broken(_asked: CheckContext) -> CheckResult:
        raise ValueError("planted")

    asked = [GateCheck("a", False, ask), GateCheck("b", True, broken)]
    hooks = SimpleNamespace(list_gate_checks=lambda contract: [asked])
    monkeypatch.setattr(gate_checks, "get_hooks", lambda: hooks)
    first, second = gate_checks.run_checks(trained, run.run_id, None, None)
    report = json.loads(
        runs.connect_mlflow().artifacts.load_text(f"runs:/{run.run_id}/questions.json")
    )
    assert seen[0].trained.model is not trained.model
    wanted, found = trained.predictions, seen[0].trained.predictions
    assert np.array_equal(found["prediction"], wanted["prediction"])
    assert (first.is_passed, first.decides, first.reason) == (False, False, "a: too bad")
    assert (second.is_passed, second.decides) == (False, True)
    assert second.reason == "b: cannot be answered: ValueError: planted"
    assert report["a"]["evidence"] == {"n": 3, "share": None} and report["a"]["decides"] is False


def test_without_a_question_no_model_is_loaded(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gate without further questions costs what it did."""
    hooks = SimpleNamespace(list_gate_checks=lambda contract: [])
    monkeypatch.setattr(gate_checks, "get_hooks", lambda: hooks)
    assert gate_checks.run_checks(trained, "no such run", None, None) == []


def test_a_declared_question_without_an_answer_is_named(added: Path, contract: Contract) -> None:
    """A file of the project's own questions that is declared and has no `check_candidate`."""
    own = added / "own" / get_project().package / "checks/added.py"
    own.write_text('"""Nothing."""\n', encoding="utf-8")
    (added / "config/added.toml").write_text("", encoding="utf-8")
    with pytest.raises(ProjectError, match="checks/added.py: has no function check_candidate"):
        gate_checks.list_checks(contract)
