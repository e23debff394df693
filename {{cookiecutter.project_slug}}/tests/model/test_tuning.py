"""The search of `config/tuning.toml` is about parameters that the model has."""

from mlops_ladder.data.contract import Contract
from mlops_ladder.model.study import parameters, Study
from mlops_ladder.pipeline.tuning import changed
from mlops_ladder.problem import build_model
from mlops_ladder.settings import Settings


def test_the_parameters_of_a_trial_reach_the_model(contract: Contract, settings: Settings) -> None:
    """A model built with the proposed parameters has them."""
    study = Study(contract, settings)
    for _ in range(3):
        proposed = study.proposed()
        built = build_model(contract, changed(settings, proposed))
        assert proposed.items() <= parameters(built).items()
