"""Adopting runs nothing of a repository without a yes, and brings only jobs that can be green."""

import json
import os
from pathlib import Path

import pytest
import yaml
from conftest import ok, ROOT
from test_adopt import adopt, adopted, blob, facts_of, made, refused, SETUP, Shape, SHAPES

from mlops_ladder.adopt.answers import describe_style
from mlops_ladder.adopt.answers import describe_tests as pytest_call
from mlops_ladder.adopt.ci import find_statuses, find_test_runners, find_unready_hooks
from mlops_ladder.adopt.git import child_environment
from mlops_ladder.adopt.hooks import find_excuses, Finding
from mlops_ladder.adopt.install import find_install_command
from mlops_ladder.adopt.join import HOOKS
from mlops_ladder.adopt.render import Origin, render_files

DEFAULTS = {
    name: value[0] if isinstance(value, list) else value
    for name, value in json.loads(
        (ROOT / "templates/adopted/cookiecutter.json").read_text()
    ).items()
    if not name.startswith("_")
}

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
        "context": {
            "cookiecutter": {"capabilities": "repo.vcs", "project_slug": "x"}
            | {name: value.format(mark)}
        },
    }
    shape = SHAPES["requirements"] | {".cruft.json": json.dumps(record)}
    assert f".cruft.json: {name} is " in refused(made(tmp_path / "calc", shape), "ci.review")
    assert not mark.exists()


def test_a_file_name_stays_inside_the_quotes_of_the_hooks() -> None:
    """A quote in a path that a hook cannot read neither ends the pattern nor loses the file."""
    found = find_excuses([Finding("check-yaml", [], ["it's [[1]].yaml"], "")])
    assert found == {"unread_yaml": r"^(it.s...1..\.yaml)$"}


def test_no_secret_of_the_environment_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Git, hooks and trials get a path, a home and addresses of registries; no token."""
    for name in ("AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "UV_PUBLISH_TOKEN", "GIT_DIR"):
        monkeypatch.setenv(name, "secret")
    assert "secret" not in child_environment().values() and "PATH" in child_environment()


# ---- Jobs that can be green, and none that theirs does already

ONE: Shape = {"calc/__init__.py": "", "tests/test_one.py": "def test_one():\n    assert True\n"}
CI = "on: pull_request\njobs:\n  build:\n    steps:\n      - run: {}\n"
RUNNERS: dict[str, Shape] = {
    "script": {".github/workflows/a.yml": CI.format("bash ci/go.sh"), "ci/go.sh": "pytest -q\n"},
    "make": {
        ".github/workflows/a.yml": CI.format("make ci"),
        "Makefile": "ci: unit\nunit:\n\tpytest\n",
    },
    "tox": {".travis.yml": "script: tox\n"},
    "pixi": {
        ".github/workflows/a.yml": CI.format("pixi run verify"),
        "pixi.toml": '[tasks]\nverify = "pytest calc"\n',
    },
    "poe": {
        "azure-pipelines.yml": "steps:\n- script: poe all\n",
        "pyproject.toml": '[tool.poe.tasks]\nall = {cmd = "python -m pytest"}\n',
    },
    "action": {
        ".github/workflows/a.yml": CI.replace("run: {}", "uses: ./.github/actions/go"),
        ".github/actions/go/action.yml": "runs:\n  steps:\n    - run: nox -s unit\n",
    },
    "reusable": {
        ".github/workflows/a.yml": "jobs:\n  x:\n    uses: o/r/.github/workflows/tox.yml@v1\n"
    },
    "jenkins": {
        "Jenkinsfile": "sh 'just verify'\n",
        "justfile": "verify:\n    python -m unittest\n",
    },
}
NO_RUNNERS: dict[str, Shape] = {
    "install": {".github/workflows/a.yml": CI.format("pip install pytest tox")},
    "comment": {".gitlab-ci.yml": "# pytest comes later\nlint:\n  script: [ruff check .]\n"},
    "title": {
        ".github/workflows/a.yml": CI.format("black --check .") + "        name: before pytest\n"
    },
    "other rule": {
        ".github/workflows/a.yml": CI.format("make docs"),
        "Makefile": "docs:\n\tmkdocs build\ntest:\n\tpytest\n",
    },
}


@pytest.mark.parametrize("name", [*RUNNERS, *NO_RUNNERS])
def test_ci_that_runs_tests_is_seen_wherever_the_command_stands(name: str, tmp_path: Path) -> None:
    """Scripts, make, tox, tasks, actions and other CI systems count; an install or a title does not."""
    facts = facts_of(tmp_path, ONE | (RUNNERS | NO_RUNNERS)[name])
    assert bool(find_test_runners(facts)) == (name in RUNNERS)


WORKFLOW = """\
on:
  pull_request: {branches: [main]}
