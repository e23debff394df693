"""Level 3: every command of the runbooks runs, in a copy; one that does not is named."""

import json
import shutil
from pathlib import Path

import pytest
from conftest import commit, fails, files, Generate, ok

LOG = "docs/runbooks/drills.jsonl"
PAGES = "batch data deletion deploy incident model retrain rollback service".split()
pytestmark = pytest.mark.slow


@pytest.fixture(name="project", scope="module")
def _project(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A committed project of level 3 with an environment."""
    folder = tmp_path_factory.mktemp("drilled") / "project"
    shutil.copytree(generate(maturity_level="3"), folder)
    commit(folder)
    for key, value in (("user.name", "Ada"), ("user.email", "ada@example.com")):
        ok("git", "config", key, value, at=folder)
    ok("make", "setup", at=folder)
    return folder


def kept(project: Path) -> dict[str, bytes]:
    """The files of a project but its environment, and what Python has compiled."""
    found = files(project).items()
    return {name: text for name, text in found if not {".venv", "__pycache__"} & {*name.split("/")}}


def test_every_block_runs_and_one_that_fails_is_named(project: Path) -> None:
    """All pages are drilled in a copy, a broken block goes red by its name, and all that is noted."""
    before = kept(project)
    broken = project / "docs/runbooks/zero.md"
    broken.write_text("# Zero\n\n```sh\nmake nothing\n```\n\n```sh\ntouch never\n```\n", "utf-8")
    said = fails("make", "drill", at=project)
    assert (
        "docs/runbooks/zero.md: failed, 1 blocks" in said
        and "Failed: docs/runbooks/zero.md" in said
    )
    assert "Zero, block 1 ended with 2:\n    make nothing\n    and said:" in said
    lines = [json.loads(line) for line in (project / LOG).read_text("utf-8").splitlines()]
    ended = {Path(line["page"]).stem: line["result"] for line in lines}
    assert ended == dict.fromkeys(PAGES, "passed") | {"zero": "failed"}
    assert {line["who"] for line in lines} == {"Ada <ada@example.com>"}
    left = sum(len(line["not_drilled"]) for line in lines)
    assert f"{left} not drilled" in said and said.count(": not drilled\n") == left
    broken.unlink()
    (project / LOG).unlink()
    assert kept(project) == before  # nothing that was done in the copy was done here


def test_a_page_without_a_block_is_refused_before_anything_is_done(project: Path) -> None:
    """It is named, and nothing is noted."""
    page = project / "docs/runbooks/talk.md"
    page.write_text("# Talk\n\nDo the right thing.\n", encoding="utf-8")
    said = fails("make", "drill", at=project)
    page.unlink()
    assert "docs/runbooks/talk.md: no block that is run" in said and not (project / LOG).exists()
