"""`make maturity`: a level from evidence; what is missing, empty, copied or nonsense raises nothing."""

import json
import shutil
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import BUILT, MANIFEST, PROJECT, Generate, commit, files, plant, run

sys.path.insert(0, str(PROJECT / "tools"))
from checks import grading, page, report  # noqa: E402  pylint: disable=wrong-import-position
from checks.repository import Repository  # noqa: E402  pylint: disable=wrong-import-position

JUDGED = {name: it for name, it in MANIFEST["capabilities"].items() if not it.get("planned")}
OPTIONS = [{}, {"ci": "gitlab"}, {"deploy": "kubernetes"}, {"problem": "regression"}]
NONSENSE = {
    "empty": lambda name, text: "",
    "nonsense": lambda name, text: "nothing of this kind\n" * 3,
    "a copy": lambda name, text: "MIT License\n\nPermission is hereby granted to nobody.\n",
}


def graded(project: Path) -> dict[str, str]:
    """The grade of each capability."""
    return {it.id: it.grade for it in grading.assess(Repository(project)).capabilities}


@pytest.fixture(name="before", scope="session")
def _before(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The grades of a fresh project of level 2."""
    return graded(committed(generate(maturity_level="2"), tmp_path_factory.mktemp("before")))


@pytest.fixture
def fresh(generate: Generate, tmp_path: Path) -> Path:
    """A committed project of level 2 that may be changed."""
    return committed(generate(maturity_level="2"), tmp_path)


def committed(project: Path, folder: Path) -> Path:
    """A copy of a project, as its first commit."""
    shutil.copytree(project, folder / "project", symlinks=True)
    commit(folder / "project")
    return folder / "project"


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("level", BUILT)
def test_a_fresh_project_is_equipped_for_its_level_and_has_practised_nothing(
    generate: Generate, tmp_path: Path, level: str, options: dict[str, str]
) -> None:
    """A fresh level-N project scores equipped N, practised 0."""
    project = committed(generate(maturity_level=level, **options), tmp_path)
    found = grading.assess(Repository(project))
    assert [(it.id, it.problems) for it in found.capabilities if it.problems] == []
    assert report.headline(found) == f"claimed {level} | equipped {level} | practised 0"
    assert report.code(found) == 0


def own(name: str, project: Path) -> list[Path]:
    """The files that a capability owns."""
    found = [project / path for path in Repository(project).own(name)]
    assert found
    return found


@pytest.mark.parametrize("name", JUDGED)
def test_without_its_files_a_capability_is_absent_and_no_other_changes(
    fresh: Path, before: dict[str, str], name: str
) -> None:
    """Each capability's files removed: that one is absent, no other has another grade."""
    for path in own(name, fresh):
        path.unlink()
    assert graded(fresh) == before | {name: "absent"}


@pytest.mark.parametrize("kind", NONSENSE)
@pytest.mark.parametrize("name", JUDGED)
def test_files_that_hold_nothing_raise_nothing(
    fresh: Path, before: dict[str, str], name: str, kind: str
) -> None:
    """Empty, copied or nonsense files in the right places leave a capability at most declared."""
    for path in own(name, fresh):
        path.write_text(NONSENSE[kind](path.name, ""), encoding="utf-8")
    assert graded(fresh) == before | {name: "declared"}
