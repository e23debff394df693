"""Shapley values: they add up, and are what theory says where theory can say it."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_ladder.model.shapley import MAX_EXACT_COLUMNS, compute_shapley_values


def frame(count: int, columns: int, seed: int = 0) -> pd.DataFrame:
    """Rows of numbers."""
    values = np.random.default_rng(seed).normal(size=(count, columns))
    return pd.DataFrame(values, columns=[f"x{place}" for place in range(columns)])


@pytest.mark.parametrize("columns", [1, 5, MAX_EXACT_COLUMNS + 3], ids=["one", "exact", "drawn"])
def test_a_linear_model_is_explained_by_its_weights(columns: int) -> None:
    """Each value is the weight times the distance from the average of the background."""
    row, background = frame(1, columns, 1), frame(20, columns)
    weights = np.arange(1, columns + 1)
    base, found = compute_shapley_values(lambda rows: rows.to_numpy() @ weights, row, background, 0)
    wanted = weights * (row.to_numpy()[0] - background.to_numpy().mean(axis=0))
    assert found == pytest.approx(wanted)
    assert base == pytest.approx(background.mean() @ weights)


@pytest.mark.parametrize("orders", [None, 6], ids=["exact", "drawn"])
def test_the_values_add_up_whatever_the_model_is(orders: int | None) -> None:
    """With words and times, and a model that is anything but linear."""
    background = frame(15, 2).assign(
        word=["a", "b", "ü"] * 5, at=pd.date_range("2024-01-31", periods=15, freq="31D")
    )
    row = background.iloc[[7]].assign(x0=3.0, word="b").reset_index(drop=True)

    def output(rows: pd.DataFrame) -> np.ndarray:
        told: Any = (rows["word"] == "b") * rows["x0"] ** 2 * rows["at"].dt.month
        return np.asarray(np.maximum(told, rows["x1"]), dtype="float64")

    base, found = compute_shapley_values(output, row, background, 0, orders)
    assert base + found.sum() == pytest.approx(output(row)[0])
    assert found[2] > 0


def test_what_is_not_used_has_no_value_and_equals_share() -> None:
    """A column that the model ignores gets nothing; two that do the same get the same."""
    background = pd.DataFrame({"a": [0.0, 0.0], "b": [0.0, 0.0], "c": [0.0, 9.0]})
    row = pd.DataFrame({"a": [2.0], "b": [3.0], "c": [4.0]})
    _, found = compute_shapley_values(
        lambda rows: (rows["a"] * rows["b"]).to_numpy(), row, background, 0
    )
    assert found.tolist() == pytest.approx([3.0, 3.0, 0.0])


def test_the_same_seed_gives_the_same_estimate() -> None:
    """Where orders are drawn, they are drawn alike."""
    row, background = frame(1, MAX_EXACT_COLUMNS + 1, 1), frame(9, MAX_EXACT_COLUMNS + 1)

    def output(rows: pd.DataFrame) -> np.ndarray:
        return np.asarray(np.sin(rows.to_numpy()).prod(axis=1))

    first, again = (compute_shapley_values(output, row, background, 3)[1] for _ in range(2))
    assert first.tolist() == again.tolist()
