"""A contract of each kind of column, and a champion of it that says what its training saw."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from library.serving.published import publish

from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.export.runtime import BUNDLE
from mlops_ladder.serving.model_reloader import POINTER
from mlops_ladder.serving.reference_loader import NAME

KINDS = Contract(
    columns={
        "größe": Column(kind="number", role="feature", nullable=True),
        "count": Column(kind="integer", role="feature"),
        "colour": Column(kind="category", role="feature", categories=["red", "blue", "green"]),
        "a word": Column(kind="text", role="feature"),
        "open": Column(kind="boolean", role="feature"),
        "at": Column(kind="time", role="time", timezone="UTC"),
        "kind": Column(kind="category", role="target", categories=["none", "first", "second"]),
    }
)
ROW = {
    "größe": 1.5,
    "count": 10,
    "colour": "red",
    "a word": "yes",
    "open": True,
    "at": "2024-01-01T12:00:00Z",
}
REFERENCE: dict[str, Any] = {
    "trained_at": 1_700_000_000.0,
    "rows": 100,
    "columns": {
        "größe": {"low": 1.0, "high": 2.0, "missing": 0.1},
        "count": {"low": 0, "high": 10, "missing": 0},
        "colour": {"values": ["red", "blue"], "missing": 0},
        "a word": {"values": ["yes"], "missing": 0},
        "open": {"values": [True], "missing": 0},
        "at": {"low": 0, "high": 1, "missing": 0},
    },
    "fallback": {"prediction": "second", "probability": {"none": 0.2, "first": 0.3, "second": 0.5}},
    "scores": [0.1 * place for place in range(11)],
}


def refer(folder: Path, number: int, said: dict[str, Any], classifies: bool = True) -> None:
    """Publish a model as `publish` does, with this reference."""
    publish(folder, number, KINDS, classifies)
    place = folder / str(number)
    (place / NAME).write_text(json.dumps(said), encoding="utf-8")
    bundle = json.loads((place / BUNDLE).read_bytes())
    bundle["files"][NAME] = sha256((place / NAME).read_bytes()).hexdigest()
    (place / BUNDLE).write_text(json.dumps(bundle), encoding="utf-8")
    pointer = json.loads((folder / POINTER).read_bytes())
    pointer["sha256"] = sha256((place / BUNDLE).read_bytes()).hexdigest()
    (folder / POINTER).write_text(json.dumps(pointer), encoding="utf-8")
