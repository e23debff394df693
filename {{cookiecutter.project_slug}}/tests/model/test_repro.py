"""A training repeats."""

import pandas as pd

from mlops_ladder.data.contract import Contract
from mlops_ladder.model.training import train_model, Trained
from mlops_ladder.settings import Settings


def test_two_trainings_agree(
    frame: pd.DataFrame, trained: Trained, contract: Contract, settings: Settings
) -> None:
    """The same rows and settings give the same predictions, within the declared epsilon."""
    again, known = train_model(frame, contract, settings).predictions, trained.predictions
    pd.testing.assert_frame_equal(again, known, rtol=0, atol=settings.repro.epsilon)
