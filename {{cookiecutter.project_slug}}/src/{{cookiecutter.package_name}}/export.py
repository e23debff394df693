"""The export: a trained model as a bundle that the service runs, compared with the model itself."""

import hashlib
import json
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd

from .contract import Column, Contract
from .forest import Unconvertible
from .prediction import predict
from .serving.runtime import BUNDLE, NATIVE, ONNX, Row, Scores, compiled
from .training import Trained

TOLERANCE = 1e-5  # of a probability, or of a number's size: XGBoost itself adds up in float32
UNKNOWN = "a word that nobody has said"


@dataclass(frozen=True)
class Parity:
    """How far the exported model is from the model, over so many rows.

    `largest` is the largest difference of a probability, or of a number in proportion to its size;
    `mismatched` the rows whose classes differ though they are not tied.
    """

    rows: int
    largest: float
    mismatched: int

    @property
    def holds(self) -> bool:
        """Are all differences within the tolerance, and all classes the same?"""
        return self.largest <= TOLERANCE and not self.mismatched


@dataclass(frozen=True)
class Bundle:
    """What `bundle.json` holds.  `runtime` is onnx, or native for the reason in `why`."""

    model_version: str
    problem: str
    runtime: str
    why: str
    classes: list[Any] | None
    contract: dict[str, Any]
    files: dict[str, str]
    parity: Parity | None
    run_id: str | None


def export(trained: Trained, folder: Path, run_id: str | None = None) -> Bundle:
    """Write the bundle of a model into the folder, `bundle.json` last.

    As ONNX where the model converts and its answers hold over the held-out rows and the edges of
    the contract; else as it is, to be served natively.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found, why = None, ""
    try:
        name, content = ONNX, converted(trained)
        found = parity(trained, compiled(content, trained.contract))
        why = "" if found.holds else f"its answers differ from the model's: {found}"
    except Unconvertible as error:
        why = str(error)
    if why:
        buffer = BytesIO()
        joblib.dump(trained.model, buffer)
        name, content = NATIVE, buffer.getvalue()
    (folder / name).write_bytes(content)
    bundle = Bundle(
        trained.version,
        trained.settings.problem,
        "native" if why else "onnx",
        why,
        classes(trained.model),
        trained.contract.model_dump(mode="json", exclude_defaults=True),
        {name: hashlib.sha256(content).hexdigest()},
        found,
        run_id,
    )
    text = json.dumps(asdict(bundle), indent=2, ensure_ascii=False)
    (folder / BUNDLE).write_text(text, encoding="utf-8")
    return bundle


def converted(trained: Trained) -> bytes:
    """The model as ONNX.  Raises Unconvertible."""
    from .conversion import convert  # pylint: disable=import-outside-toplevel  # heavy

    return convert(trained.model, trained.contract)


def classes(model: Any) -> list[Any] | None:
    """The classes that a classifier gives probabilities of, as JSON has them."""
    if not hasattr(model, "predict_proba"):
        return None
    labels: list[Any] = np.asarray(model.classes_).tolist()
    return labels


def parity(trained: Trained, scores: Scores) -> Parity:
    """The exported model's answers beside the model's, over the held-out rows and the edges."""
    names = trained.contract.inputs()
    rows = trained.holdout[names]
    rows = pd.concat([rows, *edges(rows, trained.contract)], ignore_index=True)
    truth = predict(trained.model, rows)
    wanted = truth.drop(columns="prediction") if truth.shape[1] > 1 else truth[["prediction"]]
    expected = wanted.to_numpy(dtype="float64")
    found = np.array(scores(as_rows(rows))).reshape(expected.shape)
    off = np.abs(found - expected)
    if truth.shape[1] == 1:
        return Parity(len(rows), worst(off / np.maximum(np.abs(expected), 1)), 0)
    best, places = found.argmax(axis=1), np.arange(len(rows))
    untied = expected.max(axis=1) - expected[places, best] > TOLERANCE
    return Parity(len(rows), worst(off), int(untied.sum()))


def worst(differences: Any) -> float:
    """The largest of the differences; infinite where one is not a number."""
    return float(np.nan_to_num(differences, nan=np.inf).max())


def as_rows(frame: pd.DataFrame) -> list[Row]:
    """Rows as the service gets them: plain values, None where one is missing."""
    plain = frame.astype("object")
    rows: list[Row] = plain.where(frame.notna(), None).to_dict("records")
    return rows


def edges(rows: pd.DataFrame, contract: Contract) -> list[pd.DataFrame]:
    """Copies of some rows, each with a value in one column that is rare or has not been seen."""
    some = rows.head(20)
    return [
        some.assign(**{name: pd.Series(value, index=some.index, dtype=some[name].dtype)})
        for name in rows
        for value in extremes(contract.columns[str(name)])
    ]


def extremes(column: Column) -> list[Any]:
    """Values at the edges of what a column may hold, and beyond."""
    found: list[Any] = [None] if column.nullable else []
    if column.kind in ("category", "text"):
        return found + [UNKNOWN, *(column.categories or [])]
    return found
