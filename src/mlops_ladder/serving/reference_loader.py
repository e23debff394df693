"""What the champion learned from, as the service reads it: `reference.json` of its bundle."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.export.runtime import verified
from mlops_ladder.serving.schemas import Expected, Range

LOG = logging.getLogger(__name__)
NAME = "reference.json"
TRUE = {"true", "1", "1.0"}
POWERS = sorted([0.0, *(sign * 10.0**power for sign in (-1, 1) for power in range(-2, 7))])


@dataclass(frozen=True)
class Reference(Expected):
    """What is known of the training: when it was, a stand-in for its model, what it saw.

    `scores` are the deciles of what the model said of held-out rows.  Times are in no range: a
    model sees their weekday and hour, and every new row is later than the training.
    """

    trained_at: float | None = None
    fallback: dict[str, Any] = field(default_factory=dict)
    scores: Sequence[float] = ()


def reference(folder: Path, bundle: dict[str, Any], margin: float = 0) -> Reference:
    """The reference of a bundle; an empty one where it has none, or one that is not whole.

    A number is outside where it is further from the range of training than `margin` of its width.
    """
    wanted = bundle.get("files", {}).get(NAME)
    if not wanted:
        return Reference()
    try:
        said = json.loads(verified(folder / NAME, wanted))
        return understood(said, Contract(**bundle["contract"]), margin)
    except (ProjectError, KeyError, TypeError, ValueError, AttributeError) as error:
        LOG.error("not used: %s: %s", folder / NAME, error)
        return Reference()


def understood(said: dict[str, Any], contract: Contract, margin: float) -> Reference:
    """What `reference.json` says of the inputs of this contract."""
    columns = {name: said.get("columns", {}).get(name, {}) for name in contract.inputs()}
    numbers = contract.inputs("number", "integer")
    truths = contract.inputs("boolean")
    return Reference(
        tuple(wider(name, columns[name], margin) for name in numbers if "low" in columns[name]),
        tuple(
            (name, seen(columns[name]["values"], name in truths))
            for name in contract.inputs("category", "text", "boolean")
            if "values" in columns[name]
        ),
        said.get("trained_at"),
        said.get("fallback") or {},
        tuple(said.get("scores") or ()),
    )


def wider(name: str, column: dict[str, Any], margin: float) -> Range:
    """The range of a column with a margin, as a share of its width, on both sides."""
    low, high = float(column["low"]), float(column["high"])
    return name, low - margin * (high - low), high + margin * (high - low)


def seen(values: Sequence[Any], truths: bool) -> frozenset[Any]:
    """The values of a column, as rows hold them: bools, or words without blanks around them."""
    if truths:
        return frozenset(str(value).lower() in TRUE for value in values)
    return frozenset(str(value).strip() for value in values)


def cuts(scores: Sequence[float]) -> list[float]:
    """Bounds between which numbers like these are counted; powers of ten where none are known."""
    found = sorted({float(f"{score:.4g}") for score in scores})
    return found if len(found) > 1 else POWERS
