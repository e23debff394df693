"""The adopted hooks and CI, run: green today, and from then on only stricter."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import commit, ok, plant, python, ROOT, run
from forges import github, gitlab
from test_adopt import adopt, adopted, answers, blob, BRANCH, changes, CODE, made, only_adds, SHAPES

pytestmark = pytest.mark.slow

BASELINE = "tools/pylint_baseline.json"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pre-commit"
HOOKS_CACHE = {"PRE_COMMIT_HOME": os.environ.get("PRE_COMMIT_HOME", str(CACHE))}
HOOK = ("pre-commit", "run", "pylint-baseline", "--files")


def merged(repository: Path) -> Path:
    """The repository with the branch merged."""
    ok("git", "merge", "--quiet", "--ff-only", BRANCH, at=repository)
    return repository


@pytest.fixture(name="theirs", scope="module")
def _theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with requirements, adopted whole and merged."""
    repository = made(tmp_path_factory.mktemp("adopted") / "calc", SHAPES["requirements"])
    said = adopted(repository, "repo.hygiene", "repo.vcs", "ci.tests", "--yes")
    assert re.search(r"^black +would change 1 files$", said, re.MULTILINE), said
    assert re.search(r"^trailing-whitespace +would change 1 files$", said, re.MULTILINE), said
    assert blob(repository, "one.py").decode() == CODE
    return merged(repository)


@pytest.fixture(name="calc")
def _calc(theirs: Path, tmp_path: Path) -> Path:
    """A clone of it that may be changed."""
    ok("git", "clone", "--quiet", str(theirs), str(tmp_path / "calc"), at=tmp_path)
    return tmp_path / "calc"


def counts(repository: Path) -> dict[str, dict[str, int]]:
    """The baseline of pylint."""
    return dict(json.loads((repository / BASELINE).read_text("utf-8")))


def test_the_baseline_knows_what_is_there_and_a_new_finding_fails(calc: Path) -> None:
    """As it is the hook passes; with lines moved it passes; one unused import more, and it fails."""
    assert counts(calc)["one.py"]["unused-import"] == 1
    ok(*HOOK, "one.py", "tests/test_one.py", "tools/pylint_baseline.py", at=calc)
    plant(calc / "one.py", "import os\n", "# moved\n\n\nimport os\n")
    ok(*HOOK, "one.py", at=calc)
    plant(calc / "one.py", "import os\n", "import os\nimport sys\n")
    done = run(*HOOK, "one.py", at=calc)
    assert done.returncode == 1 and "1 more than pylint_baseline.json allows" in done.stdout
    assert "Unused import sys" in done.stdout


def test_what_is_mended_lowers_the_baseline_and_stays_mended(calc: Path) -> None:
    """The file of the baseline changes with the mending; the same fault is new afterwards."""
    plant(calc / "one.py", "import os\n", "")
    done = run(*HOOK, "one.py", at=calc)
    assert done.returncode == 1 and "is lower now" in done.stdout
    assert "unused-import" not in counts(calc)["one.py"]
    commit(calc, "Mended")
    ok(*HOOK, "one.py", at=calc)
    plant(calc / "one.py", "def one", "import os\n\ndef one")
    assert "Unused import os" in run(*HOOK, "one.py", at=calc).stdout


def test_a_file_that_is_renamed_keeps_its_allowance(calc: Path) -> None:
    """What the old name was allowed goes to the new one, and to nobody a second time."""
    ok("git", "mv", "one.py", "two.py", at=calc)
    done = run(*HOOK, "two.py", at=calc)
    assert done.returncode == 1 and "is lower now" in done.stdout
    found = counts(calc)
    assert found["two.py"]["unused-import"] == 1 and "one.py" not in found
    (calc / "one.py").write_text((calc / "two.py").read_text("utf-8"), encoding="utf-8")
    ok("git", "add", "--all", at=calc)
    assert "more than" in run(*HOOK, "one.py", "two.py", at=calc).stdout


