"""The pipeline: from rows to a version in the registry, judged by the gate."""

from pathlib import Path

import pandas as pd
import pytest

from mlops_ladder.data.contract import Contract
from mlops_ladder.pipeline import steps
from mlops_ladder.registry import versions
from mlops_ladder.settings import Settings


def test_the_steps_lead_from_rows_to_a_judged_version(
    frame: pd.DataFrame,
    contract: Contract,
    settings: Settings,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One trial of the search; the model is champion exactly if the gate accepts it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
    few = settings.model_copy(update={"tuning": settings.tuning.model_copy(update={"trials": 1})})
    rows, _ = steps.check(frame, contract, few)
    parts, _ = steps.split(rows, contract, few)
    best, _ = steps.tune(parts, contract, few, {})
    trained, _ = steps.train(rows, contract, few, best)
    run_id, _ = steps.evaluate(trained, parts, {})
    verdict, _ = steps.gate(trained, run_id, {}, frame)
    outcome, _ = steps.register(trained, run_id, verdict)
    champion = versions.read_state().aliases.get("champion")
    assert champion == (outcome.version.number if verdict.accepted else None)
    assert verdict.evidence["rows"] == len(trained.holdout)
