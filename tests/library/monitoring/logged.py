"""A reference and logged rows for the tests of the monitoring, of columns of every kind."""

from typing import Any

import numpy as np
import pandas as pd

from mlops_ladder.data.contract import Contract
from mlops_ladder.monitoring.archive import Window
from mlops_ladder.monitoring.training_reference import Reference

KINDS = {
    "größe": "number",
    "count": "integer",
    "constant": "number",
    "mostly missing": "number",
    "seldom": "boolean",
    "colour": "category",
    "note": "text",
    "at": "time",
}


def contract() -> Contract:
    """The contract of the rows."""
    known: dict[str, Any] = {
        name: {"kind": kind, "role": "feature", "nullable": True} for name, kind in KINDS.items()
    }
    return Contract(columns=known | {"target": {"kind": "category", "role": "target"}})


def rows(count: int, seed: int) -> pd.DataFrame:
    """Rows of one distribution."""
    random = np.random.default_rng(seed)
    ranks = np.arange(50)
    shares = 1 / (ranks + 1) ** 2
    minutes = pd.to_timedelta(random.integers(0, 500_000, count), unit="min")
    return pd.DataFrame(
        {
            "größe": random.normal(size=count),
            "count": random.integers(0, 5, count),
            "constant": np.ones(count),
            "mostly missing": np.where(random.random(count) < 0.99, np.nan, random.random(count)),
            "seldom": random.random(count) < 0.01,
            "colour": random.choice(ranks, count, p=shares / shares.sum()).astype(str),
            "note": np.char.multiply("x", random.poisson(30, count)),
            "at": pd.Timestamp("2024-01-01") + minutes,
        }
    )


def answers(count: int, seed: int) -> pd.DataFrame:
    """Answers of one distribution, of three classes."""
    random = np.random.default_rng(seed)
    classes = random.choice(["ja", "nein", "größer"], count, p=[0.7, 0.2, 0.1])
    return pd.DataFrame({"prediction": classes, "score": random.beta(5, 2, count)})


def reference(seed: int = 0) -> Reference:
    """A champion that has learned from 3,000 rows."""
    return Reference("1", "model-1", contract(), rows(3_000, seed), answers(3_000, seed), {})


def window(seed: int = 1, asked: pd.Series | None = None, **changed: Any) -> Window:
    """1,000 logged rows like those, but for the columns that are given; `asked` is when."""
    new = rows(1_000, seed)
    logged = answers(1_000, seed).assign(time=new["at"] if asked is None else asked)
    return Window(1_000, new.assign(**changed), logged)
