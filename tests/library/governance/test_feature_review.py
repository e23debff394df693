"""The review of features: one that tells the answer is valuable, one that is constant is not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline, Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.governance import feature_review
from mlops_ladder.governance.feature_review import (
    estimate_loss,
    review_features,
    Worth,
)
from mlops_ladder.model import training
from mlops_ladder.model.resampling import Draws, Estimate
from mlops_ladder.model.training import fit_model, Trained
from mlops_ladder.settings import Settings

CONTRACT = Contract(
    columns={
        "größe": Column(kind="number", role="feature", nullable=True),
        "farbe": Column(kind="category", role="feature", categories=["rot", "blau"]),
        "immer gleich": Column(kind="integer", role="feature"),
        "target": Column(kind="number", role="target"),
    }
)


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with numbers for words."""
    return frame.replace({"rot": 0, "blau": 1}).astype("float64")


def small(_: Contract, settings: Settings) -> Pipeline:
    """A tree, which learns in milliseconds."""
    classifies = settings.problem == "classification"
    tree = DecisionTreeClassifier if classifies else DecisionTreeRegressor
    return make_pipeline(FunctionTransformer(numbers), tree(max_depth=4, random_state=0))


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small models, and a few rows to time them by."""
    monkeypatch.setattr(training, "build_model", small)
    monkeypatch.setattr(feature_review, "BATCH", 50)


def rows(classes: int) -> pd.DataFrame:
    """600 rows of which only one column tells the target, with gaps in it; 0 classes: a number."""
    random = np.random.default_rng(0)
    told = random.normal(size=600)
    answers = told + 0.3 * random.normal(size=600)
    frame = pd.DataFrame({"größe": told, "farbe": random.choice(["rot", "blau"], 600)})
    frame.loc[::20, "größe"] = np.nan
    labels = [f"class {place}" for place in range(classes)]
    target = pd.Series(answers) if not classes else pd.qcut(answers, classes, labels=labels)
    return frame.assign(**{"immer gleich": 7, "target": pd.Series(target).astype(object).array})


def made(settings: Settings, classes: int) -> Trained:
    """A model of these rows."""
    kind: Any = "category" if classes else "number"
    target = Column(kind=kind, role="target")
    contract = CONTRACT.model_copy(update={"columns": CONTRACT.columns | {"target": target}})
    problem, metric = ("classification", "accuracy") if classes else ("regression", "mae")
    frame = rows(classes).astype({"target": "str" if classes else "float64"})
    other = settings.model_copy(update={"problem": problem, "metric": metric})
    return fit_model(frame.iloc[:400], frame.iloc[400:], contract, other)


@pytest.mark.parametrize("classes", [0, 3])
def test_what_tells_the_answer_is_valuable_and_a_constant_is_not(
    settings: Settings, classes: int
) -> None:
    """Of numbers and of classes, learned anew, under any name and with gaps."""
    found = {it.name: it for it in review_features(made(settings, classes))}
    assert found["größe"].verdict == "valuable"
    assert found["immer gleich"].verdict == "no value shown"
    assert abs(found["immer gleich"].value.value) < found["größe"].value.value / 20
    assert found["farbe"].value.value < found["größe"].value.value / 4
    assert found["größe"].missing == 0.05
    assert found["immer gleich"].size == len('"immer gleich":7,')


def test_a_loss_has_both_kinds_of_chance_in_it() -> None:
    """Pairs that agree leave what the held-out rows say; pairs that differ make it wider."""
    spread = np.linspace(-0.1, 0.1, 500)
    full = [Draws(0.8, 0.8 + spread, 1.0)] * 3
    same = estimate_loss(full, [Draws(0.5, np.full(500, 0.5), 1.0)] * 3, "accuracy")
    assert (same.value, same.low, same.high) == pytest.approx((0.3, 0.205, 0.395))
    apart = [Draws(it, np.full(500, it), 1.0) for it in (0.4, 0.5, 0.6)]
    wide = estimate_loss(full, apart, "accuracy")
    assert wide.value == pytest.approx(0.3) and wide.low < 0.1
    worse = estimate_loss(full, [Draws(1.0, np.full(500, 1.0), 1.0)] * 3, "mae")
    assert worse.value == pytest.approx(0.2), "an error that grows is a loss"


def test_the_only_feature_is_compared_with_a_model_that_sees_nothing(
    settings: Settings,
) -> None:
    """Without it nothing is left to learn from."""
    whole = made(settings, 0)
    for name in ("farbe", "immer gleich"):
        whole = replace(whole, contract=feature_review.ignore_column(whole.contract, name))
    whole = fit_model(whole.train, whole.holdout, whole.contract, whole.settings)
    (only,) = review_features(whole)
    assert only.name == "größe" and only.value.value > 0.3


def test_a_report_names_what_is_worth_nothing_and_who_owns_it(
    trained: Trained, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The most valuable first; a name that would end a cell of the table does not."""
    monkeypatch.setattr(feature_review, "find_column_owners", lambda _: {"": "Ada", "a|b": "Bob"})
    values = {"a|b": (0.2, 0.1, 0.3), "c": (0.0, -0.1, 0.1), "d": (-0.2, -0.3, -0.1)}
    found = [
        Worth(name, Estimate(*value), Estimate(1, 0, 2), 12.4, 0.25)
        for name, value in reversed(values.items())
    ]
    entry: Any = type("Entry", (), {"version": "3", "run_id": "r", "data_sha256": "d"})()
    entry.model_version = trained.version
    report = feature_review.build_report(entry, trained, found)
    page = feature_review.render_report(report)
    line = "| a&#124;b | valuable | 0.2000 (0.1000 to 0.3000) | 1.00 (0.00 to 2.00) | 12 | 25.0% |"
    assert f"{line} Bob |" in page and "| c | no value shown" in page
    assert "Not to be told from nothing: `c`.\nBetter without: `d`." in page
    assert "another model" not in page and page.index("a&#124;b") < page.index("| d |")
    entry.model_version = "other"
    assert "another model" in feature_review.render_report(
        feature_review.build_report(entry, trained, found)
    )
    assert not list(folder.glob("reports/*")), "nothing is written yet"
