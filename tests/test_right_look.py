"""Looking at a repository: nothing of it is executed, sent or believed; its words are only text."""

import json
import os
import sqlite3
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import commit, LADDER, ok, plant, run
from test_maturity import foreign

from mlops_ladder.maturity import grading, page, report, syntax, Unknown
from mlops_ladder.maturity.database import read_mlflow_records
from mlops_ladder.maturity.forge import Forge
from mlops_ladder.maturity.repo import has_secret, list_code_lines
from mlops_ladder.maturity.repository import Repository

CONFIG = """
[core]
    fsmonitor = {run} fsmonitor
    hooksPath = {hooks}
    pager = {run} pager
    sshCommand = {run} ssh
    askPass = {run} askpass
    gitProxy = {run} proxy
    editor = {run} editor
    alternateRefsCommand = {run} alternates
[diff]
    external = {run} external
[diff "evil"]
    textconv = {run} textconv
    command = {run} command
[filter "evil"]
    process = {run} process
[filter "other"]
    clean = {run} clean
    smudge = {run} smudge
[log]
    showSignature = true
[gpg]
    program = {run} gpg
[credential]
    helper = !{run} credential
[alias]
    ls-files = !{run} alias
[include]
    path = included
[remote "origin"]
    url = ext::{run} remote
    promisor = true
    uploadpack = {run} uploadpack
    partialclonefilter = blob:none
[extensions]
    partialClone = origin
"""
HOOKS = ("post-index-change", "fsmonitor-watchman", "post-checkout", "pre-auto-gc")
EXECUTED = {  # what Python tools would execute
    "conftest.py": "import pathlib; pathlib.Path({marks!r}, 'conftest').touch()\n",
    "setup.py": "import pathlib; pathlib.Path({marks!r}, 'setup').touch()\n",
    "sitecustomize.py": "import pathlib; pathlib.Path({marks!r}, 'sitecustomize').touch()\n",
    "yaml.py": "import pathlib; pathlib.Path({marks!r}, 'yaml').touch()\n",
    ".pylintrc": "[MAIN]\ninit-hook=open({marks!r} + '/pylint', 'w')\n",
    "Makefile": "$(shell touch {marks}/make)\nfit:\n\ttouch {marks}/fit\n",
}


@pytest.fixture(name="hostile")
def _hostile(tmp_path: Path) -> Path:
    """A repository in which everything that can name a program names one that leaves a mark."""
    project, marks = foreign(tmp_path / "theirs"), tmp_path / "marks"
    marks.mkdir()
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\ntouch "{marks}/$1"\ncat\n', encoding="utf-8")
    program.chmod(0o755)
    for name, text in EXECUTED.items():
        (project / name).write_text(text.format(marks=str(marks)), encoding="utf-8")
    (project / ".gitattributes").write_text(
        "* diff=evil filter=evil\n*.txt filter=other\n", encoding="utf-8"
    )
    (project / "note.txt").write_text("nothing\n", encoding="utf-8")
    os.utime(project / "note.txt", (1, 1))  # old, so that git compares what the file holds
    ok("git", "init", "--quiet", "inner", at=project)
    (project / "inner/a.txt").write_text("a\n", encoding="utf-8")
    commit(project / "inner")
    ok("git", "init", "--quiet", "--bare", "bare", at=project)
    commit(project, "More")
    hooks = tmp_path / "hooks"
    for folder in (hooks, project / ".git/hooks"):
        for hook in HOOKS:
            folder.mkdir(exist_ok=True)
            (folder / hook).write_text(f"#!/bin/sh\n{program} {hook}\n", encoding="utf-8")
            (folder / hook).chmod(0o755)
    config = CONFIG.format(run=program, hooks=hooks)
    for place in (project / ".git", project / "inner/.git", project / "bare"):
        with (place / "config").open("a", encoding="utf-8") as file:
            file.write(config)
    (project / ".git/included").write_text(f"[core]\n\tfsmonitor = {program} included\n", "utf-8")
    (project / "note.txt").write_text("another\n", encoding="utf-8")
    (project / ".venv/bin").mkdir(parents=True)
    for name in ("python", "pytest", "pylint", "git"):
        (project / ".venv/bin" / name).symlink_to(program)
    sqlite3.connect(project / "mlflow.db").close()
    kept = {"time": "2026-01-01T00:00:00+00:00", "bond": {}, "exercised": ["repo.vcs"]}
    (project / ".maturity").mkdir()
    (project / ".maturity/evidence.json").write_text(json.dumps(kept), encoding="utf-8")
    return project