def test_formatting_is_a_commit_of_its_own_that_blame_passes_over(tmp_path: Path) -> None:
    """With FORMAT the code is formatted first; then every hook passes on every file."""
    shape = SHAPES["src, pyproject"] | {"a.yaml": "a: [\n", "tests/data.csv": "a \n1"}
    repository = made(tmp_path / "calc", shape)
    said = adopted(repository, "repo.vcs", "--format", "--yes")
    listed = ok("git", "log", "--format=%H %s", f"main..{BRANCH}", at=repository)
    (_, ours), (style, title) = (line.split(" ", 1) for line in listed.splitlines())
    assert (ours, title) == ("Adopt repo.vcs", "Format the code")
    assert blob(repository, ".git-blame-ignore-revs").decode() == f"# Format the code\n{style}\n"
    touched = ok("git", "diff", "--name-only", f"{style}^", style, at=repository).split()
    assert touched == ["src/calc/__init__.py"] and style[:12] in said
    assert only_adds(blob(repository, "pyproject.toml", "main"), blob(repository, "pyproject.toml"))
    assert r"a\.yaml" in answers(repository)["unread_yaml"] and "a.yaml" in said
    ok("pre-commit", "run", "--all-files", at=merged(repository))
    (repository / "b.yaml").write_text("b: [\n", encoding="utf-8")
    ok("git", "add", "b.yaml", at=repository)
    assert "b.yaml" in run("pre-commit", "run", "check-yaml", at=repository).stdout


def test_a_formatter_of_theirs_stays_the_only_one(tmp_path: Path) -> None:
    """Ruff formats and lints there: neither black nor pylint comes, and no hook is doubled."""
    repository = made(tmp_path / "calc", SHAPES["ruff, hooks of theirs"])
    said = adopted(repository, "repo.vcs", "--yes")
    assert "ruff by [tool.ruff] in pyproject.toml: stays" in said
    config = blob(repository, ".pre-commit-config.yaml").decode()
    assert config.count("ruff-format,") + config.count("id: ruff-format") == 1
    assert "id: ruff-check," in config and not re.search("black|pylint", config)
    assert config.count("trailing-whitespace") == 1
    assert changes(repository) == {".pre-commit-config.yaml": "M", ".cruft.json": "A"}
    before = blob(repository, ".pre-commit-config.yaml", "main")
    assert only_adds(before, config.encode())


def test_notebooks_alone_get_hooks(tmp_path: Path) -> None:
    """Without a module the small checks come; outputs that they keep are not stripped."""
    kept = '{"cells": [{"outputs": [{"output_type": "stream"}]}]}\n'
    repository = made(tmp_path / "calc", {"first.ipynb": kept})
    adopted(repository, "repo.vcs", "--yes")
    assert "nbstripout" not in blob(repository, ".pre-commit-config.yaml").decode()
    assert json.loads(blob(repository, BASELINE)) == {}
    ok("pre-commit", "run", "--all-files", at=merged(repository))


@pytest.mark.systems
def test_github_runs_hooks_and_tests(calc: Path, tmp_path: Path) -> None:
    """All green as adopted; a finding of pylint and a failing test turn it red."""
    done = github(calc, tmp_path / "act", **HOOKS_CACHE)
    assert done.results == {"hooks": "success", "tests": "success", "required": "success"}, done
    assert "1 passed" in done.printed
    plant(calc / "one.py", "return 1", "return 2")
    plant(calc / "one.py", "import os", "import os, sys")
    commit(calc, "Two faults")
    done = github(calc, tmp_path / "act", **HOOKS_CACHE)
    assert set(done.results.values()) == {"failure"} and "1 failed" in done.printed


