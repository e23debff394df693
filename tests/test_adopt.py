"""`make adopt`: hooks and CI for repositories that we did not make; nothing else of theirs changes."""

import contextlib
import io
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import commit, ok

from mlops_ladder.adopt.command import main
from mlops_ladder.adopt.facts import Facts
from mlops_ladder.adopt.install import find_install_command
from mlops_ladder.adopt.join import merge_hooks, merge_pyproject
from mlops_ladder.adopt.merge import keep_line_ends, merge_files
from mlops_ladder.adopt.python import choose_python
from mlops_ladder.adopt.style import find_formatter, find_line_length, find_linter

Shape = dict[str, str | bytes]

BRANCH = "mlops-adopt"
ORIGIN = '[remote "origin"]\n\turl = {}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
TEST = "from {0} import one\n\n\ndef test_one():\n    assert one() == 1\n"
CODE = "import os\n\ndef one( ):\n    return 1   \n"
SETUP = "from setuptools import setup\nsetup(name='calc', version='1', packages=['calc'])\n"
POETRY = """\
[tool.poetry]   # theirs
name = "calc"
version = "1"
description = ""
authors = []

[tool.poetry.dependencies]
python = "^3.10"

[tool.poetry.group.dev.dependencies]
pytest = "*"
"""
RUFF = """\
[project]
name = "calc"
version = "1"
requires-python = ">=3.11,<3.13"

[project.optional-dependencies]
test = ["pytest"]

[tool.ruff]
line-length = 79
"""
THEIR_HOOKS = """\
# Ours since 2019
default_stages: [pre-commit]
repos:
- repo: https://example.com/pre-commit-hooks
  rev: v2.0.0   # old, and it stays
  hooks:
  - id: trailing-whitespace
  - id: ruff-format
    args:
    - --quiet

ci:
  skip: [ruff-format]
"""
NOTEBOOK = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}\n'
SHAPES: dict[str, Shape] = {
    "src, pyproject": {
        "pyproject.toml": "[project]\nname = 'calc'\nversion = '1'",
        "src/calc/__init__.py": CODE,
        "tests/test_one.py": TEST.format("calc"),
    },
    "flat, setup.py, Windows": {
        "setup.py": SETUP.replace("\n", "\r\n"),
        ".gitignore": b"*.pyc\r\nbuild",
        "calc/__init__.py": CODE.replace("\n", "\r\n"),
        "tests/test_one.py": TEST.format("calc").replace("\n", "\r\n"),
        ".gitattributes": "* text=auto\n",
    },
    "setup.cfg": {
        "setup.cfg": "[metadata]\nname = calc\n[options]\npackages = calc\npython_requires = >=3.12\n"
        "[flake8]\nmax-line-length = 90\n",
        "setup.py": "from setuptools import setup\nsetup()\n",
        "calc/__init__.py": CODE,
        "calc/tests/test_one.py": TEST.format("calc"),
    },
    "requirements": {
        "requirements.txt": "packaging\n",
        "requirements-dev.txt": "pytest\n",
        "one.py": CODE,
        "tests/test_one.py": TEST.format("one"),
    },
    "poetry": {
        "pyproject.toml": POETRY.replace("\n", "\r\n"),
        "calc/__init__.py": CODE,
        "tests/test_one.py": TEST.format("calc"),
    },
    "ruff, hooks of theirs": {
        "pyproject.toml": RUFF,
        ".pre-commit-config.yaml": THEIR_HOOKS,
        "calc/__init__.py": CODE,
        "tests/test_one.py": TEST.format("calc"),
    },
    "notebooks": {"first.ipynb": NOTEBOOK, "README.md": "# Rows\n"},
}


def made(folder: Path, shape: Shape, remote: str = "git@github.com:ada/calc.git") -> Path:
    """A repository of somebody else, with these files in one commit."""
    for name, content in shape.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        data = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(data)
    ok("git", "init", "--quiet", "--initial-branch=main", str(folder), at=folder.parent)
    with (folder / ".git/config").open("a", encoding="utf-8") as config:
        config.write(f"[user]\n\tname = Ada\n\temail = ada@example.com\n{ORIGIN.format(remote)}")
    blobs = ok("git", "hash-object", "-w", "--no-filters", *shape, at=folder).split()
    pairs = zip(shape, blobs)
    told = [it for name, blob in pairs for it in ("--cacheinfo", f"100644,{blob},{name}")]
    ok("git", "update-index", "--add", *told, at=folder)  # not as this machine would convert them
    ok("git", "commit", "--quiet", "-m", "Theirs", at=folder)
    return folder


