"""Drift: what is like the training is not reported, and one shifted column is."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops_ladder.export.bundle import export_bundle
from mlops_ladder.model.training import Trained
from mlops_ladder.monitoring.archive import Window
from mlops_ladder.monitoring.comparison import build_pairs, judge_columns
from mlops_ladder.monitoring.training_reference import read_bundled_reference, Reference


@pytest.fixture(name="reference")
def _reference(trained: Trained, tmp_path: Path) -> Reference:
    """What the bundle of the trained model says of its training."""
    export_bundle(trained, tmp_path / "1")
    return read_bundled_reference(tmp_path / "1", "1")


def drifted(reference: Reference, trained: Trained, **changed: Any) -> list[str]:
    """The inputs that are reported of 400 rows of the training with these columns changed."""
    rows = reference.rows.sample(400, replace=True, random_state=1).assign(**changed)
    answers = reference.predictions.sample(400, replace=True, random_state=1)
    answers = answers.assign(time=pd.Timestamp("2024-01-01")).reset_index(drop=True)
    window = Window(400, rows.reset_index(drop=True), answers)
    found = judge_columns(build_pairs(reference, window), trained.settings.drift)
    return [it.column for it in found if it.drifted and it.column in trained.contract.inputs()]


def test_rows_like_those_of_the_training_have_not_drifted(
    reference: Reference, trained: Trained
) -> None:
    """No input is reported."""
    assert drifted(reference, trained) == []


def test_one_shifted_column_is_reported(reference: Reference, trained: Trained) -> None:
    """A number far above all that training saw: it is reported, and no other."""
    names = trained.contract.inputs("number", "integer")
    if not names:
        pytest.skip("no input is a number")
    shifted = {names[0]: reference.rows[names[0]].max() * 2 + 1}
    assert drifted(reference, trained, **shifted) == [names[0]]
