"""The questions that `config/` declares are about columns that there are, and about your model."""

import pandas as pd

from mlops_ladder.model.training import Trained
from mlops_ladder.registry.questions import Asked, questions, reply


def test_no_question_that_decides_is_refused(trained: Trained, frame: pd.DataFrame) -> None:
    """Slices, behaviour and fairness, asked as the gate asks them, without a champion."""
    about = Asked(trained, frame=frame)
    asked = {it.name: reply(it, about) for it in questions(trained.contract) if it.decides}
    assert {name: it.reason for name, it in asked.items() if it.verdict == "refused"} == {}