def state(repository: Path) -> dict[str, bytes]:
    """Every byte that a person would notice: the files, and git's index, head, settings, stash."""
    git = repository / ".git"
    noticed = [git / name for name in ("index", "HEAD", "config", "FETCH_HEAD", "ORIG_HEAD")]
    work = [it for it in repository.rglob("*") if git not in it.parents and it.is_file()]
    return {str(path): path.read_bytes() for path in [*noticed, *work] if path.exists()}


def refs(repository: Path) -> dict[str, str]:
    """Each ref, and what it names."""
    lines = ok("git", "for-each-ref", "--format=%(refname) %(objectname)", at=repository)
    pairs = (line.partition(" ") for line in lines.splitlines())
    return {name: named for name, _, named in pairs}


def adopt(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`mlops-ladder adopt FOLDER …`, without the time that a new process takes."""
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            main([str(repository), *arguments])
    except SystemExit as refusal:
        return subprocess.CompletedProcess((), 1, printed.getvalue(), f"{refusal}\n")
    return subprocess.CompletedProcess((), 0, printed.getvalue(), "")


def adopted(repository: Path, *arguments: str) -> str:
    """An adoption that has to work: a branch comes, and of all else every byte stays."""
    before, old = state(repository), refs(repository)
    done = adopt(repository, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert state(repository) == before
    assert {name for name, at in refs(repository).items() if old.get(name) != at} == {
        f"refs/heads/{BRANCH}"
    }
    return done.stdout


def refused(repository: Path, *arguments: str) -> str:
    """The one line of an adoption that has to be refused, and to change nothing at all."""
    before = state(repository) if repository.exists() else {}
    old = refs(repository) if (repository / ".git").exists() else {}
    done = adopt(repository, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert (state(repository) if repository.exists() else {}) == before
    assert (refs(repository) if (repository / ".git").exists() else {}) == old
    return done.stderr


def blob(repository: Path, name: str, at: str = BRANCH) -> bytes:
    """The bytes of a file in a commit."""
    told = ["git", "cat-file", "blob", f"{at}:{name}"]
    return subprocess.run(told, cwd=repository, check=True, capture_output=True).stdout


def text(repository: Path, name: str) -> str:
    """A file of the branch, as text."""
    return blob(repository, name).decode()


def changes(repository: Path, since: str = "main") -> dict[str, str]:
    """The paths that the branch changes, each with git's letter for how."""
    listed = ok("git", "diff", "--name-status", "--no-renames", since, BRANCH, at=repository)
    pairs = (line.split("\t") for line in listed.splitlines())
    return {name: kind for kind, name in pairs}


def only_adds(before: bytes, after: bytes) -> bool:
    """Is the new text the old one with one block put in?"""
    start = next((i for i, (a, b) in enumerate(zip(before, after)) if a != b), len(before))
    return after.endswith(before[start:]) and len(after) > len(before)


def answers(repository: Path) -> dict[str, str]:
    """The answers on record."""
    record = json.loads(blob(repository, ".cruft.json"))
    return dict(record["context"]["cookiecutter"])


# ---- Each shape, without the hooks: those are tried further down


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SHAPES if name != "notebooks"])
def test_ci_comes_as_one_commit_and_nothing_else_changes(name: str, tmp_path: Path) -> None:
    """One commit on a new branch: new files, and additions to what both sides have."""
    repository = made(tmp_path / "calc", SHAPES[name])
    adopted(repository, "repo.hygiene", "ci.tests", "ci.review")
    assert ok("git", "rev-list", "--count", f"main..{BRANCH}", at=repository).strip() == "1"
    for path, kind in changes(repository).items():
        assert kind == "A" or path in (".gitignore", "pyproject.toml"), f"{kind} {path}"
        if kind == "M":
            assert only_adds(blob(repository, path, "main"), blob(repository, path))
    workflow = yaml.safe_load(blob(repository, ".github/workflows/ci.yml"))
    assert workflow["jobs"].keys() == {"tests", "required"}
    assert answers(repository)["capabilities"] == "repo.hygiene ci.tests ci.review"


