"""The model against a baseline that ignores the features."""

import pytest

from mlops_ladder.model.evaluation import compute_intervals
from mlops_ladder.model.prediction import LOWER_IS_BETTER
from mlops_ladder.model.training import Trained

TOO_FEW = 30


def test_the_model_is_not_worse_than_the_baseline(trained: Trained) -> None:
    """By the chosen metric the model is better than the baseline, or within the noise of it."""
    if len(trained.holdout) < TOO_FEW:
        pytest.skip(f"{len(trained.holdout)} held-out rows say nothing; {TOO_FEW} are needed")
    problem, metric = trained.settings.problem, trained.settings.metric
    model, baseline = trained.scores[metric], trained.baseline_scores[metric]
    low, high = compute_intervals(problem, trained.truth, trained.predictions)[metric]
    gain = baseline - model if metric in LOWER_IS_BETTER else model - baseline
    assert gain > low - high, f"{metric}: model {model:.4g}, baseline {baseline:.4g}"
