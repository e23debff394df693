"""Joining: logged rows, what was answered, and what became of them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import orjson
import pandas as pd
from pydantic import TypeAdapter, ValidationError

from mlops_ladder.data.casting import conform, CONVERSIONS
from mlops_ladder.data.columns import row_type
from mlops_ladder.data.contract import Contract
from mlops_ladder.monitoring.outcomes import Key, Outcome, Outcomes
from mlops_ladder.monitoring.window import logged

Pair = tuple[Outcome, dict[str, Any], dict[str, Any]]


@dataclass(frozen=True)
class Joined:
    """Rows with the target, each column as its kind; `said` as `prediction.predict` gives it.

    `keys` name request and row; `left_out` are those that the contract does not allow any more.
    """

    rows: pd.DataFrame
    said: pd.DataFrame
    keys: list[Key]
    left_out: int = 0


def pairs(archive: Outcomes, found: list[Outcome]) -> Iterator[Pair]:
    """Each outcome with the row that was asked, and the answer."""
    numbers = sorted({it.prediction for it in found})
    grouped = groupby(found, key=lambda it: it.prediction)
    for (_, _, asked, said), (_, its) in zip(archive.requests(numbers), grouped, strict=True):
        rows, answers = orjson.loads(asked), orjson.loads(said)
        for outcome in its:
            yield outcome, rows[outcome.row - 1], answers[outcome.row - 1]


def joined(them: Iterator[Pair], contract: Contract, answered: bool = True) -> Joined:
    """The rows that this contract allows; with `answered` without those of a stand-in."""
    wanted = [it for it in them if not (answered and it[2].get("fallback"))]
    kept = [it for it, fits in zip(wanted, allowed(wanted, contract), strict=True) if fits]
    inputs, column = contract.inputs(), contract.columns[contract.target]
    frame = pd.DataFrame([asked for _, asked, _ in kept], columns=inputs)
    rows = conform(frame, logged(contract), inputs)
    values = pd.Series([json.loads(it.value) for it, _, _ in kept], dtype="object")
    rows[contract.target] = CONVERSIONS[column.kind](values, column)
    keys = [(it.request_id, it.row) for it, _, _ in kept]
    said = predictions([it for *_, it in kept], contract)
    return Joined(rows, said, keys, len(wanted) - len(kept))


def allowed(them: list[Pair], contract: Contract) -> Iterator[bool]:
    """Would the service take each of these rows by this contract?"""
    known, inputs = TypeAdapter(row_type(logged(contract))), contract.inputs()
    for _, asked, _ in them:
        try:
            known.validate_json(orjson.dumps({it: asked[it] for it in inputs if it in asked}))
            yield True
        except ValidationError:
            yield False


def predictions(said: list[dict[str, Any]], contract: Contract) -> pd.DataFrame:
    """Answers of the service as `prediction.predict` gives them."""
    column = contract.columns[contract.target]
    values = pd.Series([it["prediction"] for it in said], dtype="object")
    shares = pd.DataFrame([it.get("probability", {}) for it in said], dtype="float64")
    found = pd.DataFrame({"prediction": CONVERSIONS[column.kind](values, column)})
    return found.join(shares.add_prefix("probability_"))