def test_line_ends_of_theirs_are_kept(tmp_path: Path) -> None:
    """What is added to a file with Windows line ends has them too, whatever the attributes say."""
    repository = made(tmp_path / "calc", SHAPES["flat, setup.py, Windows"])
    adopted(repository, "repo.hygiene")
    ignored = blob(repository, ".gitignore")
    assert ignored.startswith(b"*.pyc\r\nbuild\r\n\r\n.env\r\n")
    assert ignored.count(b"\n") == ignored.count(b"\r\n")


INSTALLS = {
    "src, pyproject": "uv venv --quiet && uv pip install --quiet -e .",
    "flat, setup.py, Windows": "uv venv --quiet && uv pip install --quiet -e .",
    "setup.cfg": "uv venv --quiet && uv pip install --quiet -e .",
    "requirements": "uv venv --quiet && uv pip install --quiet -r requirements.txt -r requirements-dev.txt",
    "poetry": "uv venv --quiet && VIRTUAL_ENV=$PWD/.venv uvx --from 'poetry>=2,<3' poetry install --quiet --no-interaction",
    "ruff, hooks of theirs": "uv venv --quiet && uv pip install --quiet -e '.[test]'",
    "notebooks": "",
}
LAYOUTS = ("src layout", "flat layout", "flat layout", "scripts", "flat layout", "flat layout")
PYTHONS = ("3.11", "3.11", "3.12", "3.11", "3.11", "3.11", "3.11")


def facts_of(folder: Path, shape: Shape) -> Facts:
    """What is read of these files."""
    return Facts(made(folder / "calc", shape), "", tuple(sorted(shape)))


@pytest.mark.parametrize(
    ("name", "layout", "said"),
    list(zip(SHAPES, (*LAYOUTS, "notebooks"), PYTHONS)),
    ids=list(SHAPES),
)
def test_what_can_be_read_is_not_asked(name: str, layout: str, said: str, tmp_path: Path) -> None:
    """Layout, Python and the way to install come from the repository."""
    facts = facts_of(tmp_path, SHAPES[name])
    found = find_install_command(facts)[0].partition(" && { ")[0]
    assert (facts.layout, choose_python(facts)[0], found) == (layout, said, INSTALLS[name])


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"pyproject.toml": RUFF}, ("", "ruff", "79")),
        ({"pyproject.toml": RUFF + "[tool.ruff.format]\n"}, ("ruff", "ruff", "79")),
        ({".style.yapf": "[style]\ncolumn_limit = 90\n"}, ("yapf", "", "90")),
        ({"setup.cfg": "[flake8]\nmax-line-length = 99\n"}, ("", "flake8", "99")),
        ({"pyproject.toml": "[tool.black]\nline-length = 77\n"}, ("black", "", "77")),
        ({"Makefile": "lint:\n\tpylint calc\n"}, ("", "pylint", "")),
        ({".editorconfig": "[*.py]\nmax_line_length = 110\n"}, ("", "", "110")),
        ({"README.md": "We like black.\n"}, ("", "", "")),
    ],
    ids=["ruff", "ruff format", "yapf", "flake8", "black", "make", "editorconfig", "nothing"],
)
def test_style_of_theirs_is_read(files: Shape, wanted: tuple[str, ...], tmp_path: Path) -> None:
    """Formatter, linter and length of lines, wherever they are configured."""
    facts = facts_of(tmp_path, files)
    assert (find_formatter(facts)[0], find_linter(facts)[0], find_line_length(facts)[0]) == wanted


# ---- Refused, or worked around, in one line


def test_a_repository_that_takes_no_commit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No folder, no git, no commit, nobody's name, no Python: one line each, with the way out."""
    empty = tmp_path / "empty"
    assert "no such folder" in refused(empty, "repo.hygiene")
    empty.mkdir()
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert "git init" in refused(empty, "repo.hygiene")
    ok("git", "init", "--quiet", at=empty)
    assert "no commit yet" in refused(empty, "repo.hygiene")
    prose = made(tmp_path / "prose", {"README.md": "# Words\n"})
    assert "no Python" in refused(prose, "repo.hygiene")
    ok("git", "config", "--unset", "user.email", at=prose)
    ok("git", "config", "user.useConfigOnly", "true", at=prose)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    assert "git config user.name" in refused(prose, "repo.hygiene")


