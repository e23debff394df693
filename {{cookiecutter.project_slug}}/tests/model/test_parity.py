"""The model that is served answers as the trained one."""

from pathlib import Path

import pandas as pd

from mlops_ladder.export.bundle import export_bundle, TOLERANCE
from mlops_ladder.export.runtime import load_bundle
from mlops_ladder.model.training import Trained


def test_the_export_answers_as_the_model_does(trained: Trained, tmp_path: Path) -> None:
    """For every held-out row: the same prediction, the same probabilities."""
    export_bundle(trained, tmp_path)
    found = load_bundle(tmp_path).answer_frame(trained.holdout)
    pd.testing.assert_frame_equal(
        found, trained.predictions, check_dtype=False, rtol=TOLERANCE, atol=TOLERANCE
    )