@pytest.mark.systems
def test_gitlab_runs_hooks_and_tests(tmp_path: Path) -> None:
    """The same on GitLab, of another shape: a package in a folder of a larger repository."""
    shape = {f"pack/calc/{name}": it for name, it in SHAPES["src, pyproject"].items()}
    remote = "git@gitlab.com:ada/all.git"
    repository = made(tmp_path / "all", shape | {"README.md": "# All\n"}, remote=remote)
    done = adopt(repository / "pack/calc", "repo.vcs", "ci.tests", "--yes")
    assert done.returncode == 0, done.stderr
    assert gitlab(merged(repository), "required").results == {"required": "failure"}
    found = gitlab(repository, **HOOKS_CACHE)
    assert found.results == {"hooks": "success", "tests": "success", "required": "success"}, found
    plant(repository / "pack/calc/src/calc/__init__.py", "return 1", "return 2")
    commit(repository, "A fault")
    assert gitlab(repository, "tests").results == {"tests": "failure"}


def test_maturity_is_higher_afterwards(tmp_path: Path) -> None:
    """`make maturity` sees what came, and nothing less than before."""
    repository = made(tmp_path / "calc", SHAPES["src, pyproject"])

    def grades() -> dict[str, str]:
        told = ["make", "--silent", "maturity", f"REPO={repository}", "ARGS=--json --out -"]
        found = json.loads(run(*told, at=ROOT).stdout)["capabilities"]
        return {it["id"]: it["grade"] for it in found}

    before = grades()
    adopted(repository, "repo.hygiene", "repo.vcs", "ci.tests", "ci.review", "--yes")
    merged(repository)
    after = grades()
    raised = {name: (before[name], grade) for name, grade in after.items() if grade != before[name]}
    assert raised == {
        "repo.hygiene": ("absent", "present"),
        "repo.vcs": ("declared", "present"),
        "ci.tests": ("absent", "present"),
        "ci.review": ("absent", "present"),
    }


def test_it_is_run_from_the_template_by_uvx(template: Path, tmp_path: Path) -> None:
    """`uvx --from TEMPLATE mlops-ladder adopt FOLDER …`; the record names the template and its commit."""
    repository = made(tmp_path / "calc", SHAPES["poetry"])
    source = f"git+file://{template}"
    command = ["uvx", "--quiet", "--from", source, "mlops-ladder", "adopt"]
    command += [str(repository), "ci.tests"]
    ok(*command, at=tmp_path)
    record = json.loads(blob(repository, ".cruft.json"))
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=template, check=True, capture_output=True, text=True
    )
    assert (record["template"], record["commit"]) == (str(template), head.stdout.strip())


def test_a_newer_template_is_taken_by_the_same_command(template: Path, tmp_path: Path) -> None:
    """The recorded version is rendered again: what was left as it came follows, an edit stays."""
    newer = tmp_path / "mlops-ladder"
    ok("git", "clone", "--quiet", str(template), str(newer), at=tmp_path)
    repository = made(tmp_path / "calc", SHAPES["poetry"])
    command = [python(), "-m", "mlops_ladder.template_cli", "adopt"]
    command += [str(repository), "ci.tests", "ci.review"]
    ok(*command, at=tmp_path, PYTHONPATH=str(newer / "src"))
    ok("git", "branch", "-d", BRANCH, at=merged(repository))
    plant(repository / "renovate.json", "3 days", "9 days")
    commit(repository, "Mine")
    files = newer / "templates/adopted/[[cookiecutter.project_slug]]"
    plant(files / ".github/workflows/ci.yml", "timeout-minutes: 30", "timeout-minutes: 31")
    plant(files / "renovate.json", "on the dashboard", "on the board")
    commit(newer, "Newer")
    said = ok(*command, at=tmp_path, PYTHONPATH=str(newer / "src"))
    assert changes(repository) == {".cruft.json": "M", ".github/workflows/ci.yml": "M"}
    assert "timeout-minutes: 31" in blob(repository, ".github/workflows/ci.yml").decode()
    assert re.search(r"^renovate\.json +a file of yours", said, re.MULTILINE), said
    head = ok("git", "rev-parse", "HEAD", at=newer).strip()
    assert json.loads(blob(repository, ".cruft.json"))["commit"] == head