def test_what_a_capability_lacks_is_said_and_nothing_is_changed(tmp_path: Path) -> None:
    """CI without a test, an API without our core, a name that there is not, another forge."""
    repository = made(tmp_path / "notes", SHAPES["notebooks"])
    said = refused(repository, "repo.hygiene", "ci.tests")
    assert "needs a test that pytest finds" in said and 'CAPABILITIES="repo.hygiene"' in said
    assert "serving.api: needs a generated project and its library" in refused(
        repository, "serving.api"
    )
    assert "ci.tets: no such capability" in refused(repository, "ci.tets")
    other = made(tmp_path / "other", SHAPES["poetry"], remote="https://codeberg.org/ada/calc.git")
    assert "CI=github, CI=gitlab" in refused(other, "ci.tests")
    adopted(other, "ci.tests", "--ci", "gitlab")
    conda = made(
        tmp_path / "conda", {"environment.yml": "name: x\n", "test_a.py": TEST.format("a")}
    )
    assert "environment.yml is conda's" in refused(conda, "ci.tests")


def test_a_project_of_the_template_is_told_to_climb(tmp_path: Path) -> None:
    """What we have made has a record of its own, and another way up."""
    record = {"context": {"cookiecutter": {"maturity_level": "1", "framework": "xgboost"}}}
    shape = SHAPES["poetry"] | {".cruft.json": json.dumps(record)}
    assert "make climb LEVEL=n" in refused(made(tmp_path / "calc", shape), "repo.hygiene")


def test_without_a_capability_it_lists_what_can_be_had(tmp_path: Path) -> None:
    """Nothing is asked for: what is offered, what is missing, what is there already."""
    shape = SHAPES["poetry"] | {"calc/fit.py": "import mlflow\n"}
    repository = made(tmp_path / "calc", shape)
    before, old = state(repository), refs(repository)
    said = adopt(repository).stdout
    assert (state(repository), refs(repository)) == (before, old)
    assert re.search(r"^ci\.tests +offered: CI: your tests", said, re.MULTILINE)
    assert re.search(
        r"^serving\.api +needs a generated project and its library", said, re.MULTILINE
    )
    assert re.search(r"^tracking\.runs .*\(here: calc/fit\.py\)$", said, re.MULTILINE)


def test_uncommitted_work_is_left_alone_and_not_read(tmp_path: Path) -> None:
    """A dirty tree works: the branch is about what is committed."""
    repository = made(tmp_path / "calc", SHAPES["requirements"])
    (repository / "one.py").write_text("half an idea", encoding="utf-8")
    (repository / "requirements.txt").unlink()
    (repository / ".github").mkdir()
    (repository / ".github/pull_request_template.md").write_text("mine", encoding="utf-8")
    ok("git", "add", "one.py", at=repository)
    said = adopted(repository, "ci.tests", "ci.review")
    assert "left as they are: 3 files" in said
    assert re.search(r"pull_request_template\.md +a file that is not committed", said)
    assert ".github/pull_request_template.md" not in changes(repository)
    assert blob(repository, "one.py").decode() == CODE


@pytest.mark.slow
def test_a_detached_head_works(tmp_path: Path) -> None:
    """The branch begins at the commit that is checked out."""
    repository = made(tmp_path / "calc", SHAPES["poetry"])
    ok("git", "checkout", "--quiet", "--detach", at=repository)
    assert "on " + ok("git", "rev-parse", "main", at=repository)[:12] in adopted(
        repository, "ci.review"
    )


@pytest.mark.slow
def test_a_shallow_clone_works(tmp_path: Path) -> None:
    """A clone without history gets its commit, too."""
    origin = made(tmp_path / "origin", SHAPES["poetry"])
    (origin / "two.py").write_text("TWO = 2\n", encoding="utf-8")
    commit(origin, "Two")
    command = ["git", "clone", "--quiet", "--depth=1", f"file://{origin}", "calc"]
    ok(*command, at=tmp_path)
    for name, value in {"user.name": "Ada", "user.email": "ada@example.com"}.items():
        ok("git", "config", name, value, at=tmp_path / "calc")
    adopted(tmp_path / "calc", "repo.hygiene")


@pytest.mark.slow
def test_a_submodule_stays_and_ci_fetches_it(tmp_path: Path) -> None:
    """The commit of a submodule stays named; the job of the tests checks it out."""
    inner = made(tmp_path / "inner", {"README.md": "# Inner\n"})
    repository = made(tmp_path / "calc", SHAPES["poetry"])
    add = ["git", "-c", "protocol.file.allow=always", "submodule", "--quiet", "add"]
    ok(*add, str(inner), "vendor/inner", at=repository)
    ok("git", "commit", "--quiet", "-m", "Inner", at=repository)
    adopted(repository, "ci.tests")
    listed = ["git", "ls-tree", BRANCH, "vendor/inner"]
    assert ok(*listed, at=repository).startswith("160000 commit")
    workflow = yaml.safe_load(blob(repository, ".github/workflows/ci.yml"))
    assert workflow["jobs"]["tests"]["steps"][0]["with"]["submodules"] == "recursive"


