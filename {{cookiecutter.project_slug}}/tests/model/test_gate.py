"""The gate of `config/gate.toml`, applied to your model."""

from mlops_ladder.model.training import Trained
from mlops_ladder.registry.gate import evaluate_gate


def test_a_worse_model_is_refused(trained: Trained) -> None:
    """A model that ignores the features does not replace yours."""
    predictions = {"candidate": trained.baseline, "baseline": trained.baseline}
    predictions["champion v1"] = trained.predictions
    verdict = evaluate_gate(trained.truth, predictions, trained.settings)
    assert not verdict.accepted
