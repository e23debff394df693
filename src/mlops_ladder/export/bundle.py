"""The export: a trained model as a bundle that the service runs, compared with the model itself."""

import hashlib
import json
from collections import ChainMap
from dataclasses import asdict, dataclass
from operator import ne
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.export.runtime import BUNDLE, create_onnx_scorer, FILES, frame_to_rows, Scorer
from mlops_ladder.model import artifacts, prediction, training
from mlops_ladder.plugins import get_hooks

TOLERANCE = 1e-5  # of a probability, or of a number's size: XGBoost adds up in float32
BOUNDARY_ROWS = 5  # rows in which each edge is tried
UNSEEN_WORD = "a word that no training has seen"
BOUNDARY_TIMES = "1969-12-31 23:59:59", "2000-02-29 12:30:30", "2024-12-31 23:59:59", "2199-07-04"


@dataclass(frozen=True)
class Parity:
    """How far the exported model's answers are from the model's, over so many rows.

    `largest` is the largest difference of a probability, or of a number in proportion to its size;
    `mismatched` counts the rows of which the classes differ.
    """

    rows: int
    largest: float
    mismatched: int

    @property
    def holds(self) -> bool:
        """Return whether all differences are within the tolerance, and all classes the same."""
        return self.largest <= TOLERANCE and not self.mismatched


@dataclass(frozen=True)
class Bundle:
    """The content of `bundle.json`.  `runtime` is onnx, or native for the reason in `why`.

    `files` has the sha256 of each file by its name; `classes` is None without probabilities.
    """

    model_version: str
    problem: str
    runtime: str
    why: str
    classes: list[Any] | None
    contract: dict[str, Any]
    files: dict[str, str]
    parity: Parity | None
    run_id: str | None


def export_bundle(trained: training.Trained, folder: Path, run_id: str | None = None) -> Bundle:
    """Write the bundle of a model into the folder, `bundle.json` last, with files of plugins.

    As ONNX if the model converts and its answers are the same on the held-out rows and the boundary
    rows of the contract; else as the model itself, to be served natively.
    """
    content, parity, why = convert_and_compare(trained)
    beside = dict(ChainMap(*get_hooks().list_bundle_files(trained=trained)))
    runtime = "native" if why else "onnx"
    if why:
        with artifacts.pickle_own_code() as cloudpickle:
            content = cloudpickle.dumps(trained.model)
    contents = {FILES[runtime]: content, **beside}
    bundle = Bundle(
        model_version=trained.version,
        problem=trained.settings.problem,
        runtime=runtime,
        why=why,
        classes=list_classes(trained.model),
        contract=trained.contract.model_dump(mode="json", exclude_defaults=True),
        files={name: hashlib.sha256(text).hexdigest() for name, text in contents.items()},
        parity=parity,
        run_id=run_id,
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in contents.items():
        (folder / name).write_bytes(text)
    text = json.dumps(asdict(bundle), indent=2, ensure_ascii=False)
    (folder / BUNDLE).write_text(text + "\n", encoding="utf-8")
    return bundle


def convert_and_compare(trained: training.Trained) -> tuple[bytes, Parity | None, str]:
    """Return the model as ONNX, its parity with the model, and why not to use it, if so."""
    parity = None
    try:
        # pylint: disable-next=import-outside-toplevel  # takes a second to import
        from mlops_ladder.export.onnx.conversion import convert

        content = convert(trained.model, trained.contract)
        scores = create_onnx_scorer(content, trained.contract, list_classes(trained.model))
        parity = measure_parity(trained, scores)
    except Exception as error:  # pylint: disable=broad-exception-caught  # native serves any model
        first = str(error).strip().partition("\n")[0][:200]  # some print the whole model
        return b"", None, f"{type(error).__name__}: {first}"
    return content, parity, "" if parity.holds else f"its answers are not the model's: {parity}"


def list_classes(model: Any) -> list[Any] | None:
    """Return the classes of the probabilities as JSON has them; None without probabilities."""
    if not hasattr(model, "predict_proba"):
        return None
    return list(np.asarray(model.classes_).tolist())


def measure_parity(trained: training.Trained, scores: Scorer) -> Parity:
    """Compare the exported model's answers with the model's on held-out and boundary rows."""
    rows = trained.holdout[trained.contract.inputs()]
    rows = pd.concat([rows, *boundary_rows(rows, trained.contract)], ignore_index=True)
    with threadpool_limits(1):  # on few rows threads cost more than they bring
        truth = prediction.predict_rows(trained.model, rows)
    values, shares = scores(frame_to_rows(rows))
    if shares is None:
        expected = truth["prediction"].to_numpy("float64")
        off, mismatched = np.abs(values - expected) / np.maximum(np.abs(expected), 1), 0
    else:
        off = np.abs(shares - truth.drop(columns="prediction").to_numpy("float64"))
        mismatched = sum(map(ne, values, truth["prediction"].tolist()))
    return Parity(len(rows), float(np.nan_to_num(off, nan=np.inf).max()), mismatched)


def boundary_rows(rows: pd.DataFrame, contract: Contract) -> list[pd.DataFrame]:
    """Return copies of some rows with one column at an edge of the contract, or beyond it.

    The last copy has all nullable columns missing at once.
    """
    some = empty = rows.head(BOUNDARY_ROWS)
    copies = []
    for name in map(str, rows):
        column = contract.columns[name]
        copies += [with_value(some, name, value) for value in boundary_values(rows[name], column)]
        empty = with_value(empty, name, None) if column.nullable else empty
    return [*copies, empty]


def with_value(rows: pd.DataFrame, name: str, value: Any) -> pd.DataFrame:
    """Return the rows with one value in a column, which keeps its type."""
    missing = pd.NaT if rows[name].dtype.kind == "M" else np.nan
    column = pd.Series(missing if value is None else value, rows.index, rows[name].dtype)
    return rows.assign(**{name: column})


def boundary_values(values: pd.Series, column: Column) -> list[Any]:
    """Return values at the edges of what a column may hold, and beyond."""
    edges: list[Any] = [None] if column.nullable else []
    if column.kind in ("category", "text"):
        return [*edges, UNSEEN_WORD, *(column.categories or [])]
    if column.kind == "time":
        return [*edges, *map(pd.Timestamp, BOUNDARY_TIMES)]
    if column.kind == "boolean":
        return [*edges, True, False]
    low, high = column.range or (values.min(), values.max())
    span = max(high - low, 1)
    return [*edges, 0, *(at + step * span for at in (low, high) for step in (-100, -1, 0, 1, 100))]
