"""Level 0, proved: it runs as its README says, and keeps what it must out of git."""

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from conftest import CHOICES, commands, commit, Generate, run

pytestmark = pytest.mark.slow
MARGINS = {"classification": ("roc_auc", 0.64, 0.75), "regression": ("mae", 7.0, 9.0)}


@pytest.fixture(scope="module", name="project")
def _project(generate: Generate, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of a freshly generated project of level 0, with nothing installed."""
    made = generate(maturity_level="0", project_name="My Problem")
    origin = tmp_path_factory.mktemp("origin") / "my-problem"
    subprocess.run(["cp", "-R", str(made), str(origin)], check=True)
    commit(origin)
    clone = tmp_path_factory.mktemp("clone") / "my-problem"
    subprocess.run(["git", "clone", "--quiet", str(origin), str(clone)], check=True)
    return clone


def test_each_command_of_the_readme_runs_in_an_empty_clone(project: Path) -> None:
    """The commands of the README, in order, end well, and give a prediction for each row."""
    for line in commands(project / "README.md"):
        done = run("sh", "-c", line, at=project)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    found = pd.read_csv(project / "predictions.csv")
    assert len(found) == 12_000
    assert run("git", "status", "--porcelain", at=project).stdout == ""


@pytest.mark.parametrize("framework", CHOICES["framework"])
@pytest.mark.parametrize("problem", CHOICES["problem"])
def test_both_problems_beat_the_baseline_with_each_framework(
    generate: Generate, framework: str, problem: str, tmp_path: Path
) -> None:
    """Each framework learns both problems of the sample, well beyond the baseline, without a leak."""
    made = generate(maturity_level="0", framework=framework, problem=problem)
    copy = tmp_path / "flight-delays"
    subprocess.run(["cp", "-R", str(made), str(copy)], check=True)
    done = run("make", "train", at=copy)
    metric, low, high = MARGINS[problem]
    scores = re.search(rf"{metric} +([\d.]+) +([\d.]+)", done.stdout)
    assert scores, done.stdout + done.stderr
    assert low < float(scores[1]) < high
    assert {"roc_auc": float(scores[2]) == 0.5, "mae": float(scores[2]) > 60}[metric]


def test_without_uv_the_project_gets_one_of_its_own(generate: Generate, tmp_path: Path) -> None:
    """A machine that has Python and make only sets up too: uv goes into the project's .venv."""
    copy = tmp_path / "flight-delays"
    subprocess.run(["cp", "-R", str(generate(maturity_level="0")), str(copy)], check=True)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sh", "make", "python3", "touch", "grep", "sed", "sort", "awk", "git", "env"):
        found = run("sh", "-c", f"command -v {name}", at=tmp_path).stdout.strip()
        (tools / name).symlink_to(found)
    done = run("make", "setup", at=copy, PATH=str(tools))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (copy / ".venv/bin/uv").exists() and (copy / ".venv/bin/ladder").exists()


def test_no_secret_and_no_large_file_is_in_the_history(generate: Generate, tmp_path: Path) -> None:
    """gitleaks finds nothing in the history, and no blob is larger than 5 MB."""
    copy = tmp_path / "flight-delays"
    subprocess.run(["cp", "-R", str(generate(maturity_level="0")), str(copy)], check=True)
    commit(copy)
    assert run("gitleaks", "git", "--no-banner", ".", at=copy).returncode == 0
    objects = "git rev-list --objects --all --no-object-names | git cat-file --batch-check='%(objectsize)'"
    sizes = run("sh", "-c", objects, at=copy).stdout.split()
    assert 0 < max(map(int, sizes)) < 5_000_000


def test_a_planted_key_is_reported(generate: Generate, tmp_path: Path) -> None:
    """The same scan fails once a key is committed: it can fail."""
    copy = tmp_path / "flight-delays"
    subprocess.run(["cp", "-R", str(generate(maturity_level="0")), str(copy)], check=True)
    parts = ["AKIA", "Z7QW5RTY2PLM4XNB"]
    (copy / "notes.txt").write_text(f"aws_access_key_id = {''.join(parts)}\n", encoding="utf-8")
    commit(copy)
    done = run("gitleaks", "git", "--no-banner", "--verbose", ".", at=copy)
    assert done.returncode == 1 and "notes.txt" in done.stdout


@pytest.mark.parametrize(
    "path",
    [
        ".env",
        ".env.local",
        "data/mine.csv",
        "models/model.joblib",
        "mlflow.db",
        "mlruns/0/x",
        "key.pem",
    ],
)
def test_data_models_and_secrets_stay_out_of_git(
    generate: Generate, tmp_path: Path, path: str
) -> None:
    """What must not be committed is ignored; the sample is not."""
    copy = tmp_path / "flight-delays"
    subprocess.run(["cp", "-R", str(generate(maturity_level="0")), str(copy)], check=True)
    commit(copy)
    (copy / path).parent.mkdir(parents=True, exist_ok=True)
    (copy / path).write_text("secret", encoding="utf-8")
    assert run("git", "status", "--porcelain", "-uall", at=copy).stdout == ""
    assert "data/sample/flights-2013-01.csv" in run("git", "ls-files", at=copy).stdout
