"""`make library`: is the library the wheel that the lock names, and how one edits it."""

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import commit, fails, Generate, ok, plant, run

pytestmark = pytest.mark.slow
EDITED = "vendor/mlops_ladder"


@pytest.fixture(name="project")
def _project(generate: Generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A committed project of level 1 that may be changed, with its environment."""
    monkeypatch.delenv("PYTHONPATH", raising=False)  # it runs the library that it has installed
    project = shutil.copytree(generate(maturity_level="1"), tmp_path / "p")
    commit(project)
    ok("make", "setup", at=project)
    return project


def test_the_library_is_the_wheel_of_the_lock_and_of_the_template(project: Path) -> None:
    """It names the wheel; lock, environment and template agree.  Each difference is an error."""
    shown = ok("make", "--silent", "library", at=project)
    assert shown.startswith("library   wheels/mlops_ladder-")
    assert "as locked and installed" in shown
    template = json.loads((project / ".cruft.json").read_text(encoding="utf-8"))["template"]
    assert re.search(rf"^template  {template}.* builds the same bytes$", shown, re.MULTILINE)
    (installed,) = project.glob(".venv/lib/python*/site-packages/mlops_ladder/errors.py")
    text = installed.read_text(encoding="utf-8")
    installed.unlink()  # it may be a link to uv's cache
    installed.write_text(f"{text}\n# changed\n", encoding="utf-8")
    assert "errors.py: is not as in wheels/" in fails("make", "library", at=project)
    installed.write_text(text, encoding="utf-8")
    (wheel,) = project.glob("wheels/*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    told = fails(".venv/bin/ladder", "library", at=project)
    assert "uv.lock: names another sha256" in told and "builds OTHER bytes" in told


def test_a_template_that_is_gone_is_no_error(project: Path) -> None:
    """What cannot be compared is said."""
    plant(project / ".cruft.json", '"template": "', '"template": "/nowhere')
    assert "template  not compared: " in ok("make", "library", at=project)


def test_an_edited_library_is_what_runs_and_a_climb_says_so(project: Path) -> None:
    """EDIT=yes unpacks the source, the lock names it, the environment runs it, a climb keeps it."""
    ok("make", "library", "EDIT=yes", at=project)
    assert f'editable = "{EDITED}"' in (project / "uv.lock").read_text(encoding="utf-8")
    plant(project / EDITED / "mlops_ladder/climb/library.py", "as locked", "as ever")
    with (project / EDITED / "mlops_ladder/errors.py").open("a", encoding="utf-8") as file:
        file.write('\n\nEDIT = "of ours"\n')
    ok("make", "setup", at=project)
    script = "from mlops_ladder.errors import EDIT; print(EDIT)"
    assert ok(".venv/bin/python", "-c", script, at=project) == "of ours\n"
    assert f"edited in {EDITED}" in ok("make", "library", at=project)
    assert "is there" in fails("make", "library", "EDIT=yes", at=project)
    commit(project, "Edit the library")
    climb = run("make", "climb", "LEVEL=2", at=project)
    assert climb.stdout.startswith(f"The library is edited in {EDITED}: ")
    if climb.returncode:  # both changed the lock: the way out that the climb names
        ok("git", "checkout", "--theirs", "uv.lock", at=project)
        ok("uv", "lock", "--quiet", at=project)
        ok("git", "add", "uv.lock", at=project)
        ok("git", "cherry-pick", "--continue", at=project, GIT_EDITOR="true")
    assert "level = 2" in (project / "pyproject.toml").read_text(encoding="utf-8")
    assert f'editable = "{EDITED}"' in (project / "uv.lock").read_text(encoding="utf-8")
    assert ok("git", "status", "--porcelain", at=project) == ""
