"""The score is that of the stored predictions, and there is none without a signal."""

import io
from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest

from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.model import figures, training
from mlops_ladder.model.evaluation import compute_intervals, is_better
from mlops_ladder.model.prediction import compute_scores, LOWER_IS_BETTER, METRICS
from mlops_ladder.model.resampling import bootstrap_scores
from mlops_ladder.settings import Settings
from mlops_ladder.tracking import runs

TOO_FEW = 30


def test_a_dollar_in_a_name_begins_no_formula() -> None:
    """A class or a column may be called by any signs, and is drawn by them."""
    figure = figures.create_figure(2, 2)
    axes = figure.add_subplot()
    axes.set(title="$\\nothing$ of ${a}_$", xlabel="a$_^$")
    axes.bar(["$\\frac$", "b"], [1, 2])
    figure.savefig(io.BytesIO())
    assert not axes.title.get_parse_math()


def test_the_metric_of_the_stored_predictions_is_the_logged_one(
    run: runs.Run, trained: training.Trained, settings: Settings
) -> None:
    """Computed again from the run's own predictions.csv, each metric is what the run says."""
    text = runs.connect_mlflow().artifacts.load_text(f"runs:/{run.run_id}/predictions.csv")
    words = {name: str for name in ("truth", "prediction") if settings.problem == "classification"}
    stored = pd.read_csv(io.StringIO(text), dtype=words)
    again = compute_scores(settings.problem, stored["truth"], stored)
    defined = {name: value for name, value in again.items() if np.isfinite(value)}
    assert len(stored) == len(trained.holdout)
    assert defined == pytest.approx({name: run.metrics[name] for name in defined})


def test_shuffled_answers_push_the_score_to_chance(
    frame: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """A model that learns from shuffled answers is no better than the baseline."""
    known = frame[frame[contract.target].notna()].reset_index(drop=True)
    order = np.random.default_rng(0).permutation(len(known))
    shuffled = known.assign(**{contract.target: known[contract.target].to_numpy()[order]})
    found = training.train_model(shuffled, contract, settings)
    if len(found.holdout) < TOO_FEW:
        pytest.skip(f"{len(found.holdout)} held-out rows say nothing; {TOO_FEW} are needed")
    metric = settings.metric
    model, baseline = found.scores[metric], found.baseline_scores[metric]
    low, high = compute_intervals(settings.problem, found.truth, found.predictions)[metric]
    gain = baseline - model if metric in LOWER_IS_BETTER else model - baseline
    assert gain < high - low


def test_an_interval_holds_its_score(trained: training.Trained, settings: Settings) -> None:
    """Each 95 % interval lies around the score, and is the same each time."""
    found = trained.scores
    spans = compute_intervals(settings.problem, trained.truth, trained.predictions)
    defined = {name: span for name, span in spans.items() if np.isfinite(found[name])}
    assert {n: s for n, s in defined.items() if not s[0] <= found[n] <= s[1]} == {}
    assert defined == {
        name: span
        for name, span in compute_intervals(
            settings.problem, trained.truth, trained.predictions
        ).items()
        if name in defined
    }


def test_the_fast_score_of_a_draw_is_the_score(
    trained: training.Trained, settings: Settings
) -> None:
    """Drawn once each, the held-out rows have the score that `score` gives them."""
    found = {"model": trained.predictions}
    fast = {
        name: bootstrap_scores(name, trained.truth, found, 0) for name in METRICS[settings.problem]
    }
    scores = {name: draws["model"].whole for name, draws in fast.items()}
    assert scores == pytest.approx(trained.scores, nan_ok=True)


def test_what_three_classes_do_not_define_is_not_shown(
    trained: training.Trained, settings: Settings
) -> None:
    """Of the measures those that the held-out rows define, and in any case the chosen one."""
    guess = pd.DataFrame({"prediction": ["a", "b", "c"], "probability_a": [0.1, 0.2, 0.3]})
    contract = Contract(columns={"class": Column(role="target", kind="category")})
    held = pd.DataFrame({"class": ["a", "b", "b"]})
    said = replace(trained, contract=contract, holdout=held, predictions=guess, baseline=guess)
    for metric, shown in (("accuracy", []), ("roc_auc", ["roc_auc"])):
        asked = {"metric": metric, "problem": "classification"}
        told = training.format_scores(replace(said, settings=settings.model_copy(update=asked)))
        names = [line.split()[0] for line in told.splitlines()[1:]]
        assert names == [*shown, "accuracy", "balanced_accuracy"]


def test_an_undefined_score_beats_nothing() -> None:
    """NaN is never better than a baseline; of errors the smaller is better."""
    assert [is_better("roc_auc", float("nan"), 0.5), is_better("mae", 1.0, 2.0)] == [False, True]


def test_a_font_of_this_machine_draws_what_the_usual_one_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those with Chinese, Japanese and Korean are asked after it, where they are here."""
    here = ["Malgun Gothic", "Noto Sans CJK JP", "Other"]
    monkeypatch.setattr(figures, "get_font_names", lambda: here)
    monkeypatch.setattr(figures, "list_font_families", figures.list_font_families.__wrapped__)
    with matplotlib.rc_context({"font.family": ["usual"]}):
        text = figures.create_figure(1, 1).text(0, 0, "城")
    assert text.get_fontfamily() == ["usual", "Noto Sans CJK JP", "Malgun Gothic"]
