"""`problem.py`: the model that it builds answers unusual rows too."""

import pandas as pd

from mlops_ladder.model.prediction import predict_rows
from mlops_ladder.model.training import Trained


def test_missing_values_and_new_categories_are_answered(trained: Trained) -> None:
    """Rows that lack every value that may be missing, and rows with a new word in each category."""
    contract, rows = trained.contract, trained.holdout[trained.contract.inputs()].head(20)
    gaps = [name for name in contract.inputs() if contract.columns[name].nullable]
    for changed in (
        rows.assign(**{name: rows[name].head(0).reindex(rows.index) for name in gaps}),
        rows.assign(**dict.fromkeys(contract.inputs("category", "text"), "new")),
    ):
        assert predict_rows(trained.model, changed).notna().to_numpy().all()


def test_an_answer_depends_on_its_row_alone(trained: Trained) -> None:
    """Among other rows, and in another order, a row gets the same answer."""
    rows = trained.holdout[trained.contract.inputs()].head(20)
    found = predict_rows(trained.model, rows)
    pd.testing.assert_frame_equal(predict_rows(trained.model, rows[::-1])[::-1], found)
    pd.testing.assert_frame_equal(predict_rows(trained.model, rows.head(1)), found.head(1))
