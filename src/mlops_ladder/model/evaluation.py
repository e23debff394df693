"""Evaluation: how far a held-out score can be trusted, and pictures that show where it fails."""

from collections.abc import Callable
from math import isfinite

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import ConfusionMatrixDisplay, RocCurveDisplay
from threadpoolctl import threadpool_limits

from mlops_ladder.model.figures import empty_figure
from mlops_ladder.model.prediction import LOWER_IS_BETTER, METRICS, predict, score
from mlops_ladder.model.resampling import resampled
from mlops_ladder.model.training import Trained

IMPORTANCE_ROWS = 1000


def intervals(
    problem: str, truth: pd.Series, found: pd.DataFrame, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """The 95 % interval of each metric over draws of the held-out rows; NaN where it has none."""
    draws = {it: resampled(it, truth, {"model": found}, seed)["model"] for it in METRICS[problem]}
    spans = {name: drawn.around(drawn.whole) for name, drawn in draws.items()}
    return {name: (span.low, span.high) for name, span in spans.items()}


def beats(metric: str, model: float, baseline: float) -> bool:
    """Is the model's score the better one?  False where either is not defined."""
    return model < baseline if metric in LOWER_IS_BETTER else model > baseline


def measured(trained: Trained) -> dict[str, float]:
    """Each metric with its interval as NAME, NAME.low and NAME.high; those that are defined."""
    problem, seed = trained.settings.problem, trained.settings.seed
    found = trained.scores
    spans = intervals(problem, trained.truth, trained.predictions, seed)
    found |= {f"{name}.low": low for name, (low, _) in spans.items()}
    found |= {f"{name}.high": high for name, (_, high) in spans.items()}
    found |= {f"baseline.{name}": value for name, value in trained.baseline_scores.items()}
    found |= {"fit_seconds": trained.seconds, "rows.train": len(trained.train)}
    found["rows.holdout"] = len(trained.holdout)
    return {name: float(value) for name, value in found.items() if isfinite(value)}


def importance(trained: Trained) -> pd.Series:
    """What shuffling each input costs the chosen metric, the greatest first.

    Permutation importance on up to 1,000 held-out rows (Breiman, Random Forests, 2001, section 10).
    """
    contract, settings, held = trained.contract, trained.settings, trained.holdout
    rows = held.sample(min(len(held), IMPORTANCE_ROWS), random_state=settings.seed)
    random = np.random.default_rng(settings.seed)
    sign = -1 if settings.metric in LOWER_IS_BETTER else 1

    def reached(changed: pd.DataFrame) -> float:
        found = predict(trained.model, changed[contract.inputs()])
        return sign * score(settings.problem, rows[contract.target], found)[settings.metric]

    with threadpool_limits(1):  # on few rows threads cost more than they bring
        whole = reached(rows)
        shuffled = ((it, rows[it].sample(frac=1, random_state=random)) for it in contract.inputs())
        costs = {name: whole - reached(rows.assign(**{name: it.array})) for name, it in shuffled}
    return pd.Series(costs).sort_values(ascending=False)


def figures(trained: Trained) -> dict[str, Figure]:
    """Plots of the held-out rows by file name: the score, where it fails, what it rests on."""
    drawn: dict[str, Callable[[Axes, Trained], object]] = {"importance.png": draw_importance}
    if trained.settings.problem == "regression":
        drawn |= {"predicted.png": draw_predicted, "residuals.png": draw_residuals}
    else:
        drawn |= {"confusion.png": draw_confusion}
        if trained.predictions.shape[1] == 3 and trained.truth.nunique() == 2:
            drawn |= {"roc.png": draw_roc, "calibration.png": draw_calibration}
    return {name: framed(draw, trained) for name, draw in drawn.items()}


def framed(draw: Callable[[Axes, Trained], object], trained: Trained) -> Figure:
    """One plot on a sheet of its own, without a window."""
    figure = empty_figure(6, 4.5)
    draw(figure.subplots(), trained)
    return figure


def draw_importance(axes: Axes, trained: Trained) -> None:
    """The ten inputs whose shuffling costs the most, the greatest at the top."""
    costs = importance(trained).head(10)[::-1]
    axes.barh([str(name)[:30] for name in costs.index], costs.to_numpy())
    lost = f"loss of {trained.settings.metric} when shuffled"
    axes.set(title="What the model rests on", xlabel=lost)


def draw_predicted(axes: Axes, trained: Trained) -> None:
    """Predicted against true, with the line on which they agree."""
    truth, guess = trained.truth, trained.predictions["prediction"]
    axes.scatter(truth, guess, s=6, alpha=0.4)
    axes.axline((truth.mean(), truth.mean()), slope=1, color="black", linewidth=1)
    target = f"true {trained.contract.target}"
    axes.set(title="Predicted against true", xlabel=target, ylabel="predicted")


def draw_residuals(axes: Axes, trained: Trained) -> None:
    """How far predictions are off, as a histogram."""
    axes.hist(trained.predictions["prediction"] - trained.truth, bins=50)
    axes.set(title="Errors", xlabel=f"predicted − true {trained.contract.target}", ylabel="rows")


def draw_confusion(axes: Axes, trained: Trained) -> None:
    """Which class is taken for which, in rows; without numbers where there are many classes."""
    truth, guess = trained.truth.astype(str), trained.predictions["prediction"].astype(str)
    few = truth.nunique() <= 12
    look: dict[str, object] = {"values_format": "d", "cmap": "Blues", "xticks_rotation": "vertical"}
    look |= {"include_values": few, "colorbar": not few}
    ConfusionMatrixDisplay.from_predictions(truth, guess, ax=axes, **look)
    axes.set(title="Which class is taken for which", xlabel="predicted", ylabel="true")


def draw_roc(axes: Axes, trained: Trained) -> None:
    """The ROC curve of the second class, beside chance."""
    RocCurveDisplay.from_predictions(*positive(trained), ax=axes, plot_chance_level=True)
    axes.set(title="Hits against false alarms", xlabel="false alarms", ylabel="hits")


def draw_calibration(axes: Axes, trained: Trained) -> None:
    """How often it happens when the model says how likely it is, in ten groups of equal size."""
    happened, said = calibration_curve(*positive(trained), n_bins=10, strategy="quantile")
    axes.plot(said, happened, marker="o")
    axes.axline((0, 0), slope=1, color="black", linewidth=1)
    axes.set(title="Calibration", xlabel="predicted probability", ylabel="share that happened")


def positive(trained: Trained) -> tuple[pd.Series, pd.Series]:
    """Is a row of the second class, and how probable the model finds it."""
    shares = trained.predictions.iloc[:, -1]
    return trained.truth.astype(str) == str(shares.name).removeprefix("probability_"), shares
