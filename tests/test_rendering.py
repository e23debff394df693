"""Rendering: over all pairs of answers, every file is what its name says, finished as it comes."""

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from allpairspy import AllPairs
from conftest import CHOICES, files, Generate, module, PROJECT, python, QUESTIONS as ASKED, run
from jinja2 import Environment

NAMES = {"project_name": ["Flight Delays", "A rather long name of a project"]}
QUESTIONS = CHOICES | NAMES | {"python_version": ["3.11", "3.12", "3.13", "3.14"]}
PAIRS = [dict(zip(QUESTIONS, row)) for row in AllPairs(list(QUESTIONS.values()))]
# The first ones are of each level: they do for the inner loop.
FEW_OR_ALL = PAIRS[:5] + [pytest.param(it, marks=pytest.mark.slow) for it in PAIRS[5:]]
PARSERS: dict[str, Callable[[str], Any]] = {
    ".py": ast.parse,
    ".toml": tomllib.loads,
    ".lock": tomllib.loads,
    ".yml": yaml.safe_load,
    ".yaml": yaml.safe_load,
    ".json": json.loads,
    ".ipynb": json.loads,
}
FOREIGN = {".github/workflows/ci.yml", ".github/workflows/ci.batch.yml"}
FOREIGN |= {".github/workflows/infra.yml"}
FOREIGN |= {path.relative_to(PROJECT).as_posix() for path in PROJECT.glob("monitoring/**/*.*")}


LADDER = module("local_extensions.py")
JINJA: dict[str, Any] = ASKED["_jinja2_env_vars"]
TAG = re.compile(r"\{%(?!s[},])")  # a brace before a placeholder of Python is none


def texts(project: Path) -> dict[str, bytes]:
    """The files that are text: all but the wheel."""
    return {name: it for name, it in files(project).items() if not name.endswith(".whl")}


def named(answers: dict[str, str]) -> str:
    """A name for these answers in the report."""
    return "-".join(answers.values()).replace(" ", "_")


@pytest.mark.parametrize("answers", FEW_OR_ALL, ids=named)
def test_every_file_parses_and_no_tag_is_left(generate: Generate, answers: dict[str, str]) -> None:
    """Each file is well-formed, holds no template code, and ends in one newline."""
    for name, content in texts(generate(**answers)).items():
        text = content.decode("utf-8")
        PARSERS.get(Path(name).suffix, str)(text)
        if name not in FOREIGN:
            assert not TAG.search(text) and "cookiecutter." not in text, name
        assert text.endswith("\n") and not text.endswith("\n\n"), name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no newline at the end",
        "\n\n  spaces, and lines  \n\n",
        "\\n stays, \"quotes\" and ''' too\n",
        "Größe, 年齢, \0, \u2028\n",
        "windows\r\nlines\r\n",
        "{% not ours %} { { }} #}\n",
        "{{ 6 * 7 }}\n",
        "# {# a comment #}\n",
        "# {% if 1 %}\nyes\n# {% endif %}\n",
    ],
)
def test_text_without_jinja_is_rendered_as_jinja_would(text: str) -> None:
    """Such text is not parsed, which halves the time; what it gives is the same, to the byte."""
    options = JINJA | {"keep_trailing_newline": True}
    quick = Environment(extensions=[LADDER.Ladder], **options)
    assert quick.from_string(text).render() == Environment(**options).from_string(text).render()


FORMATTED: set[bytes] = set()  # what other answers gave too is looked at once


@pytest.mark.slow
@pytest.mark.parametrize("answers", PAIRS, ids=named)
def test_black_would_change_nothing(generate: Generate, answers: dict[str, str]) -> None:
    """The code comes formatted, whatever the answers."""
    project = generate(**answers)
    fresh = {name: it for name, it in files(project).items() if name.endswith(".py")}
    fresh = {name: it for name, it in fresh.items() if it not in FORMATTED}
    FORMATTED.update(fresh.values())
    if fresh:
        done = run(python(), "-m", "black", "--check", *fresh, at=project)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("answers", FEW_OR_ALL, ids=named)
