"""Explaining: what is said of a prediction adds up to it, and a picture shows it."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.governance import explaining
from mlops_ladder.model import breakdown
from mlops_ladder.model.breakdown import Explanation
from mlops_ladder.model.prediction import predict_rows
from mlops_ladder.model.training import Trained
from mlops_ladder.monitoring.training_reference import Reference
from mlops_ladder.registry import versions


@pytest.fixture(name="champion", scope="module")
def _champion(trained: Trained, contract: Contract) -> Reference:
    """The reference of the trained model."""
    rows = trained.train[contract.inputs()].head(500)
    return Reference("1", trained.version, contract, rows, pd.DataFrame(), {})


@pytest.fixture(name="found", scope="module")
def _found(trained: Trained, contract: Contract, champion: Reference) -> Explanation:
    """The explanation of the first row held out."""
    row = trained.holdout[contract.inputs()].head(1).reset_index(drop=True)
    label = predict_rows(trained.model, row)["prediction"].iloc[0]
    return explaining.explain_row(trained.model, row, label, champion, 0)


def test_the_parts_add_up_to_the_output(
    found: Explanation, trained: Trained, contract: Contract
) -> None:
    """The average answer and what each input adds are what the model says."""
    row = trained.holdout[contract.inputs()].head(1)
    said = predict_rows(trained.model, row).iloc[0]
    label = f"probability_{said['prediction']}"
    assert found.output == pytest.approx(said[label] if label in said else said["prediction"])
    assert found.base + found.parts.sum() == pytest.approx(found.output)
    assert list(found.parts.index) == contract.inputs()


def test_the_table_shows_each_input_with_its_value(found: Explanation) -> None:
    """The largest part comes first, the output last."""
    lines = breakdown.format_breakdown(found).splitlines()
    assert len(lines) == len(found.parts) + 2
    assert lines[1].startswith(str(found.parts.abs().idxmax()))
    assert lines[-1].startswith(found.what) and lines[-1].endswith(f"{found.output:.4f}")


def test_a_picture_is_written(found: Explanation, tmp_path: Path) -> None:
    """A PNG, in a folder that is made."""
    path = tmp_path / "reports/picture.png"
    breakdown.draw_breakdown(found.parts, "größer", path)
    assert path.read_bytes()[:4] == b"\x89PNG"


def test_importance_names_every_input(trained: Trained, champion: Reference) -> None:
    """The most important first, none below zero."""
    parts = explaining.measure_importance(trained.model, champion, 0)
    assert sorted(parts.index) == sorted(champion.rows.columns)
    assert parts.is_monotonic_decreasing and parts.iloc[0] > 0 and parts.iloc[-1] >= 0


def test_a_model_that_nobody_decided_about_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a decision there is no version to explain with."""
    nothing: Any = versions.RegistryState({}, {}, 0)
    monkeypatch.setattr(versions, "read_state", lambda: nothing)
    with pytest.raises(ProjectError, match="model abc: no decision of the registry"):
        explaining.find_promoting_decision("abc")