jobs:
  lint: {runs-on: x}
  unit:
    name: Unit on ${{ matrix.os }}
    strategy: {matrix: {os: [linux, mac]}}
  plain:
    strategy: {matrix: {python: ["3.10", 3.12], fast: [true], exclude: [{python: 3.12}]}}
  skipped: {if: github.actor == 'x'}
  unknown: {strategy: {matrix: "${{ fromJSON(needs.a.outputs.b) }}"}}
  shared: {uses: ./.github/workflows/inner.yml}
"""
INNER = "on: workflow_call\njobs:\n  one: {runs-on: x}\n"
REPORTED = ["lint", "Unit on linux", "Unit on mac", "plain (3.10, true)", "shared / one"]


def test_branch_rules_require_what_the_workflows_report(tmp_path: Path) -> None:
    """Without a job of ours the rules name their jobs; with paths only, or no workflow, none."""
    files: dict[str, str] = {
        ".github/workflows/a.yml": WORKFLOW,
        ".github/workflows/inner.yml": INNER,
    }
    assert find_statuses(files, "main") == REPORTED
    limited = WORKFLOW.replace("branches: [main]", "paths: [docs]")
    assert find_statuses(files | {".github/workflows/a.yml": limited}, "main") == []
    assert find_statuses(files, "develop") == []
    repository = made(tmp_path / "calc", {**SHAPES["poetry"], **files})
    adopted(repository, "ci.review")
    assert contexts(repository) == REPORTED
    bare = made(tmp_path / "bare", SHAPES["poetry"])
    adopted(bare, "ci.review")
    assert contexts(bare) == []


def test_branch_rules_of_a_folder_name_the_job_of_that_folder(tmp_path: Path) -> None:
    """CI of a folder reports `required packages/calc`; the rules ask for that name."""
    shape: Shape = {f"packages/calc/{name}": it for name, it in SHAPES["poetry"].items()}
    repository = made(tmp_path / "all", shape)
    assert adopt(repository / "packages/calc", "ci.tests", "ci.review").returncode == 0
    assert contexts(repository) == ["required packages/calc"]


def contexts(repository: Path) -> list[str]:
    """The checks that the branch rules require."""
    rules = json.loads(blob(repository, ".github/rulesets/main.json"))["rules"]
    found = [it["parameters"] for it in rules if it["type"] == "required_status_checks"]
    return [check["context"] for it in found for check in it["required_status_checks"]]


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        (
            {
                "setup.py": SETUP,
                "tox.ini": "[testenv]\ndeps =\n  pytest-regressions>=2\n  -r ci/t.txt\n",
                "ci/t.txt": "x\n",
            },
            "-e . 'pytest-regressions>=2' -r ci/t.txt",
        ),
        (
            {"pyproject.toml": "[project]\nname='calc'\n[dependency-groups]\ntest=['x']\n"},
            "-e . --group test",
        ),
        (
            {"setup.cfg": "[metadata]\nname=calc\n[options.extras_require]\ntesting = x\n"},
            "-e '.[testing]'",
        ),
    ],
    ids=["tox", "groups", "setup.cfg"],
)
def test_what_tests_need_is_installed(shape: Shape, wanted: str, tmp_path: Path) -> None:
    """The deps of tox, dependency groups and extras come, also without a lock."""
    command = find_install_command(facts_of(tmp_path, ONE | shape))[0]
    assert command.startswith(f"uv venv --quiet && uv pip install --quiet {wanted} && {{ ")


def test_plugins_that_tests_use_and_nobody_declares_are_installed(tmp_path: Path) -> None:
    """`--cov` in addopts and a test with `mocker` need their plugins; a declared one is left out."""
    shape = ONE | {
        "setup.py": SETUP,
        "requirements-dev.txt": "pytest-cov\n",
        "pytest.ini": "[pytest]\naddopts = --cov=calc -n auto\n",
        "tests/test_two.py": "def test_two(mocker):\n    assert mocker\n",
    }
    command = find_install_command(facts_of(tmp_path, shape))[0]
    assert command.endswith("; } && uv pip install --quiet pytest-xdist pytest-mock")


def test_scripts_named_as_tests_and_folders_with_doctests_are_not_collected(tmp_path: Path) -> None:
    """Functions that need arguments are no tests; with doctests only the folders of tests are run."""
    script = "def test(model, loader):\n    return model\n"
    facts = facts_of(tmp_path / "a", ONE | {"tests/test_model.py": script, "test_net.py": script})
    assert facts.test_files == ["tests/test_one.py"]
    assert pytest_call(facts)["arguments"] == "--ignore=tests/test_model.py"
    doctests: Shape = {
        "pytest.ini": "[pytest]\naddopts = --doctest-modules\n",
        "calc/tests/test_a.py": "def test_a():\n    assert 1\n",
    }
    facts = facts_of(tmp_path / "b", ONE | doctests)
    assert pytest_call(facts)["arguments"] == "calc/tests tests"


def test_flake8_is_called_as_they_call_it(tmp_path: Path) -> None:
    """Its version, plugins, options and paths come from their files; a call that cannot fail is none."""
    shape = ONE | {
        "requirements-dev.txt": "flake8==6.1.0\nflake8-bugbear==24.2.6\npep8-naming\n",
        "Makefile": "lint:\n\tflake8 . --exit-zero\n\tflake8 calc --select=E9,F63 --max-line-length 99\n",
    }
    found = describe_style(facts_of(tmp_path, shape))
    assert found["linter_version"] == "6.1.0"
    assert found["linter_plugins"] == ", flake8-bugbear==24.2.6, pep8-naming"
    assert found["linter_args"] == "'--select=E9,F63', '--max-line-length=99'"
    assert found["linter_files"] == "(calc/)"
    answers_of = DEFAULTS | found | {"linter": "flake8", "capabilities": "repo.vcs"}
    config = yaml.safe_load(render_files(answers_of, Origin("x", "y"), "")[HOOKS])
    hook = next(it for it in config["repos"][0]["hooks"] if it["id"] == "flake8")
    assert hook["args"] == ["--select=E9,F63", "--max-line-length=99"]
    assert hook["files"] == "^(calc/)"
    assert hook["additional_dependencies"] == [
        "flake8==6.1.0",
        "flake8-bugbear==24.2.6",
        "pep8-naming",
    ]


def test_beside_a_ruff_that_only_lints_no_formatter_comes(tmp_path: Path) -> None:
    """[tool.ruff] alone does not say that ruff formats, so nothing would reformat their files."""
    lints: Shape = {"pyproject.toml": "[tool.ruff]\nline-length = 79\n"}
    assert describe_style(facts_of(tmp_path / "a", ONE | lints))["formatter"] == "theirs"
    formats: Shape = {"pyproject.toml": "[tool.ruff.format]\nquote-style = 'single'\n"}
    assert describe_style(facts_of(tmp_path / "b", ONE | formats))["formatter"] == "ruff"


def test_hooks_that_need_an_environment_are_skipped_in_ci(tmp_path: Path) -> None:
    """`language: system` has nothing to run with in the job of hooks: SKIP names it, on both forges."""
    config = (
        "repos:\n- repo: local\n  hooks:\n  - {id: types, name: x, entry: mypy, language: system}\n"
    )
    assert find_unready_hooks(config) == ["types"]
    base = DEFAULTS | {"unready_hooks": "types", "jobs": "hooks", "linter": "ruff"}
    files = render_files(base, Origin("x", "y"), "")
    steps = yaml.safe_load(files[".github/workflows/ci.yml"])["jobs"]["hooks"]["steps"]
    assert [it["env"]["SKIP"] for it in steps if "env" in it] == ["types"]
    lab = render_files(base | {"ci": "gitlab", "linter": "pylint"}, Origin("x", "y"), "")
    script = yaml.safe_load(lab[".gitlab-ci.yml"].decode())["hooks"]["script"]
    assert any(it.startswith("SKIP=types,pylint-baseline uvx") for it in script)


def test_a_job_that_was_not_tried_says_so_in_the_answer_and_the_commit(tmp_path: Path) -> None:
    """Without TRY the job of the tests is a guess, and both texts call it one."""
    repository = made(tmp_path / "calc", SHAPES["poetry"])
    said = adopted(repository, "ci.tests")
    words = "Not tried: the job tests.  TRY=yes (--try) runs it first."
    assert words in said
    assert words in ok("git", "log", "-1", "--format=%B", "mlops-adopt", at=repository)
