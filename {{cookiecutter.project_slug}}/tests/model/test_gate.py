"""The gate of `config/gate.toml`, asked about your model."""

from mlops_ladder.model.training import Trained
from mlops_ladder.registry.gate import judge


def test_a_worse_model_is_refused(trained: Trained) -> None:
    """A model that knows no feature does not replace yours."""
    found = {"candidate": trained.baseline, "baseline": trained.baseline}
    verdict = judge(trained.truth, found | {"champion v1": trained.predictions}, trained.settings)
    assert not verdict.accepted
