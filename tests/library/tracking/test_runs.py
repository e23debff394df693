"""Tracking: what a run holds, and that it is true."""

import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

from library.fixture_project import ROOT
import numpy as np
import pandas as pd
import pytest

from mlops_ladder.data import provenance
from mlops_ladder.data.sources import compute_sha256
from mlops_ladder.model.prediction import METRICS
from mlops_ladder.model.training import Trained
from mlops_ladder.settings import Settings
from mlops_ladder.tracking import runs

LOCK = Path(__file__).parents[3] / "uv.lock"


def test_a_run_holds_parameters_metrics_and_the_tags_that_say_what_it_was_made_from(
    run: runs.Run, settings: Settings
) -> None:
    """The newest run is finished, and says which commit, data, lock and seed it is of."""
    assert {"problem", "metric", "seed", "holdout", "data.path"} <= run.params.keys()
    assert set(METRICS[settings.problem]) & run.metrics.keys()
    assert run.tags["env.lock_sha256"] == compute_sha256(ROOT / "uv.lock")
    assert run.tags["seed"] == str(settings.seed)
    assert {"git.commit", "git.dirty", "data.sha256", "model_version"} <= run.tags.keys()


def test_the_model_loads_by_its_address_and_scores_its_input_example(
    run: runs.Run, trained: Trained
) -> None:
    """The logged model has a signature, and gives for its example what the trained one gives."""
    mlflow = runs.connect_mlflow()
    model = mlflow.pyfunc.load_model(f"runs:/{run.run_id}/model")
    example = trained.holdout[trained.contract.inputs()].head(5)
    assert model.metadata.signature.inputs.input_names() == list(example)
    assert len(model.predict(model.input_example)) == len(example)
    assert np.array_equal(model.predict(example), trained.model.predict(example))


def test_the_plots_are_pictures(run: runs.Run, tmp_path: Path) -> None:
    """A run holds plots, each a PNG with something on it, and keeps them when they are copied."""
    pictures = runs.download_plots(run, tmp_path)
    assert runs.download_plots(run, tmp_path) == pictures
    assert len(pictures) >= 2
    assert {path.read_bytes()[:8] for path in pictures} == {b"\x89PNG\r\n\x1a\n"}
    assert min(path.stat().st_size for path in pictures) > 5000


def test_the_baseline_is_a_run_of_the_same_data(run: runs.Run, trained: Trained) -> None:
    """The baseline of a model stands in the same experiment, with the same tags and its scores."""
    mlflow = runs.connect_mlflow()
    experiment = mlflow.get_run(run.run_id).info.experiment_id
    # Other tests record other models here.
    own = f"tags.role = 'baseline' and tags.model_version = '{trained.version}'"
    baselines = mlflow.search_runs([experiment], own)
    for name in ("git.commit", "data.sha256", "env.lock_sha256", "seed"):
        # Another test may have trained the same model where there is no commit.
        baselines = baselines[baselines[f"tags.{name}"] == run.tags[name]]
    assert len(baselines) > 0
    for name, value in trained.baseline_scores.items():
        if np.isfinite(value):
            assert set(baselines[f"metrics.{name}"]) == {value}


def test_the_versions_of_the_run_are_those_of_the_lock(run: runs.Run) -> None:
    """Every package that the run lists and the lock of this environment knows has its version."""
    text = runs.connect_mlflow().artifacts.load_text(f"runs:/{run.run_id}/environment.txt")
    installed = dict(line.split("==") for line in text.splitlines())
    locked: dict[str, set[str]] = {}
    for package in tomllib.loads(LOCK.read_text(encoding="utf-8"))["package"]:
        locked.setdefault(package["name"], set()).add(package.get("version", ""))
    known = {name.replace("_", "-"): version for name, version in installed.items()}
    assert {n: v for n, v in known.items() if n in locked and v not in locked[n]} == {}
    assert {"pandas", "mlflow", "scikit-learn"} <= known.keys()


def test_a_changed_tree_makes_a_dirty_run(
    folder: Path, settings: Settings, frame: pd.DataFrame
) -> None:
    """A run says git.dirty=true once a file differs from the commit, and names the commit."""
    frame.head(5).to_csv(folder / "rows.csv", index=False)
    data = settings.data.model_copy(update={"path": "rows.csv"})
    here = settings.model_copy(update={"data": data})
    who = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    for arguments in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*who, *arguments], check=True)
    clean = provenance.get_provenance_tags(here)
    (folder / "config.toml").write_text("# changed", encoding="utf-8")
    assert (clean["git.dirty"], provenance.get_provenance_tags(here)["git.dirty"]) == (
        "false",
        "true",
    )
    assert len(clean["git.commit"]) == 40


def test_without_git_the_run_says_unknown(folder: Path, settings: Settings) -> None:
    """Where there is no repository, commit and tree are unknown rather than clean."""
    if any((parent / ".git").exists() for parent in folder.parents):
        pytest.skip("the folder for temporary files lies in a repository")
    tags = provenance.get_provenance_tags(settings)
    assert (tags["git.commit"], tags["git.dirty"]) == ("unknown", "unknown")


def test_the_version_of_a_model_names_what_changes_answers(trained: Trained) -> None:
    """Review and expectations keep the version; a column that may have gaps changes it."""
    contract = trained.contract
    read = contract.model_copy(update={"reviewed": not contract.reviewed})
    assert replace(trained, contract=read).version == trained.version
    name = contract.inputs()[0]
    gaps = not contract.columns[name].nullable
    for same, change in ((True, {"range": (0, 99), "enforce": True}), (False, {"nullable": gaps})):
        column = contract.columns[name].model_copy(update=change)
        other = contract.model_copy(update={"columns": contract.columns | {name: column}})
        assert (replace(trained, contract=other).version == trained.version) == same
