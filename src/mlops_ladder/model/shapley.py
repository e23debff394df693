"""Shapley values: how much each feature moves one prediction away from the average one.

A coalition is a set of features whose values are known; the others take those of background rows.
Its worth is the average output.  A feature's value is what it adds, averaged over all coalitions
(Štrumbelj & Kononenko, 2014; "interventional" in Lundberg & Lee, 2017).  The values add up to the
output less the average one, whatever the model is.
"""

from collections.abc import Callable
from math import comb

import numpy as np
import pandas as pd

Output = Callable[[pd.DataFrame], np.ndarray]
MAX_EXACT_COLUMNS = 12  # features whose coalitions are all used: 4,096
DRAWN_ORDERS = 32  # orders in which more features are added, and as many backwards
MAX_ROWS_PER_CALL = 200_000  # rows that the model is given


def compute_shapley_values(
    output: Output,
    row: pd.DataFrame,
    background: pd.DataFrame,
    seed: int,
    orders: int | None = None,
) -> tuple[float, np.ndarray]:
    """Return the average output over `background`, and the value of each column, (columns,).

    Both frames have the same columns; `row` is one row.  Up to 12 columns the values are exact.
    For more, or with `orders`, orders are drawn, each with its reverse (Mitchell et al., 2022): the
    values are then estimates that still add up.
    """
    count = row.shape[1]
    if count <= MAX_EXACT_COLUMNS and orders is None:
        masks = (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(bool)
        return compute_exact_values(compute_worth(output, masks, row, background), masks)
    masks = draw_coalition_paths(count, orders or DRAWN_ORDERS, np.random.default_rng(seed))
    gains = np.diff(compute_worth(output, masks, row, background).reshape((-1, count + 1)), axis=1)
    grown = masks.reshape((-1, count + 1, count)).astype("int8")
    order = np.diff(grown, axis=1).argmax(axis=2)
    values = np.bincount(order.ravel(), gains.ravel(), count) / len(gains)
    return float(output(background).mean()), values


def compute_exact_values(worth: np.ndarray, masks: np.ndarray) -> tuple[float, np.ndarray]:
    """Return the worth of the empty coalition, and the value of each feature, (columns,).

    `worth` has an entry for every coalition, (2 ** columns,), and `masks` its known features.
    """
    count = masks.shape[1]
    weights = [1 / (count * comb(count - 1, size)) for size in range(count)]
    weight = np.array([*weights, 0])[masks.sum(axis=1)]
    places = np.arange(len(masks))
    # A coalition that has the feature already gains nothing.
    values = [weight @ (worth[places | 1 << feature] - worth) for feature in range(count)]
    return float(worth[0]), np.array(values)


def draw_coalition_paths(count: int, orders: int, random: np.random.Generator) -> np.ndarray:
    """Return coalitions that grow by one feature at a time, (2 · orders · (count + 1), count)."""
    paths = []
    for _ in range(orders):
        order = random.permutation(count)
        for way in (order, order[::-1]):
            paths.append(np.argsort(way)[None, :] < np.arange(count + 1)[:, None])
    return np.concatenate(paths)


def compute_worth(
    output: Output, masks: np.ndarray, row: pd.DataFrame, background: pd.DataFrame
) -> np.ndarray:
    """Return the average output of each coalition, (coalitions,)."""
    step = max(1, MAX_ROWS_PER_CALL // len(background))
    parts = [
        output(mix_rows(masks[first : first + step], row, background)).reshape(-1, len(background))
        for first in range(0, len(masks), step)
    ]
    return np.asarray(np.concatenate(parts).mean(axis=1))


def mix_rows(masks: np.ndarray, row: pd.DataFrame, background: pd.DataFrame) -> pd.DataFrame:
    """Return all background rows for each coalition, with the values of `row` for its features."""
    taken = np.repeat(masks, len(background), axis=0)
    columns = {}
    for place, name in enumerate(background):
        values = pd.concat([row[name], background[name]], ignore_index=True)
        rows = np.tile(np.arange(1, len(values)), len(masks))
        columns[name] = values.take(np.where(taken[:, place], 0, rows)).reset_index(drop=True)
    return pd.DataFrame(columns)
