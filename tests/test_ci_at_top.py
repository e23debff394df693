"""`make ci-at-top`: in a larger repository, workflows and hooks lie at the top and run in the folder."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import commit, fails, Generate, LADDER, ok, run
from forges import tool

FOLDER = "team/my-problem"
FASTER = {"SKIP": "pylint"}  # minutes
for who in ("AUTHOR", "COMMITTER"):
    FASTER |= {f"GIT_{who}_NAME": "Ada", f"GIT_{who}_EMAIL": "ada@example.com"}


@pytest.fixture(name="inner")
def _inner(generate: Generate, tmp_path: Path) -> Any:
    """`inner("github")`: a committed project of level 2 in a folder of a larger repository."""

    def made(forge: str) -> Path:
        place = tmp_path / "large" / FOLDER
        source = generate(maturity_level="2", project_name="My Problem", ci=forge)
        shutil.copytree(source, place, ignore=shutil.ignore_patterns(".venv", ".git"))
        commit(tmp_path / "large")
        return place

    return made


def test_jobs_of_github_run_in_the_folder_and_start_on_its_changes(inner: Any) -> None:
    """actionlint finds nothing; a second run changes nothing; each job with a checkout is inside."""
    place = inner("github")
    top = place.parents[1]
    own = ".github/workflows/team-my-problem-ci.yml"
    assert f"wrote {top / own}\n" in ok(LADDER, "ci-at-top", at=place)
    first = (top / own).read_bytes()
    ok(LADDER, "ci-at-top", at=place)
    assert (top / own).read_bytes() == first
    ok(tool("actionlint"), "-config-file", f"{FOLDER}/.github/actionlint.yaml", own, at=top)
    workflow = yaml.safe_load(first)
    assert workflow[True]["pull_request"]["paths"] == [f"{FOLDER}/**", own]
    folders = {
        name: job.get("defaults", {}).get("run", {}).get("working-directory", "")
        for name, job in workflow["jobs"].items()
    }
    inside = dict.fromkeys(("check", "test", "train", "smoke", "maturity"), FOLDER)
    assert folders == inside | {"required": "", "deploy": ""}
    for job in workflow["jobs"].values():
        inputs = {k: v for step in job["steps"] for k, v in step.get("with", {}).items()}
        named = [it for name, it in inputs.items() if name in ("path", "version-file")]
        assert all(it.startswith(f"{FOLDER}/") == ("defaults" in job) for it in named)


def test_jobs_of_gitlab_are_a_child_pipeline_that_runs_in_the_folder(inner: Any) -> None:
    """The pipeline at the top starts it on changes; jobs change into the folder, paths begin there."""
    place = inner("gitlab")
    top = place.parents[1]
    ok(LADDER, "ci-at-top", at=place)
    (name, job), *_ = yaml.safe_load((top / ".gitlab-ci.yml").read_text("utf-8")).items()
    assert name == "team-my-problem" and f"{FOLDER}/**/*" in job["rules"][0]["changes"]
    child = yaml.safe_load((top / job["trigger"]["include"]).read_text("utf-8"))
    assert child["default"]["before_script"] == [f"cd {FOLDER}"]
    assert child["smoke"]["before_script"][0] == f"cd {FOLDER}"
    assert child["workflow"]["rules"][0] == {"if": '$CI_PIPELINE_SOURCE == "parent_pipeline"'}
    jobs = [it for it in (child["default"], *child.values()) if "artifacts" in it]
    paths = [path for it in jobs for path in it["artifacts"]["paths"]]
    assert len(paths) > 5 and all(path.startswith(f"{FOLDER}/") for path in paths)


def test_a_file_of_others_is_not_overwritten(inner: Any) -> None:
    """A workflow of the same name is an error; a configuration of hooks stays, and is named."""
    place = inner("github")
    top = place.parents[1]
    theirs = {
        top / ".pre-commit-config.yaml": "repos: []\n",
        top / ".github/workflows/team-my-problem-ci.yml": "name: theirs\n",
    }
    for path, text in theirs.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert "is not from `make ci-at-top`" in fails(LADDER, "ci-at-top", at=place)
    assert [path.read_text("utf-8") for path in theirs] == list(theirs.values())


def test_a_project_of_its_own_has_no_top(generate: Generate, tmp_path: Path) -> None:
    """At the top of a repository the command is refused, and writes nothing."""
    project = shutil.copytree(generate(maturity_level="2"), tmp_path / "p")
    commit(project)
    assert "no folder of a larger repository" in fails(LADDER, "ci-at-top", at=project)
    assert ok("git", "status", "--porcelain", at=project) == ""


@pytest.mark.slow
def test_hooks_at_the_top_and_make_check_look_at_the_folder_alone(inner: Any) -> None:
    """A commit at the top runs the hooks of the project, on its files; `make check` passes there."""
    place = inner("github")
    top = place.parents[1]
    assert "make ci-at-top" in ok("make", "help", at=place)
    ok("make", "ci-at-top", at=place)
    ok("make", "setup", at=place)
    ok(f"{FOLDER}/.venv/bin/pre-commit", "install", at=top)
    (top / "other.py").write_text("not   = 'ours'\n", encoding="utf-8")
    ok("git", "add", "--all", at=top)
    done = run("git", "commit", "-m", "Others", at=top, **FASTER)
    assert done.returncode == 0 and "black" in done.stderr + done.stdout
    (place / "src/my_problem/wrong.py").write_text("a   = 1\n", encoding="utf-8")
    ok("git", "add", "--all", at=top)
    assert "reformatted" in fails("git", "commit", "-m", "Ours", at=top, **FASTER)
    ok("git", "add", "--all", at=top)
    assert "black....." in run("make", "check", at=place, **FASTER).stdout


@pytest.mark.slow
def test_hooks_run_in_a_new_worktree_without_a_network(generate: Generate, tmp_path: Path) -> None:
    """A commit there is checked by the versions of the lock: uv installs them from its cache."""
    project = shutil.copytree(
        generate(maturity_level="1", project_name="My Problem"), tmp_path / "p"
    )
    commit(project)
    ok("make", "setup", at=project)
    ok(".venv/bin/pre-commit", "install", at=project)
    tree = tmp_path / "tree"
    ok("git", "worktree", "add", "--quiet", str(tree), at=project)
    offline = FASTER | {"UV_OFFLINE": "1"}
    path = tree / "src/my_problem/new.py"
    path.write_text('"""New."""\n\nNUMBER   = 1\n', encoding="utf-8")
    ok("git", "add", "--all", at=tree)
    assert "reformatted" in fails("git", "commit", "-m", "Wrong", at=tree, **offline)
    ok("git", "add", "--all", at=tree)
    ok("git", "commit", "-m", "Right", at=tree, **offline)
    assert (tree / ".venv").exists() and path.read_text("utf-8").endswith("NUMBER = 1\n")
