"""A model for the tests of the service, published like a champion; it answers its number."""

import json
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from mlops_ladder.data.contract import Contract
from mlops_ladder.export.runtime import BUNDLE, LoadedModel, read_bundle
from mlops_ladder.serving.model_reloader import ModelReloader, POINTER
from mlops_ladder.serving.schemas import Types

CLASSES = ["none", "first", "second"]
MOST = 5


def publish(folder: Path, number: int, contract: Contract, classifies: bool = True) -> None:
    """Publish a model that says `number`: as a probability of 1 of that class, or as it is."""
    bundle = {
        "model_version": f"model-{number}",
        "runtime": "native",
        "why": "a model of the tests",
        "classes": CLASSES if classifies else None,
        "names": CLASSES if classifies else None,
        "contract": contract.model_dump(mode="json"),
        "files": {},
    }
    place = folder / str(number) / BUNDLE
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(bundle), encoding="utf-8")
    found = sha256(place.read_bytes()).hexdigest()
    pointer = {"version": str(number), "run_id": f"run-{number}", "sha256": found}
    unfinished = folder / f"{POINTER}.part"
    unfinished.write_text(json.dumps(pointer), encoding="utf-8")
    unfinished.replace(folder / POINTER)


def loaded(folder: Path) -> LoadedModel:
    """The model of a folder that `publish` made; from number 3 on it cannot answer."""
    bundle, number = read_bundle(folder), int(folder.name)
    contract = Contract(**bundle["contract"])

    def scores(rows: list[dict[str, Any]]) -> tuple[list[Any], np.ndarray | None]:
        times = [row[name] for row in rows for name in contract.inputs("time")]
        assert all(isinstance(time, datetime | None) for time in times)
        if number >= len(CLASSES):
            raise ValueError("a model that cannot answer")
        if not bundle["classes"]:
            return [float(number)] * len(rows), None
        said = [float(place == number) for place in range(len(CLASSES))]
        return [CLASSES[number]] * len(rows), np.array([said] * len(rows))

    return LoadedModel(bundle, contract, scores)


def make_reloader(folder: Path, contract: Contract) -> ModelReloader:
    """Return a reloader of this folder that takes requests of up to five rows."""
    return ModelReloader(folder, Types.from_contract(contract, CLASSES, MOST), loaded)