def marks_of(project: Path) -> set[str]:
    """The marks that programs have left; they are taken away."""
    found = list((project.parent / "marks").iterdir())
    for path in found:
        path.unlink()
    return {path.name for path in found}


def test_assessing_executes_nothing_of_a_repository(hostile: Path) -> None:
    """Plain git executes what it names, so the fixture is alive; the tool executes none of it."""
    plain = ["-c", "core.fsmonitor="]
    asked = (["status"], [*plain, "status"], [*plain, "log", "-p", "--all"], [*plain, "diff"])
    for command in (*asked, [*plain, "-c", "diff.external=", "log", "-G", "good", "-p"]):
        subprocess.run(["git", *command], cwd=hostile, capture_output=True, check=False)
    assert marks_of(hostile) >= {"included", "process", "clean", "textconv", "command"}
    for form in ("--json", "--html", "--markdown"):
        done = run(LADDER, "maturity", form, ".", at=hostile, MLFLOW_TRACKING_URI="http://x")
        assert done.returncode == 0, done.stderr
    known = json.loads(run(LADDER, "maturity", "--json", "--out", "-", ".", at=hostile).stdout)
    assert known["claimed"] is None and known["equipped"] == 0
    grades = {it["id"]: it["grade"] for it in known["capabilities"]}
    assert grades["repo.hygiene"] == "present" and grades["tracking.runs"] == "present"
    assert marks_of(hostile) == set()


def test_what_executes_asks_first_and_refuses_where_nobody_answers(hostile: Path) -> None:
    """`--deep` names what it does and the way out; the tool of a project trusts that project."""
    done = run(LADDER, "maturity", ".", "--deep", "--only", "repo.vcs", at=hostile)
    assert done.returncode == 3 and marks_of(hostile) == set()
    assert "--deep executes its code" in done.stderr and "add --yes if you trust it" in done.stderr
    done = run(LADDER, "maturity", ".", "--deep", "--yes", "--only", "repo.vcs", at=hostile)
    assert "trials and faults, in a copy" in done.stderr


@pytest.mark.parametrize(
    "origin",
    [
        "https://git.example.com/ada/it.git",
        "git@gitlab.example.com:ada/it.git",
        "https://github.com.example.com/ada/it",
        "https://api.github.com@example.com/ada/it",
    ],
)
def test_a_token_is_sent_to_no_host_that_only_the_repository_names(
    tmp_path: Path, origin: str
) -> None:
    """GitHub and GitLab themselves, and hosts of the user's own variables, are asked; no other."""
    project = foreign(tmp_path / "theirs")
    (project / ".gitlab-ci.yml").write_text("test:\n  script: [pytest]\n", encoding="utf-8")
    ok("git", "remote", "add", "origin", origin, at=project)
    tokens = {"GITHUB_TOKEN": "x", "GITLAB_TOKEN": "y", "PATH": os.environ["PATH"]}
    with pytest.raises(Unknown, match="is no forge that you have named"):
        Forge(Repository(project, tokens))


def test_a_host_that_the_user_names_is_asked_and_leads_a_token_nowhere_else(tmp_path: Path) -> None:
    """GITLAB_HOST names one; an answer that leads to another host is not followed."""
    project, seen = foreign(tmp_path / "theirs"), []

    class Leading(BaseHTTPRequestHandler):
        """Leads to another name of this machine."""

        def do_GET(self) -> None:
            """One request."""
            seen.append(self.headers["Host"])
            self.send_response(302)
            # The base class names no port: another kind of server may hold it.
            self.send_header("Location", f"http://localhost:{self.server.server_port}/")  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Leading)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ok("git", "remote", "add", "origin", "git@code.example.com:ada/it.git", at=project)
    named = {"GITLAB_TOKEN": "y", "GITLAB_HOST": "code.example.com", "PATH": os.environ["PATH"]}
    forge = Forge(Repository(project, named))
    assert forge.address == "https://code.example.com/api/v4/projects/ada%2Fit"
    forge.address = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(Unknown, match="leads to another host"):
        forge.passed()
    assert seen == [f"127.0.0.1:{server.server_port}"]
    server.shutdown()
    server.server_close()


# ---- Files that cannot be read

BOMB = "a: &a [1, 1]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghijklmnopqrst", "bcdefghijklmnopqrstu")
)
UNREADABLE = {
    "deep.py": "x = " + "(" * 5000 + ")" * 5000,
    "sums.py": "x = " + "1 + " * 50_000 + "1",
    "deep.toml": "x = " + "[" * 20_000 + "]" * 20_000,
    "deep.json": "[" * 90_000 + "]" * 90_000,
    "deep.yaml": "[" * 20_000 + "]" * 20_000,
    "bomb.yaml": BOMB,
    "itself.yaml": "&a [*a]\n",
    "deep.ipynb": '{"cells": ' + "[" * 90_000 + "]" * 90_000 + "}",
    "huge.json": "9" * 10_000,
}


