"""Evaluation: metrics with their intervals, the importance of inputs, and plots of the hold-out."""

from math import isfinite
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from sklearn.calibration import CalibrationDisplay
from sklearn.inspection import permutation_importance
from sklearn.metrics import ConfusionMatrixDisplay, PredictionErrorDisplay, RocCurveDisplay
from threadpoolctl import threadpool_limits

from mlops_ladder.model.figures import create_figure
from mlops_ladder.model.prediction import compute_scores, LOWER_IS_BETTER, METRICS, predict_rows
from mlops_ladder.model.resampling import bootstrap_scores
from mlops_ladder.model.training import Trained

IMPORTANCE_ROWS = 1000
MAX_CLASSES_WITH_NUMBERS = 12  # in a confusion matrix; numbers of more classes overlap


def compute_intervals(
    problem: str, truth: pd.Series, predictions: pd.DataFrame, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Return the 95 % bootstrap interval of each metric; NaN if it has none.

    Args:
        problem: "classification" or "regression".
        truth: the target of each held-out row.
        predictions: of the same rows, as `predict_rows` returns them.
        seed: of the draws.
    """
    intervals = {}
    for name in METRICS[problem]:
        draws = bootstrap_scores(name, truth, {"model": predictions}, seed)["model"]
        estimate = draws.interval(draws.whole)
        intervals[name] = (estimate.low, estimate.high)
    return intervals


def is_better(metric: str, model: float, baseline: float) -> bool:
    """Return whether the model's score is the better one; False if either is not defined."""
    return model < baseline if metric in LOWER_IS_BETTER else model > baseline


def collect_metrics(trained: Trained) -> dict[str, float]:
    """Return each defined metric with its interval, as NAME, NAME.low and NAME.high."""
    problem, seed = trained.settings.problem, trained.settings.seed
    metrics = trained.scores
    intervals = compute_intervals(problem, trained.truth, trained.predictions, seed)
    for name, (low, high) in intervals.items():
        metrics |= {f"{name}.low": low, f"{name}.high": high}
    metrics |= {f"baseline.{name}": value for name, value in trained.baseline_scores.items()}
    metrics |= {"fit_seconds": trained.seconds, "rows.train": len(trained.train)}
    metrics["rows.holdout"] = len(trained.holdout)
    return {name: float(value) for name, value in metrics.items() if isfinite(value)}


def compute_importance(trained: Trained) -> pd.Series:
    """Return how much worse the chosen metric gets if an input is shuffled, the largest first.

    Permutation importance on up to 1,000 held-out rows (Breiman, Random Forests, 2001, section 10).
    """
    inputs, settings, holdout = trained.contract.inputs(), trained.settings, trained.holdout
    rows = holdout.sample(min(len(holdout), IMPORTANCE_ROWS), random_state=settings.seed)
    sign = -1 if settings.metric in LOWER_IS_BETTER else 1

    def score_model(model: Any, values: pd.DataFrame, truth: pd.Series) -> float:
        scores = compute_scores(settings.problem, truth, predict_rows(model, values))
        return sign * scores[settings.metric]

    with threadpool_limits(1):  # threads cost more than they save on so few rows
        target, options = rows[trained.contract.target], {"random_state": settings.seed}
        importance = permutation_importance(
            trained.model, rows[inputs], target, scoring=score_model, n_repeats=1, **options
        )
    return pd.Series(importance.importances_mean, inputs).sort_values(ascending=False)


def draw_figures(trained: Trained) -> dict[str, Figure]:
    """Return plots of the held-out rows by file name."""
    figures = {"importance.png": draw_importance(trained)}
    truth, predicted = trained.truth, trained.predictions["prediction"]
    if trained.settings.problem == "regression":
        kinds = {"predicted.png": "actual_vs_predicted", "residuals.png": "residual_vs_predicted"}
        for name, kind in kinds.items():
            options: Any = {"kind": kind, "scatter_kwargs": {"s": 6, "alpha": 0.4}}
            figures[name] = draw_display(PredictionErrorDisplay, truth, predicted, **options)
        return figures
    has_numbers = truth.nunique() <= MAX_CLASSES_WITH_NUMBERS
    options = {"include_values": has_numbers, "colorbar": not has_numbers, "values_format": "d"}
    options |= {"cmap": "Blues", "xticks_rotation": "vertical"}
    words = truth.astype(str), predicted.astype(str)
    figures["confusion.png"] = draw_display(ConfusionMatrixDisplay, *words, **options)
    if trained.predictions.shape[1] == 3 and truth.nunique() == 2:
        probability = trained.predictions.iloc[:, -1]
        label = str(probability.name).removeprefix("probability_")
        curve = words[0] == label, probability
        options = {"name": label, "plot_chance_level": True}
        figures["roc.png"] = draw_display(RocCurveDisplay, *curve, **options)
        options = {"name": label, "n_bins": 10, "strategy": "quantile"}
        figures["calibration.png"] = draw_display(CalibrationDisplay, *curve, **options)
    return figures


def draw_display(display: Any, *values: pd.Series, **options: Any) -> Figure:
    """Return a plot of true and predicted values by one of scikit-learn's displays."""
    figure = create_figure(6, 4.5)
    display.from_predictions(*values, ax=figure.subplots(), **options)
    return figure


def draw_importance(trained: Trained) -> Figure:
    """Return a plot of the ten most important inputs, the largest at the top."""
    figure = create_figure(6, 4.5)
    axes = figure.add_subplot()
    importance = compute_importance(trained).head(10)[::-1]
    axes.barh([str(name)[:30] for name in importance.index], importance.to_numpy())
    label = f"loss of {trained.settings.metric} when shuffled"
    axes.set(title="Permutation importance", xlabel=label)
    return figure
