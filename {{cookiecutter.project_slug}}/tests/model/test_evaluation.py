"""The score is of rows that training has not seen."""

from mlops_ladder.model.evaluation import collect_metrics
from mlops_ladder.model.prediction import compute_scores, predict_rows
from mlops_ladder.model.training import Trained


def test_the_score_is_that_of_held_out_rows(trained: Trained) -> None:
    """Asked again about rows that it has not learned from, the model reaches the reported score."""
    assert not set(trained.train.index) & set(trained.holdout.index)
    answers = predict_rows(trained.model, trained.holdout[trained.contract.inputs()])
    again = compute_scores(trained.settings.problem, trained.truth, answers)
    reported = collect_metrics(trained)
    known = again.keys() & reported.keys()  # one class alone has no ROC
    assert known and {name for name in known if again[name] != reported[name]} == set()