def test_a_file_that_cannot_be_read_is_named_and_the_rest_is_judged(tmp_path: Path) -> None:
    """Nested, endless, huge, no file at all: each is left out, and the grades are the same."""
    project = foreign(tmp_path / "theirs")
    before = {it.id: it.grade for it in grading.assess(Repository(project)).capabilities}
    for name, text in UNREADABLE.items():
        (project / name).write_text(text, encoding="utf-8")
    os.mkfifo(project / "pipe.py")
    (project / "loop.py").symlink_to("loop.py")
    (project / "zero.py").symlink_to("/dev/zero")
    (project / "passwd.py").symlink_to("/etc/passwd")
    Path(os.fsdecode(bytes(project) + b"/\xff\xfe.py")).write_text("import x\n", encoding="utf-8")
    (project / "line\nclaimed 4.py").write_text("import x\n", encoding="utf-8")
    repository = Repository(project)
    assert {"loop.py", "zero.py", "passwd.py", "pipe.py"} & set(repository.files) == set()
    assert [
        name for name in UNREADABLE if repository.parsed(name) is not None and name[-3:] != ".py"
    ] == []
    found = grading.assess(repository)
    assert {it.id: it.grade for it in found.capabilities} == before
    assert "deep.ipynb: is nested too deeply to be read" in found.notes
    done = run(LADDER, "maturity", "--json", "--out", "-", ".", at=project)
    assert done.returncode == 0 and json.loads(done.stdout)["equipped"] == 0, done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "tool = 3",
        "[tool]\nmaturity = [1]",
        "[tool.mlops-ladder]\nwaivers = 3",
        "project = []",
        "[project]\nscripts = 'x'",
        "[dependency-groups]\na = 3\n[[project.entry-points]]\nx = 1",
    ],
)
def test_settings_of_another_shape_end_no_report(tmp_path: Path, text: str) -> None:
    """pyproject.toml may hold anything: its tables are lists there, or numbers."""
    project = foreign(tmp_path / "theirs")
    (project / "pyproject.toml").write_text(f"{text}\n", encoding="utf-8")
    (project / ".cruft.json").write_text('{"context": {"cookiecutter": {"maturity_level": [1]}}}')
    assert report.render_text(grading.assess(Repository(project))).startswith("claimed nothing | ")


def test_a_database_is_read_as_data_and_not_for_ever(tmp_path: Path) -> None:
    """One that is none, a store without its tables, and a view without an end are unknown."""
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"no database" * 100)
    with pytest.raises(Unknown, match="mlflow.db: file is not a database"):
        read_mlflow_records(path)
    path.unlink()
    sqlite3.connect(path).close()
    with pytest.raises(Unknown, match="is no store of MLflow"):
        read_mlflow_records(path)
    assert [it.name for it in tmp_path.iterdir()] == ["mlflow.db"]
    os.mkfifo(tmp_path / "pipe.db")
    with pytest.raises(Unknown, match="no such file"):
        read_mlflow_records(tmp_path / "pipe.db")


# ---- Code, tests, READMEs and keys of others

PROVES = {
    "class T(TestCase):\n    def test_a(self):\n        self.assertEqual(f(1), 2)\n": 1,
    "class T(TestCase):\n    def test_a(self):\n        with self.assertRaises(ValueError):\n            f()\n": 1,
    "class T(TestCase):\n    def test_a(self):\n        self.assertTrue(True)\n": 0,
    "def test_a():\n    np.testing.assert_allclose(f(1), 2)\n": 1,
    "def test_a():\n    pd.testing.assert_frame_equal(f(), g())\n": 1,
    "def test_a():\n    assert_array_equal(f(), [1])\n": 1,
    "def test_a():\n    torch.testing.assert_close(f(), g())\n": 1,
    "def test_a():\n    np.testing.assert_allclose(1, 1)\n": 0,
    "def test_a(client):\n    client.post.assert_called_once()\n": 1,
    "def test_a():\n    with pytest.raises(ValueError):\n        f()\n": 1,
    "@given(integers())\ndef test_a(x):\n    assert f(x) == x\n": 1,
    "def check(x):\n    assert f(x) == x\n\n\ndef test_a():\n    check(1)\n": 1,
    "def check(x):\n    print(x)\n\n\ndef test_a():\n    check(1)\n": 0,
    "def test_a():\n    assert True\n": 0,
    "def test_a():\n    f(1)\n": 0,
}


