"""Adopting runs nothing of a repository without a yes, and brings only jobs that can be green."""

import json
import os
from pathlib import Path

import pytest
import yaml
from adopt_facts import Facts
from adopt_hooks import excuses, Finding
from conftest import ok
from test_adopt import (
    SHAPES,
    Shape,
    adopt,
    adopted,
    answers,
    blob,
    changes,
    facts_of,
    made,
    refused,
)

# ---- A hostile repository: each vector writes a marker when it is run


def vector(marks: Path, name: str) -> str:
    """A command that leaves a marker."""
    return f"touch {marks}/{name}"


def python_vector(marks: Path, name: str) -> str:
    """The same in Python."""
    return f"open({str(marks / name)!r}, 'w').close()\n"


def hostile(folder: Path, marks: Path) -> Path:
    """A repository in which all that can name a program names one."""
    marks.mkdir()
    theirs = folder.parent / "their-template"
    (theirs / "templates/adopted/{{cookiecutter.project_slug}}").mkdir(parents=True)
    (theirs / "templates/adopted/hooks").mkdir()
    (theirs / "templates/adopted/hooks/pre_gen_project.py").write_text(
        python_vector(marks, "template-hook"), encoding="utf-8"
    )
    (theirs / "templates/adopted/cookiecutter.json").write_text(
        '{"project_slug": "x"}', encoding="utf-8"
    )
    commit = "0" * 40
    jinja = f"[[ cycler.__init__.__globals__.os.system('{vector(marks, 'answer')}') ]]"
    record = {
        "template": str(theirs),
        "commit": commit,
        "directory": "templates/adopted",
        "context": {"cookiecutter": {"capabilities": "repo.hygiene", "ignored": ".env"}},
    }
    shape: Shape = SHAPES["requirements"] | {
        ".cruft.json": json.dumps(record),
        ".gitattributes": "*.py filter=evil diff=evil merge=evil\n",
        ".gitmodules": f'[submodule "a"]\n\tpath = a\n\turl = ext::sh -c "{vector(marks, "url")}"\n'
        f"\tupdate = !{vector(marks, 'update')}\n",
        ".pylintrc": f"[MASTER]\ninit-hook={python_vector(marks, 'init-hook')}\nload-plugins=plug\n",
        "plug.py": python_vector(marks, "plugin"),
        "setup.py": python_vector(marks, "setup.py"),
        "conftest.py": python_vector(marks, "conftest"),
        "yaml.py": python_vector(marks, "shadow"),
        "sitecustomize.py": python_vector(marks, "sitecustomize"),
        "Makefile": f"x := $(shell {vector(marks, 'make')})\ntest:\n\tpytest\n",
        "tox.ini": f"[testenv]\ncommands = {vector(marks, 'tox')}\n",
        ".pre-commit-config.yaml": "repos:\n- repo: local\n  hooks:\n  - {id: evil, name: evil,"
        f" entry: {vector(marks, 'hook')}, language: system}}\n",
        f"requirements-test-{jinja.replace('/', '_')}.txt": "pytest\n",
    }
    repository = made(folder, shape)
    bare = repository / "bare"
    (bare / "objects").mkdir(parents=True)
    (bare / "refs").mkdir()
    (bare / "HEAD").write_text("ref: refs/heads/main\n", encoding="utf-8")
    (bare / "config").write_text(
        "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = ..\n"
        f"\tfsmonitor = {vector(marks, 'bare')}\n",
        encoding="utf-8",
    )
    scripts = repository / ".git/hooks"
    scripts.mkdir(exist_ok=True)
    for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-commit"):
        script = scripts / name
        script.write_text(f"#!/bin/sh\n{vector(marks, name)}\n", encoding="utf-8")
        script.chmod(0o755)
    (repository / ".git/more").write_text(
        f"[core]\n\tfsmonitor = {vector(marks, 'fsmonitor')}\n\thooksPath = {scripts}\n"
        f"\tsshCommand = {vector(marks, 'ssh')}\n\talternateRefsCommand = {vector(marks, 'refs')}\n"
        f"\tpager = {vector(marks, 'pager')}\n\teditor = {vector(marks, 'editor')}\n"
        f'[diff]\n\texternal = {vector(marks, "external")}\n'
        f'[diff "evil"]\n\ttextconv = {vector(marks, "textconv")}\n'
        f'[filter "evil"]\n\tclean = {vector(marks, "clean")}; cat\n\trequired = true\n'
        f"\tsmudge = {vector(marks, 'smudge')}; cat\n"
        '[protocol]\n\tallow = always\n[protocol "ext"]\n\tallow = always\n'
        f'[url "ext::sh -c {vector(marks, "rewritten").replace(" ", "% ")}% %S% "]\n'
        "\tinsteadOf = /\n",
        encoding="utf-8",
    )
    with (repository / ".git/config").open("a", encoding="utf-8") as config:
        config.write("[include]\n\tpath = more\n")
    os.utime(repository / "one.py", (1, 1))  # git has to read it again: the filter would run
    return repository


