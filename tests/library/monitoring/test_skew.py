"""Skew: what the service answers otherwise than the training code is found."""

from typing import Any

import pandas as pd
import pytest

from mlops_ladder.data.contract import Contract
from mlops_ladder.export.bundle import TOLERANCE
from mlops_ladder.export.runtime import frame_to_rows
from mlops_ladder.model.prediction import predict_rows
from mlops_ladder.model.training import Trained
from mlops_ladder.monitoring.archive import Window
from mlops_ladder.monitoring.skew import find_skew, measure_differences


def answers(found: pd.DataFrame) -> list[dict[str, Any]]:
    """Predictions as the service answers them."""
    if found.shape[1] == 1:
        return [{"prediction": value} for value in found["prediction"].tolist()]
    shares = found.iloc[:, 1:].rename(columns=lambda name: name.removeprefix("probability_"))
    told = zip(found["prediction"].tolist(), shares.to_dict("records"), strict=True)
    return [{"prediction": best, "probability": share} for best, share in told]


def logged(rows: pd.DataFrame, said: list[dict[str, Any]]) -> Window:
    """These rows as if they were logged with these answers."""
    ids = [f"id-{place}" for place in range(len(rows))]
    answer = pd.Series(said, dtype="object")
    return Window(len(rows), rows, pd.DataFrame({"request_id": ids, "answer": answer}))


def test_equal_answers_are_no_skew(trained: Trained, contract: Contract) -> None:
    """What the model itself answers is not apart from what it answers again."""
    rows = trained.holdout[contract.inputs()].head(200)
    found = find_skew(
        trained.model, logged(rows, answers(predict_rows(trained.model, rows))), TOLERANCE
    )
    assert (found.rows, found.different, found.requests) == (len(rows), 0, [])
    assert len(frame_to_rows(rows)) == found.rows


def test_another_unit_in_the_service_is_found(trained: Trained, contract: Contract) -> None:
    """A service that turns its numbers into another unit is found, by its requests."""
    rows = trained.holdout[contract.inputs()].head(200)
    names = contract.inputs("number", "integer")
    if not names:
        pytest.skip("no input is a number")
    changed = rows.assign(**{name: (rows[name] * 1.8 + 32).astype("float64") for name in names})
    said = answers(predict_rows(trained.model, changed))
    found = find_skew(trained.model, logged(rows, said), TOLERANCE)
    assert found.different > 0
    assert found.largest > TOLERANCE
    assert found.requests


def test_other_answers_are_infinitely_far() -> None:
    """A class that is not the likeliest, one that is unknown, and a missing probability."""
    shares = {"prediction": ["a"] * 3, "probability_a": [0.9] * 3, "probability_b": [0.1] * 3}
    right = {"a": 0.9, "b": 0.1}
    said: list[dict[str, Any]] = [
        {"prediction": "b", "probability": right},
        {"prediction": "c", "probability": right},
        {"prediction": "a", "probability": {"a": 0.9}},
    ]
    assert measure_differences(pd.DataFrame(shares), pd.Series(said)).tolist() == [float("inf")] * 3
    numbers = pd.DataFrame({"prediction": [100.0, 0.5]})
    plain = pd.Series([{"prediction": 101.0}, {"prediction": 0.75}])
    assert measure_differences(numbers, plain).tolist() == [0.01, 0.25]