@pytest.mark.parametrize("text", PROVES)
def test_every_kind_of_assertion_compares_and_one_of_constants_does_not(text: str) -> None:
    """unittest, numpy, pandas, torch, pytest, mocks, hypothesis, helpers of the same file."""
    assert len(syntax.list_tests(text)) == PROVES[text]


def test_examples_in_docstrings_are_tests_if_something_runs_them(tmp_path: Path) -> None:
    """A `>>>` with its answer counts where doctest is named; without an answer it does not."""
    project = foreign(tmp_path / "theirs")
    (project / "tests/test_fit.py").write_text("def test_a():\n    f(1)\n", encoding="utf-8")
    (project / "it").mkdir()
    (project / "it/__init__.py").write_text(
        'def f():\n    """Add.\n\n    >>> 1 + 1\n    2\n    """\n    return f\n'
    )
    said = "no test compares anything"

    def problems() -> list[str]:
        found = {it.id: it for it in grading.assess(Repository(project)).capabilities}
        return found["repo.vcs"].problems

    assert said in problems()
    (project / "pytest.ini").write_text("[pytest]\naddopts = --doctest-modules\n", encoding="utf-8")
    assert said not in problems()
    plant(project / "it/__init__.py", "    2\n", "")
    assert said in problems()


CELLS = [
    "%matplotlib inline\n",
    "!pip install x\n",
    "import mlflow\n",
    "model = %time fit()\n",
    "fit?",
]
NOTEBOOK = {
    "cells": [
        {"cell_type": "markdown", "source": ["import torch"]},
        {"cell_type": "code", "source": CELLS},
        {"cell_type": "code", "source": "%%bash\nimport ray"},
        {"cell_type": "code", "source": "%%time\nimport optuna.samplers"},
        {"cell_type": "code", "source": "no python ("},
        {"cell_type": "code", "source": "for x in y:\n    !echo {x}\n    import shap\n"},
    ]
}


def test_what_a_notebook_imports_is_seen(tmp_path: Path) -> None:
    """Cells of Python are read without their magics; text, shells and broken cells are not."""
    names = syntax.list_imports(syntax.read_notebook_code(NOTEBOOK))
    assert names == {"mlflow", "optuna", "optuna.samplers", "shap"}
    project = foreign(tmp_path / "theirs")
    (project / "fit.py").write_text("def fit():\n    print(1)\n", encoding="utf-8")
    grades = {it.id: it.grade for it in grading.assess(Repository(project)).capabilities}
    assert (grades["tracking.runs"], grades["model.tune"]) == ("absent", "absent")
    picture = {"cell_type": "raw", "source": "A" * 2_000_000}
    cells = {"cells": [picture, *NOTEBOOK["cells"]]}
    (project / "fit.ipynb").write_text(json.dumps(cells), encoding="utf-8")
    grades = {it.id: it.grade for it in grading.assess(Repository(project)).capabilities}
    assert (grades["tracking.runs"], grades["model.tune"]) == ("present", "present")


READMES = {
    "Fenced:\n\n```console\n$ make fit\n```\n": ["make fit"],
    "1. Do\n\n   ```sh\n   make fit\n   ```\n": ["make fit"],
    "~~~\nmake fit\n~~~\n": ["make fit"],
    "Start it:\n\n    make fit\n    make test\n\nMore.\n": ["make fit", "make test"],
    "Start\n=====\n\n.. code-block:: bash\n\n    make fit\n": ["make fit"],
    "Start::\n\n  make fit\n\nEnd.\n": ["make fit"],
    "Start\n-----\n\n.Run\n----\nmake fit\n----\n": ["make fit"],
    "- an item\n\n    more of the item\n": [],
    "A title\n-------\n\nNothing but words.\n": [],
    "Words\n    that go on\n": [],
}


@pytest.mark.parametrize("text", READMES)
def test_commands_are_seen_in_every_markup_of_a_readme(text: str) -> None:
    """Fences, indented blocks, reStructuredText and AsciiDoc; the text of a list is no command."""
    assert list_code_lines(text) == READMES[text]


@pytest.mark.parametrize("name", ["README.rst", "readme.txt", "README", "Readme.adoc"])
def test_a_readme_of_any_name_says_how_to_start(tmp_path: Path, name: str) -> None:
    """Its commands are read, and it is named where it holds none."""
    project = foreign(tmp_path / "theirs")
    (project / "README.md").unlink()
    (project / name).write_text("Ours\n====\n\nTrain it::\n\n    make fit\n", encoding="utf-8")

    def entry() -> list[str]:
        found = {it.id: it for it in grading.assess(Repository(project)).capabilities}
        return found["repo.entrypoint"].problems

    assert entry() == []
    (project / name).write_text("Ours\n====\n\nTrain it.\n", encoding="utf-8")
    assert entry() == [f"{name}: no block of commands in it says how to start"]