def test_the_vectors_of_the_hostile_repository_do_run(tmp_path: Path) -> None:
    """Git by itself runs them: the next test would see it."""
    marks = tmp_path / "marks"
    repository = hostile(tmp_path / "calc", marks)
    ok("git", "status", at=repository)
    assert {"fsmonitor", "clean"} <= {it.name for it in marks.iterdir()}


def test_listing_and_adopting_run_nothing_of_a_repository(tmp_path: Path) -> None:
    """No marker is there after listing, after adopting files, and after a refused first run."""
    marks = tmp_path / "marks"
    repository = hostile(tmp_path / "calc", marks)
    listed = adopt(repository)
    assert listed.returncode == 0 and "Nothing is changed" in listed.stdout, listed.stderr
    assert "no git repository" in adopt(repository / "bare").stderr
    assert "does not have it in its history" in refused_only(repository, "ci.review")
    assert [it.name for it in marks.iterdir()] == []
    (repository / ".cruft.json").unlink()
    ok(
        "git",
        "-c",
        "core.hooksPath=/dev/null",
        "rm",
        "--cached",
        "-q",
        ".cruft.json",
        at=repository,
    )
    ok("git", "commit", "--quiet", "--no-verify", "-m", "Without", at=repository)
    for mark in marks.iterdir():  # git by itself has run some, just now
        mark.unlink()
    done = adopt(repository, "repo.hygiene", "ci.review")
    assert (done.returncode, done.stderr) == (0, "")
    for arguments in (("repo.vcs",), ("--level", "2"), ("ci.tests", "--try")):
        words = refused_only(repository, *arguments, "--branch", "more")
        assert "YES=yes" in words, words
    assert [it.name for it in marks.iterdir()] == []


def refused_only(repository: Path, *arguments: str) -> str:
    """The line of a refusal; git itself is not asked, since here that would run something."""
    done = adopt(repository, *arguments)
    assert (done.returncode, done.stdout) == (1, ""), done
    return done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tests", "[[ cycler.__init__.__globals__.os.system('touch {}') ]]"),
        ("capabilities", '".split(); open("{}", "w"); "'),
        ("formatter_version", "1], entry: 'touch {}', x: ["),
        ("known_keys", "x', entry: 'touch {}"),
        ("project_slug", "../../{}"),
    ],
)
def test_answers_of_a_record_are_text_and_never_code(name: str, value: str, tmp_path: Path) -> None:
    """A record with Jinja, Python, YAML or a path in an answer is refused by its name."""
    mark = tmp_path / "mark"
    record = {
        "template": "x",
        "commit": "",
        "directory": "templates/adopted",
        "context": {"cookiecutter": {"capabilities": "repo.vcs"} | {name: value.format(mark)}},
    }
    shape = SHAPES["requirements"] | {".cruft.json": json.dumps(record)}
    assert f".cruft.json: {name} is " in refused(made(tmp_path / "calc", shape), "ci.review")
    assert not mark.exists()


def test_a_file_name_stays_inside_the_quotes_of_the_hooks() -> None:
    """A quote in a path that a hook cannot read neither ends the pattern nor loses the file."""
    found = excuses([Finding("check-yaml", [], ["it's [[1]].yaml"], "")])
    assert found == {"unread_yaml": r"^(it.s...1..\.yaml)$"}


def test_no_secret_of_the_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Git, hooks and trials get a path, a home and addresses of registries; no token."""
    from adopt_git import passed

    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "UV_PUBLISH_TOKEN", "GIT_DIR"):
        monkeypatch.setenv(name, "secret")
    assert "secret" not in passed().values() and "PATH" in passed()
