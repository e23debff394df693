"""Level 3 in practice: owners, risks and the datasheet hold, and what is wrong with them is told."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import commit, fails, Generate, ok, plant, python


@pytest.fixture(name="project")
def _project(generate: Generate, tmp_path: Path) -> Path:
    """A committed project of level 3."""
    shutil.copytree(generate(maturity_level="3"), tmp_path / "project")
    commit(tmp_path / "project")
    return tmp_path / "project"


def owners(project: Path) -> tuple[str, ...]:
    """The command that looks at CODEOWNERS."""
    assert (project / "CODEOWNERS").exists()
    return python(), "-m", "mlops_ladder", "owners"


def risks(project: Path) -> tuple[str, ...]:
    """The command that looks at the register of risks."""
    assert (project / "governance/risk.toml").exists()
    return python(), "-m", "mlops_ladder", "risks"


@pytest.mark.slow
@pytest.mark.parametrize("deploy", ["compose", "kubernetes"])
@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_every_file_is_owned(generate: Generate, tmp_path: Path, deploy: str, ci: str) -> None:
    """Also with a name of unicode; with --list each file has a line with its owner."""
    project = tmp_path / "project"
    shutil.copytree(generate(maturity_level="3", deploy=deploy, ci=ci), project)
    (project / "docs/ein Plan für Ada.md").write_text("Ours.\n", encoding="utf-8")
    commit(project)
    listed = ok(*owners(project), "--list", at=project).splitlines()
    assert "each owned" in listed[-1]
    assert any(line.split()[:1] == ["governance/risk.toml"] for line in listed)
    assert sum("ein Plan für Ada" in line and "ada@example.com" in line for line in listed) == 1


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("*                     ada", "/src/   ada", ".cruft.json: nobody owns it"),
        ("/data/                ada@example.com", "/data/", "data/sources.toml: nobody owns it"),
        ("/data/                ada@example.com", "/data/ ada", "'ada' is no @name"),
        ("/data/ ", "/date/ ", "CODEOWNERS: /date/: fits no file"),
    ],
    ids=["no rule for all", "no owner", "no account", "no file"],
)
def test_a_file_that_nobody_owns_is_named(project: Path, old: str, new: str, told: str) -> None:
    """A path without a rule or a name, a name that is none, and a rule for nothing."""
    plant(project / "CODEOWNERS", old, new, 1)
    assert told in fails(*owners(project), at=project)


def test_teams_comments_and_sections_are_understood(project: Path) -> None:
    """As GitHub and GitLab write them."""
    text = "[Docs] @us/docs\n* @ada @us/a-team # all\n/docs/ @us/docs\n"
    (project / "CODEOWNERS").write_text(text, encoding="utf-8")
    assert "by 3 in all" in ok(*owners(project), at=project)


@pytest.mark.parametrize("people", ["no", "yes"])
def test_every_risk_has_a_control_that_is_there(generate: Generate, people: str) -> None:
    """In a fresh project, with its own level of risk."""
    project = generate(maturity_level="3", affects_people=people)
    said = ok(*risks(project), at=project)
    assert f"class {'high' if people == 'yes' else 'minimal'}; every control is there" in said
    assert "missing  " not in said and "ran        alert ColumnDrifted" in said


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("test_a_worse_model_is_refused", "test_nothing", "there is no test tests/model/test_gate"),
        ("alert: NoModel", "alert: NoMolde", "there is no alert NoMolde"),
        ("gate: leaks.threshold", "gate: leaks.treshold", "there is no gate leaks.treshold"),
        (
            "gate: leaks",
            "hope: leaks",
            "'hope' is no kind of control; there are test, alert and gate",
        ),
        ('level = "medium"', 'level = "middling"', "level = 'middling'; may be low, medium, high"),
        (
            'controls = ["alert: ColumnDrifted", "alert: StrangeRows"]',
            "",
            "nothing stands against it",
        ),
        ('class = "minimal"', 'class = "none"', "class = 'none'; may be minimal, limited, high"),
        (
            'reason = "The project was made with',
            'reason = "Because" #',
            "reason: say in a few words",
        ),
        ("[[risk]]", "[[risk]", "governance/risk.toml: cannot be read"),
    ],
)
def test_a_risk_without_a_control_is_named(project: Path, old: str, new: str, told: str) -> None:
    """A control that is not there, of no kind, or none at all where the risk is high."""
    plant(project / "governance/risk.toml", old, new, 1)
    assert told in fails(*risks(project), at=project)


def test_a_control_that_did_not_run_is_told(project: Path) -> None:
    """With --ran the tests of high risks must be among those that passed; a failed one is not."""
    assert "has not run here" in fails(*risks(project), "--ran", at=project)
    names = [
        line.split()[-1].split("::")
        for line in ok(*risks(project), at=project).splitlines()
        if " test tests/" in line
    ]
    case = '<testcase classname="{}" name="{}[1]">{}</testcase>'
    cases = [case.format(at[:-3].replace("/", "."), name, "") for at, name in names]
    (project / "reports").mkdir()
    asked = dict.fromkeys(("slices", "behaviour"), {"verdict": "passed"})
    decision = {"verdict": {"evidence": {"questions": asked}}}
    (project / "promotions.jsonl").write_text("{}\n", encoding="utf-8")
    assert "gate questions.slices has not run here" in fails(*risks(project), "--ran", at=project)
    (project / "promotions.jsonl").write_text(json.dumps(decision) + "\n", encoding="utf-8")
    report = project / "reports/tests.xml"
    report.write_text(f"<testsuite>{''.join(cases)}</testsuite>", encoding="utf-8")
    assert "every control is there" in ok(*risks(project), "--ran", at=project)
    cases[0] = cases[0].replace("></", "><failure /></")
    report.write_text(f"<testsuite>{''.join(cases)}</testsuite>", encoding="utf-8")
    assert f"the test {'::'.join(names[0])} has not run" in fails(
        *risks(project), "--ran", at=project
    )


@pytest.mark.slow
def test_a_fresh_project_passes_its_own_checks_with_every_hook(project: Path) -> None:
    """`make check` with pylint, which looks at the files of all levels below too; and it sees a fault."""
    ok("make", "check", at=project, SKIP="")
    planted = project / "src/flight_delays/planted.py"
    planted.write_text('"""Planted."""\n\nimport os\n', encoding="utf-8")
    ok("git", "add", "--all", at=project)
    hook = (".venv/bin/pre-commit", "run", "pylint", "--files", str(planted))
    assert "unused-import" in fails(*hook, at=project, SKIP="")
