"""The checks of the gate, as `config/` declares them, on your model."""

import pandas as pd

from mlops_ladder.model.training import Trained
from mlops_ladder.registry.gate_checks import CheckContext, list_checks, run_check


def test_no_check_that_decides_refuses_your_model(trained: Trained, frame: pd.DataFrame) -> None:
    """Run slices, behaviour and fairness as the gate does, without a champion."""
    context = CheckContext(trained, frame=frame)
    results = [run_check(it, context) for it in list_checks(trained.contract) if it.decides]
    assert [it.reason for it in results if it.verdict == "refused"] == []