KEY = "AKIA" + "Z7Q2M4X6B8D1F3H5"
LEAKS = {
    f"aws_key = {KEY}": True,
    f"KEY={KEY}": True,
    f'"{KEY}"': True,
    f"iVBORw0KGgo{KEY}ANSUhEUg==": False,
    f"iVBORw0KGgo/{KEY}+NSUhEUg==": False,
    "AKIA" + "IOSFODNN7EXAMPLE": False,
    "ghp_" + "x" * 36: False,
    "token: ghp_" + "a1B2c3D4e5F6g7H8i9" * 2: True,
    "-----BEGIN RSA PRIVATE" + " KEY-----": True,
    "-----BEGIN PUBLIC KEY-----": False,
}


@pytest.mark.parametrize("text", LEAKS)
def test_a_key_is_a_word_of_its_own(tmp_path: Path, text: str) -> None:
    """A part of a picture in base64, and the example of a manual, are none; also in the history."""
    assert has_secret(text) == LEAKS[text]
    project = foreign(tmp_path / "theirs")
    (project / "seen.txt").write_text(f"{text}\n", encoding="utf-8")
    commit(project, "Seen")
    (project / "seen.txt").unlink()
    commit(project, "Gone")
    found = {it.id: it for it in grading.assess(Repository(project)).capabilities}
    assert bool(found["repo.hygiene"].problems) == LEAKS[text]
    assert all(it.startswith("seen.txt: holds a secret") for it in found["repo.hygiene"].problems)


def test_hints_to_others_name_no_file_and_no_command_of_ours(tmp_path: Path) -> None:
    """They say by what a capability would be seen; nothing claimed is no failure."""
    project = foreign(tmp_path / "theirs")
    found = grading.assess(Repository(project))
    said = report.render_text(found) + report.render_markdown(found)
    for ours in (
        "make climb",
        "make train",
        "make contract",
        "config.toml",
        "contract.toml",
        "config/gate.toml",
    ):
        assert ours not in said
    assert "looked for one of these files or folders: uv.lock, poetry.lock" in said
    assert report.get_exit_code(found) == 0
    found.claimed = 2
    assert report.get_exit_code(found) == 1


def test_a_folder_of_a_larger_repository_is_judged_with_the_workflows_at_its_top(
    generate: Any, tmp_path: Path
) -> None:
    """No forge reads workflows in a folder: they count at the top, if they name the folder."""
    top = tmp_path / "larger"
    project = top / "models/delays"
    (top / "models").mkdir(parents=True)
    ok("cp", "-R", str(generate(maturity_level="2")), str(project), at=tmp_path)
    commit(top)

    def judged() -> tuple[int, str]:
        found = grading.assess(Repository(project))
        grades = {it.id: it.grade for it in found.capabilities}
        assert any("models/delays lies in a larger repository" in it for it in found.notes)
        return found.equipped, grades["ci.tests"]

    assert judged() == (1, "declared")
    (project / ".github").rename(top / ".github")
    assert judged() == (1, "declared")
    for path in (top / ".github/workflows").iterdir():
        text = path.read_text(encoding="utf-8")
        path.write_text(f"{text}\n# defaults: working-directory: models/delays\n", encoding="utf-8")
    assert judged()[1] == "present"
    assert {
        it.id: it.problems for it in grading.assess(Repository(project)).capabilities if it.problems
    } == {}


def test_words_of_a_repository_are_text_in_every_form(tmp_path: Path) -> None:
    """Names of files that hold markup, and what steers a terminal, are shown as they are."""
    project = foreign(tmp_path / "theirs")
    name = "<script>alert(1)|`[x](javascript:y)\x1b[2J\n- `ci.tests` *present*"
    (project / name).write_text("x", encoding="utf-8")
    (project / "CODEOWNERS").write_text("/nothing @ada\n", encoding="utf-8")
    found = grading.assess(Repository(project))
    for said in (report.render_text(found), report.explain_capability(found, "gov.ownership")):
        assert "\x1b" not in said and "\n- `ci" not in said
    assert "\\x1b[2J\\n- `ci" in said
    assert "<script>" not in page.render_page(found)
    marked = report.render_markdown(found).partition("```")[0]
    assert "&#60;script&#62;alert(1)&#124;&#96;&#91;x&#93;(javascript:y)" in marked
    assert [sign for sign in ("<script>", "](javascript", "`[x") if sign in marked] == []
