"""The veto: columns that look broken are named, and those of another season are not."""

from datetime import datetime, UTC
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_ladder.data.contract import Contract
from mlops_ladder.pipeline.retraining import data_guard
from mlops_ladder.settings import Settings

NOW = datetime(2024, 6, 1, tzinfo=UTC)
RANDOM = np.random.default_rng(0)
KNOWN = pd.DataFrame(
    {
        "größe": RANDOM.normal(20, 8, 1000),
        "count": RANDOM.poisson(6, 1000).astype(float),
        "colour": RANDOM.choice(["red", "blue", "green"], 1000),
    }
)
CONTRACT = Contract.model_validate(
    {
        "columns": {
            "größe": {"kind": "number", "role": "feature", "nullable": True},
            "count": {"kind": "integer", "role": "feature", "nullable": True},
            "colour": {"kind": "category", "role": "feature", "nullable": True},
        }
    }
)


@pytest.mark.parametrize(
    ("column", "change", "told"),
    [
        ("größe", lambda it: it * 1.8 + 32, "größe: 1.8 times as large"),
        ("größe", lambda it: it / 1000, "größe: 0.001 times as large"),
        ("count", lambda it: it * 60, "count: 60 times as large"),
        ("größe", lambda it: it.where(np.arange(1000) % 2 == 0), "größe: 50% missing"),
        ("count", lambda it: it.where(np.arange(1000) % 20 == 0, -1), "count: -1.0 in 95%"),
        ("colour", lambda it: it.where(np.arange(1000) % 20 == 0, "n/a"), "colour: n/a in 95%"),
    ],
)
def test_what_looks_broken_is_named(column: str, change: Any, told: str) -> None:
    """Another unit, gaps, a value that stands for all; and no other column."""
    found = [
        *data_guard.find_broken_columns(
            KNOWN, KNOWN.assign(**{column: change(KNOWN[column])}), CONTRACT
        )
    ]
    assert len(found) == 1 and found[0].startswith(told)


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"größe": KNOWN["größe"] + 15},
        {"größe": KNOWN["größe"] * 0.7 - 10},
        {"count": KNOWN["count"] + 4},
        {"colour": KNOWN["colour"].where(np.arange(1000) % 2 == 0, "violet")},
    ],
)
def test_what_has_only_drifted_is_no_fault(change: dict[str, Any]) -> None:
    """A warmer season, a new colour: that is what is to be learned."""
    assert [*data_guard.find_broken_columns(KNOWN, KNOWN.assign(**change), CONTRACT)] == []


def test_data_that_break_the_contract_are_no_data_to_learn_from(
    folder: Path,
    settings: Settings,
    contract: Contract,
    frame: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The column and the rule are named, as the pipeline would."""
    assert folder == Path.cwd()
    monkeypatch.setattr(data_guard, "read_data", lambda _: frame)
    assert data_guard.find_data_faults(settings, "data", NOW) == []
    gone = contract.inputs()[0]
    monkeypatch.setattr(data_guard, "read_data", lambda _: frame.drop(columns=gone))
    (fault,) = data_guard.find_data_faults(settings, "data", NOW)
    assert f"{gone}: column is missing" in fault
