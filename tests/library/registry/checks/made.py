"""Made-up rows and models that questions are asked about, of both kinds of problem."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.model.prediction import predict_rows
from mlops_ladder.model.training import Trained
from mlops_ladder.registry.gate_checks import CheckContext
from mlops_ladder.settings import Settings

PLACES = ["Köln", "Łódź", "東京"]


class Number:  # pylint: disable=too-few-public-methods  # as much of a model as is asked
    """A model that answers with the size, or with what it is turned into."""

    def __init__(self, turned: bool = False, wrong_in: str = "", gaps: bool = True) -> None:
        self.turned, self.wrong_in, self.gaps = turned, wrong_in, gaps

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """The size; 0.5 where it is missing, unless that is a failure."""
        if not self.gaps and rows["größe"].isna().any():
            raise ValueError("a value is missing")
        found = rows["größe"].fillna(0.5).to_numpy(dtype="float64")
        wrong = (rows["place"] == self.wrong_in).to_numpy() | self.turned
        return np.where(wrong, 1 - found, found)


class Classes(Number):
    """The same, as the probability of the last of three classes; the first two share the rest."""

    classes_ = np.array(["nein", "vielleicht", "ja"])

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """The class that is most probable."""
        chosen: np.ndarray = self.classes_[self.predict_proba(rows).argmax(axis=1)]
        return chosen

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        """The probabilities of each row, (rows, 3)."""
        yes = Number.predict(self, rows)
        return np.column_stack([0.6 * (1 - yes), 0.4 * (1 - yes), yes])


def contract(kind: str) -> Contract:
    """A number that may be missing, a place, people of two kinds that the model does not see."""
    target = Column(kind="number" if kind == "regression" else "category", role="target")
    return Contract(
        columns={
            "größe": Column(kind="number", role="feature", nullable=True, range=(0, 1)),
            "place": Column(kind="category", role="feature", categories=PLACES),
            "people": Column(kind="category", role="personal"),
            "target": target,
        }
    )


def made(settings: Settings, kind: str, rows: int = 900) -> CheckContext:
    """A question about a good model of so many held-out rows, without a champion."""
    random = np.random.default_rng(settings.seed)
    frame = pd.DataFrame(
        {
            "größe": random.random(rows),
            "place": random.choice(PLACES, rows),
            "people": random.choice(["A", "B"], rows),
        }
    )
    truth: Any = frame["größe"] + random.normal(0, 0.1, rows)
    if kind == "classification":
        others = np.where(random.random(rows) < 0.6, "nein", "vielleicht")
        truth = pd.Series(np.where(truth > 0.6, "ja", others))
    frame["target"] = truth
    model = Number() if kind == "regression" else Classes()
    metric = "mae" if kind == "regression" else "balanced_accuracy"
    asked = settings.model_copy(update={"problem": kind, "metric": metric})
    held, dull = frame.drop(columns="people"), dullest(kind, truth)
    trained = Trained(asked, contract(kind), model, held, held, dull, dull, 0.0)
    return about(CheckContext(trained, frame=frame), model)


def dullest(kind: str, truth: pd.Series) -> pd.DataFrame:
    """What a model says that ignores the features."""
    if kind == "regression":
        return pd.DataFrame({"prediction": truth.median()}, index=truth.index)
    shares = {"probability_nein": 1.0, "probability_vielleicht": 0.0, "probability_ja": 0.0}
    return pd.DataFrame({"prediction": "nein", **shares}, index=truth.index)


def about(asked: CheckContext, model: Any) -> CheckContext:
    """The same question about another model."""
    rows = asked.trained.holdout[asked.trained.contract.inputs()]
    found = replace(asked.trained, model=model, predictions=predict_rows(model, rows))
    return replace(asked, trained=found)


def other(asked: CheckContext, **changes: Any) -> CheckContext:
    """The same question about a model with these faults."""
    return about(asked, type(asked.trained.model)(**changes))