def test_a_folder_of_a_larger_repository_is_adopted_by_itself(tmp_path: Path) -> None:
    """Its own files go into it, CI to the top, and the rest of the repository is not looked at."""
    shape: Shape = {f"packages/calc/{name}": it for name, it in SHAPES["poetry"].items()}
    repository = made(tmp_path / "all", shape | {"packages/other/setup.py": SETUP})
    adopted_into = repository / "packages/calc"
    before = state(repository)
    done = adopt(adopted_into, "repo.hygiene", "ci.tests")
    assert (done.returncode, done.stderr) == (0, "") and state(repository) == before
    assert changes(repository) == {
        ".github/workflows/ci-packages-calc.yml": "A",
        "packages/calc/.cruft.json": "A",
        "packages/calc/.gitignore": "A",
        "packages/calc/pyproject.toml": "M",
    }
    workflow = yaml.safe_load(blob(repository, ".github/workflows/ci-packages-calc.yml"))
    tests = workflow["jobs"]["tests"]
    assert tests["defaults"] == {"run": {"working-directory": "packages/calc"}}


@pytest.mark.slow
def test_what_stands_where_ours_would_go_is_left_alone(tmp_path: Path) -> None:
    """Files, folders and links of theirs, and what does the same under another name."""
    shape = SHAPES["poetry"] | {
        ".github/workflows/ci.yml": "on: push\n",
        ".github/dependabot.yml": "version: 2\n",
        ".github/PULL_REQUEST_TEMPLATE.md": "Say why.\n",
        ".github/rulesets/main.json/README.md": "A folder\n",
    }
    repository = made(tmp_path / "calc", shape)
    said = adopted(repository, "ci.tests", "ci.review")
    for name, why in {
        ".github/workflows/ci.yml": "a file of yours",
        "renovate.json": r"\.github/dependabot\.yml does it already",
        ".github/rulesets/main.json": "a folder, a link or a submodule",
        ".github/pull_request_template.md": r"\.github/PULL_REQUEST_TEMPLATE\.md does it already",
    }.items():
        assert re.search(rf"^{re.escape(name)} +{why}", said, re.MULTILINE), said
        assert name not in changes(repository)
    message = ok("git", "log", "-1", "--format=%B", BRANCH, at=repository)
    assert "Left alone:" in message and "- renovate.json:" in message


@pytest.mark.slow
def test_gitlab_is_read_from_the_remote(tmp_path: Path) -> None:
    """A remote on a GitLab of one's own brings GitLab's files, and none of GitHub's."""
    remote = "https://gitlab.example.com/ada/calc.git"
    repository = made(tmp_path / "calc", SHAPES["poetry"], remote=remote)
    adopted(repository, "ci.tests", "ci.review")
    found = changes(repository)
    assert ".gitlab-ci.yml" in found and not any(name.startswith(".github/") for name in found)


# ---- Again, and later


@pytest.mark.slow
def test_a_branch_that_is_there_is_not_touched(tmp_path: Path) -> None:
    """A second run says that the branch is there; another name works."""
    repository = made(tmp_path / "calc", SHAPES["poetry"])
    adopted(repository, "ci.tests")
    assert f"git branch -D {BRANCH}" in refused(repository, "ci.review")
    assert adopt(repository, "ci.review", "--branch", "more").returncode == 0
    assert "no name for a branch" in refused(repository, "ci.review", "--branch", "a..b")


@pytest.mark.slow
def test_more_capabilities_come_later(tmp_path: Path) -> None:
    """What was adopted stays as it is, also where they have edited it; only what is new comes."""
    repository = made(tmp_path / "calc", SHAPES["poetry"])
    adopted(repository, "ci.tests", "repo.hygiene")
    ok("git", "merge", "--quiet", BRANCH, at=repository)
    ok("git", "branch", "--quiet", "-D", BRANCH, at=repository)
    workflow = repository / ".github/workflows/ci.yml"
    workflow.write_text(workflow.read_text("utf-8") + "# mine\n", encoding="utf-8")
    ignored = repository / ".gitignore"
    ignored.write_text(ignored.read_text("utf-8").replace("dist/\n", ""), encoding="utf-8")
    ok("git", "commit", "--quiet", "--all", "-m", "Mine", at=repository)
    assert "No branch is made" in adopt(repository, "ci.tests").stdout
    assert f"refs/heads/{BRANCH}" not in refs(repository)
    adopted(repository, "ci.review")
    assert changes(repository) == {
        ".cruft.json": "M",
        ".github/pull_request_template.md": "A",
        ".github/rulesets/main.json": "A",
        "renovate.json": "A",
    }
    assert answers(repository)["capabilities"] == "repo.hygiene ci.tests ci.review"


