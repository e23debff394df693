"""A project has one Makefile, by domain; `make help` shows ten tasks of it first."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import Generate, LEVELS, ok, PROJECT

KUBERNETES = {"deploy": "kubernetes", "ci": "gitlab", "cloud": "aws"}
TASK = re.compile(r"^  make ([a-z-]+) ", re.MULTILINE)


def documented(makefile: str) -> list[str]:
    """The targets of a Makefile that have a line of help."""
    return re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE)


BATCH = {"serve": "batch", "ci": "gitlab"}


@pytest.fixture(params=[{}, KUBERNETES, BATCH], ids=["compose", "kubernetes", "batch"])
def answers(request: pytest.FixtureRequest) -> dict[str, str]:
    """The answers of two kinds of project."""
    return dict(request.param)


@pytest.fixture(params=LEVELS)
def project(request: pytest.FixtureRequest, generate: Generate, answers: dict[str, str]) -> Path:
    """A project of each level and kind."""
    return generate(maturity_level=request.param, **answers)


def test_help_shows_ten_tasks_first_and_says_how_to_see_all(project: Path) -> None:
    """At most ten of the tasks, and their number; ALL=yes lists each of them once, under a domain."""
    tasks = documented((project / "Makefile").read_text(encoding="utf-8"))
    first, everything = (ok("make", "help", more, at=project) for more in ("ALL=", "ALL=yes"))
    assert len(TASK.findall(first)) == (7 if len(tasks) == 10 else 10)
    assert first.endswith(f"\nmake help ALL=yes lists all {len(tasks)} tasks\n")
    assert TASK.findall(everything) == tasks and len(set(tasks)) == len(tasks)
    assert everything.startswith("Project\n  make help ")


def test_every_task_that_help_shows_first_exists(generate: Generate) -> None:
    """What the Makefile names as first is a documented target of level 4."""
    makefile = (generate(maturity_level="4") / "Makefile").read_text(encoding="utf-8")
    (first,) = re.findall(r"^FIRST := (.*)$", makefile, re.MULTILINE)
    assert set(first.split()) - set(documented(makefile)) == set()


def test_every_file_of_targets_is_in_the_makefile(generate: Generate) -> None:
    """Each line of the template's files in make/ stands in the Makefile of a project that asks for it."""
    made = [generate(maturity_level="4", cloud="aws"), generate(maturity_level="4", **KUBERNETES)]
    texts = [(project / "Makefile").read_text(encoding="utf-8") for project in made]
    for path in PROJECT.glob("make/*/*.mk"):
        lines = [it for it in path.read_text("utf-8").splitlines() if "cookiecutter" not in it]
        assert any(set(lines) <= set(text.splitlines()) for text in texts), path
    assert [project / "make" for project in made if (project / "make").exists()] == []


def test_a_file_in_make_brings_targets_and_overrides_what_is_set(
    generate: Generate, tmp_path: Path
) -> None:
    """A variable and a recipe of one's own hold, and help lists the target at the end."""
    project = shutil.copytree(generate(maturity_level="2"), tmp_path / "p")
    (project / "make").mkdir()
    (project / "make/mine.mk").write_text(
        "SERVE_APP = echo mine\n\ngreet: ## say hello\n\t@echo hello\n", encoding="utf-8"
    )
    assert ok("make", "greet", at=project) == "hello\n"
    assert "echo mine" in ok("make", "-n", "serve", at=project)
    assert re.search(
        r"\n\nYours\n  make greet +say hello\n$", ok("make", "help", "ALL=yes", at=project)
    )


def find_targets(readme: str) -> set[str]:
    """Return the make targets that a README names in code: `make a b NAME=value` names a and b."""
    calls = re.findall(r"(?:`|^)make ([^`\n]+)", readme, re.MULTILINE)
    words = {word.rstrip(",") for call in calls for word in call.split() if "=" not in word}
    return {word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)}


def test_the_readme_is_a_map_of_the_tasks(project: Path, answers: dict[str, str]) -> None:
    """README names only targets that exist, and all those that `make help` shows first."""
    named = find_targets((project / "README.md").read_text(encoding="utf-8"))
    tasks = set(documented((project / "Makefile").read_text(encoding="utf-8")))
    # Without `cloud` there is no infrastructure, and the row says where it would be.
    assert named - tasks <= ({"infra", "policies", "provision"} if not answers else set())
    first = set(TASK.findall(ok("make", "help", "ALL=", at=project)))
    assert first - named <= {"setup"}


def test_targets_are_found_in_a_readme() -> None:
    """In a fence, in a cell with two commands, with arguments."""
    text = "```\nmake train\n```\n| a | `make secrets stack`, `make key NAME=…` | make sense |\n"
    assert find_targets(text) == {"train", "secrets", "stack", "key"}