def test_blanks_are_tidy(generate: Generate, answers: dict[str, str]) -> None:
    """No line of text ends in a blank, and no branch leaves a hole of blank lines behind."""
    for name, content in texts(generate(**answers)).items():
        text = content.decode("utf-8")
        assert not [line for line in text.splitlines() if line != line.rstrip()], name
        assert "\n\n\n\n" not in text, name
        if not name.endswith(".py"):
            assert "\n\n\n" not in text, name


def test_every_pair_of_braces_is_meant_for_the_template() -> None:
    """Python's own double braces would be rendered: only answers and functions stand in them."""
    meant = re.compile(
        r"\{\{ (?:cookiecutter\.\w+(?: \| [^}]*)?|'[^'}]*' if cookiecutter\.\w+ == '\w+' else ''"
        r"|record\(\)|lock\(\)|capability_list\(\)) \}\}"
    )
    found = {
        path.relative_to(PROJECT).as_posix(): meant.sub("", path.read_text(encoding="utf-8"))
        for path in PROJECT.rglob("*.*")
        if path.is_file() and "data" not in path.parts and path.suffix not in (".pyc", ".whl")
    }
    assert [name for name, text in found.items() if "{{" in text and name not in FOREIGN] == []


@pytest.mark.parametrize("serve", ["both", "batch"])
def test_no_line_of_a_new_project_ends_in_a_blank(generate: Generate, serve: str) -> None:
    """Its own hooks would change the file."""
    project = generate(maturity_level="4", serve=serve)
    kinds = {".md", ".mk", ".py", ".toml", ".yaml", ".yml", ""}
    texts = {
        name: content.decode()
        for name, content in files(project).items()
        if Path(name).suffix in kinds and not name.startswith("data/")
    }
    assert {name for name, text in texts.items() if re.search(r"[ \t]+$", text, re.M)} == set()


def test_generating_twice_gives_the_same_bytes(
    generate: Generate, template: Path, tmp_path: Path
) -> None:
    """No clock, no chance and no network goes into a project."""
    first = generate(maturity_level="1")
    record = json.loads((first / ".cruft.json").read_text(encoding="utf-8"))
    answers = record["context"]["cookiecutter"].items()
    pairs = [f"{name}={answer}" for name, answer in answers if name[0] != "_"]
    command = [
        python(),
        "-m",
        "cookiecutter",
        "--no-input",
        "--default-config",
        "-o",
        str(tmp_path),
    ]
    subprocess.run([*command, str(template), *pairs], cwd=tmp_path, check=True, capture_output=True)
    assert files(tmp_path / "flight-delays") == files(first)


def test_the_record_names_the_template_its_commit_and_the_answers(
    generate: Generate, template: Path
) -> None:
    """`.cruft.json` says all that it takes to make the project again."""
    record = json.loads((generate(maturity_level="2") / ".cruft.json").read_text(encoding="utf-8"))
    head = run("git", "rev-parse", "HEAD", at=template).stdout.strip()
    assert (record["template"], record["commit"]) == (str(template), head)
    assert record["context"]["cookiecutter"]["maturity_level"] == "2"


def test_cruft_finds_the_project_up_to_date(generate: Generate) -> None:
    """cruft reads our record: a second way to follow the template."""
    done = run(python(), "-m", "cruft", "check", at=generate(maturity_level="1"))
    assert (done.returncode, "up to date" in done.stdout) == (0, True), done.stdout + done.stderr


def test_nothing_but_the_sample_knows_of_flights(generate: Generate) -> None:
    """Outside config, contract, problem and the sample no file knows what the sample is about."""
    project = generate(maturity_level="4", project_name="Churn")
    known = {"config.toml", "contract.toml", "src/churn/problem.py", "data/sources.toml"}
    known |= {"docs/openapi.json"}  # made from the contract
    known |= {
        "governance/contracts/sample.toml",
        "governance/contracts/accepted.json",
    }  # with the owner of the sample
    words = (b"flight", b"airport", b"carrier", b"nycflights")
    told = {
        name
        for name, content in texts(project).items()
        if not name.startswith("data/sample/") and any(word in content.lower() for word in words)
    }
    assert told <= known
