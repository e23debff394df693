"""Answers: what cannot work is refused in a line, everything else survives."""

import json
import subprocess
import tomllib
from pathlib import Path

import pytest
from conftest import FIXED, Generate, LEVELS, python, QUESTIONS, run

BAD = {
    "project_slug=Flight Delays": "project_slug: 'Flight Delays' will not do",
    "project_slug=../up": "project_slug: '../up' will not do",
    "project_name=🚀": "project_name: '🚀' will not do",
    "package_name=2fast": "package_name: '2fast' will not do",
    "package_name=class": "package_name: 'class' is taken by Python",
    "package_name=mlflow": "package_name: 'mlflow' is taken by Python or by a library",
    "package_name=json": "package_name: 'json' is taken",
    "author_email=nobody": "author_email: 'nobody' will not do; allowed: name@example.com",
    "author_name= ": "author_name: ' ' will not do; allowed: a name",
    "description=": "description: '' will not do; allowed: one sentence",
    "description=two\nlines": "description: 'two\\nlines' holds a line break",
    "python_version=3.9": "python_version: '3.9' will not do; allowed: one of 3.11",
}
GOOD = {
    "quotes": """It's "quoted" \\ and 'so'""",
    "triple": 'Three """ quotes and a final "',
    "accents": "Größe, prénom, naïve, Łódź",
    "emoji": "Rockets 🚀 and 日本語",
    "markup": "<b>&amp; 100 % $HOME `ls` #1</b>",
    "braces": "{a: 1} and } alone {",
}


@pytest.mark.parametrize("answer", BAD, ids=lambda answer: answer.replace("\n", " "))
def test_a_bad_answer_is_refused_and_nothing_is_left(
    template: Path, tmp_path: Path, answer: str
) -> None:
    """The line names the question, the answer and what may be answered; no folder is made."""
    command = [python(), "-m", "cookiecutter", "--no-input", "--default-config"]
    pairs = [f"{name}={value}" for name, value in FIXED.items() if name != answer.split("=")[0]]
    done = run(*command, str(template), *pairs, answer, at=tmp_path, PYTHONUTF8="1")
    assert done.returncode != 0
    assert BAD[answer] in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("answer", ["maturity_level=7", "framework=pytorch", "ci="])
def test_a_choice_that_is_not_offered_is_refused_by_cookiecutter(
    template: Path, tmp_path: Path, answer: str
) -> None:
    """cookiecutter's own last line names the question and the choices; no folder is made.

    It comes behind a traceback, before anything of the template runs.
    """
    name, value = answer.split("=")
    command = [python(), "-m", "cookiecutter", "--no-input", "--default-config"]
    done = run(*command, str(template), answer, at=tmp_path)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode != 0
    assert last.startswith(f"ValueError: {value} provided for choice variable {name}, but the")
    assert list(tmp_path.iterdir()) == []


def test_every_bad_answer_is_told_at_once(template: Path, tmp_path: Path) -> None:
    """Two wrong answers give two lines."""
    command = [python(), "-m", "cookiecutter", "--no-input", "--default-config", str(template)]
    done = run(*command, "package_name=2", "author_email=x", at=tmp_path)
    assert [word in done.stderr for word in ("package_name: '2'", "author_email: 'x'")] == [
        True
    ] * 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", GOOD)
def test_free_text_survives(generate: Generate, kind: str) -> None:
    """Quotes, accents, emoji and braces come through as they were typed."""
    text = GOOD[kind]
    project = generate(maturity_level="1", description=text, author_name=text)
    declared = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    record = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))
    assert (declared["description"], declared["authors"][0]["name"]) == (text, text)
    assert record["context"]["cookiecutter"]["description"] == text
    assert text in (project / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("code", ["{{ 7*7 }}", "{% if %}", "{# no #}"])
def test_template_code_typed_at_a_question_is_refused(
    template: Path, tmp_path: Path, code: str
) -> None:
    """An answer that a later climb would run as a template is refused."""
    lines = "\n".join(["Name", "name", "name", code] + [""] * 12) + "\n"
    command = [python(), "-m", "cookiecutter", "--default-config", str(template)]
    done = subprocess.run(
        command, cwd=tmp_path, input=lines, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "holds a line break, a control character or template code" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_second_project_in_the_same_place_is_refused(template: Path, tmp_path: Path) -> None:
    """A folder that holds a project is left alone, also where overwriting is asked for."""
    command = [python(), "-m", "cookiecutter", "--no-input", "--default-config", str(template)]
    assert run(*command, at=tmp_path).returncode == 0
    mine = tmp_path / "flight-delays" / "mine.txt"
    mine.write_text("mine", encoding="utf-8")
    again = run(*command, "--overwrite-if-exists", at=tmp_path)
    assert again.returncode != 0
    assert "A project is here already" in again.stderr + again.stdout
    assert mine.read_text(encoding="utf-8") == "mine"


def test_the_number_typed_is_the_level() -> None:
    """cookiecutter numbers choices from 1: a typed 2 is level 2; level 0 stands last."""
    choices = QUESTIONS["maturity_level"]
    typed = {str(number): level for number, level in enumerate(choices, start=1)}
    assert typed == {"1": "1", "2": "2", "3": "3", "4": "4", "5": "0"}
    assert sorted(choices) == LEVELS


def test_every_question_is_explained() -> None:
    """Each question has a prompt, and each choice a label."""
    prompts = QUESTIONS["__prompts__"]
    asked = [name for name in QUESTIONS if not name.startswith("_")]
    assert [name for name in asked if name not in prompts] == []
    labelled = {
        name: set(prompts[name]) - {"__prompt__"}
        for name in asked
        if isinstance(QUESTIONS[name], list) and name != "license"
    }
    assert labelled == {name: set(QUESTIONS[name]) for name in labelled}
    assert len([name for name in asked if not name.endswith(("slug", "package_name"))]) <= 14