def test_a_newer_template_brings_what_has_changed_and_no_edit_is_lost() -> None:
    """What they left as it came follows the template; what they edited, or deleted, is theirs."""
    theirs = {"same": b"old\n", "edited": b"old, and mine\n", "new": None, "gone": None}
    base = {"same": b"old\n", "edited": b"old\n", "gone": b"old\n"}
    ours = {name: b"newer\n" for name in theirs}
    found = merge_files(ours, base, theirs.get, {})
    assert found.changed == {"same": b"newer\n", "new": b"newer\n"}
    assert found.alone == {
        "edited": "a file of yours stands there",
        "gone": "was adopted once, and is gone: it stays away",
    }


def test_a_block_of_ours_in_a_file_of_theirs_follows_the_template() -> None:
    """A shared file gets the new block in the place of the old one, in its own line ends."""
    theirs = b"# theirs\r\n*.pyc\r\n\r\n.env\r\n*.old\r\n# after\r\n"
    found = merge_files(
        {".gitignore": b".env\n*.new\n"},
        {".gitignore": b".env\n*.old\n"},
        {".gitignore": theirs}.get,
        {},
    )
    assert found.changed == {".gitignore": theirs.replace(b"*.old", b"*.new")}


# ---- Merging, to the byte


def test_hooks_are_added_behind_theirs_and_nothing_moves() -> None:
    """Indentation, comments and what follows the list stay; a hook of theirs is not doubled."""
    ours = "repos:\n  - repo: local\n    hooks:\n"
    lines = [
        f"      - {{id: {name}, name: x, entry: x, language: python}}\n"
        for name in ("black", "trailing-whitespace", "check-json")
    ]
    after = merge_hooks(THEIR_HOOKS, ours + "".join(lines), "")
    block = "- repo: local\n  hooks:\n  " + lines[2].strip().join(["  ", "\n"])
    assert only_adds(THEIR_HOOKS.encode(), after.encode())
    assert block in after and after.count("id: ") == 3
    assert after.index("--quiet") < after.index("check-json") < after.index("\nci:")


@pytest.mark.parametrize(
    "theirs",
    ["repos: [{repo: local, hooks: []}]\n", "repos: []\n", "- a\n", "a: [\n", "repos: 3\n", ""],
)
def test_hooks_that_cannot_be_added_safely_are_left_out(theirs: str) -> None:
    """A list in brackets, no list, or no YAML: theirs stays, and the reason is said."""
    with pytest.raises(ValueError, match="lines of its own|no list|cannot be read"):
        merge_hooks(theirs, "repos:\n  - repo: local\n    hooks:\n      - {id: x, name: x}\n", "")


def test_tables_are_added_behind_theirs() -> None:
    """Comments, order and out-of-order tables stay; a tool that is configured is left alone."""
    theirs = '[tool.black] # mine\nline-length = 79\n[project]\nname = "x"\n[tool.pytest]\n'
    ours = "[tool.black]\nline-length = 100\n\n[tool.pylint.format]\nmax-line-length = 100\n"
    after = merge_pyproject(theirs, ours, "")
    assert after == theirs + "\n[tool.pylint.format]\nmax-line-length = 100\n"
    assert merge_pyproject(after, ours, "") == after
    for broken in ("tool = 3 4", "tool = {black = {}}\n"):
        with pytest.raises(ValueError, match="TOML|behind"):
            merge_pyproject(broken, ours, "")


def test_mixed_line_ends_stay_mixed() -> None:
    """Each line of theirs keeps its end, wherever ours are put in."""
    theirs = "a\r\nb\nc\r\nd"
    plain = theirs.replace("\r\n", "\n")
    assert keep_line_ends(theirs, plain, plain + "\nnew\n") == theirs + "\r\nnew\r\n"
    assert keep_line_ends(theirs, plain, "a\nnew\nb\nc\nd") == "a\r\nnew\r\nb\nc\r\nd"
