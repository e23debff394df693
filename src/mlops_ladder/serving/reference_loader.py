"""The reference of the champion, as the service reads it: `reference.json` of its bundle."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.export.runtime import read_verified
from mlops_ladder.serving.schemas import Expected

LOG = logging.getLogger(__name__)
NAME = "reference.json"
TRUE = {"true", "1", "1.0"}
POWERS = sorted([0.0, *(sign * 10.0**power for sign in (-1, 1) for power in range(-2, 7))])


@dataclass(frozen=True)
class Reference(Expected):
    """The training: when it was, a stand-in for its model, and the values that it saw.

    `scores` are the deciles of the model's scores of the hold-out.  Times have no range: a model
    sees their weekday and hour, and every new row is later than the training.
    """

    trained_at: float | None = None
    fallback: dict[str, Any] = field(default_factory=dict)
    scores: Sequence[float] = ()


def load_reference(folder: Path, bundle: dict[str, Any], margin: float = 0) -> Reference:
    """Return the reference of a bundle; an empty one if it has none, or one that is not whole.

    Args:
        folder: The folder of the bundle.
        bundle: The content of `bundle.json`.
        margin: A number may leave the range of training by this share of its width.
    """
    sha256 = bundle.get("files", {}).get(NAME)
    if not sha256:
        return Reference()
    try:
        document = json.loads(read_verified(folder / NAME, sha256))
        return parse_reference(document, Contract(**bundle["contract"]), margin)
    except (ProjectError, KeyError, TypeError, ValueError, AttributeError) as error:
        LOG.error("not used: %s: %s", folder / NAME, error)
        return Reference()


def parse_reference(document: dict[str, Any], contract: Contract, margin: float) -> Reference:
    """Return the content of `reference.json` about the inputs of a contract."""
    ranges, categories = [], list[tuple[str, frozenset[Any]]]()
    for name in contract.inputs():
        column, kind = document.get("columns", {}).get(name, {}), contract.columns[name].kind
        if kind in ("number", "integer") and "low" in column:
            low, high = float(column["low"]), float(column["high"])
            more = margin * (high - low)
            ranges.append((name, low - more, high + more))
        elif kind in ("boolean", "category", "text") and "values" in column:
            words: list[Any] = [str(value).strip() for value in column["values"]]
            values = [word.lower() in TRUE for word in words] if kind == "boolean" else words
            categories.append((name, frozenset(values)))
    fallback, scores = document.get("fallback") or {}, tuple(document.get("scores") or ())
    return Reference(ranges, categories, document.get("trained_at"), fallback, scores)


def score_bounds(scores: Sequence[float]) -> list[float]:
    """Return the bounds of a histogram of such scores; powers of ten if no scores are known."""
    bounds = sorted({float(f"{score:.4g}") for score in scores})
    return bounds if len(bounds) > 1 else POWERS
