"""The model as the service runs it: a bundle in, answers out.  The only file that imports ONNX Runtime.

Neither pandas nor scikit-learn is imported but for a bundle that is served natively.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from .. import ProjectError
from ..contract import Contract

BUNDLE = "bundle.json"
ONNX = "model.onnx"
NATIVE = "model.joblib"
NUMBERS, WORDS, TIMES = ("number", "integer", "boolean"), ("category", "text"), ("time",)
NO_WORD = "nan"  # what scikit-learn's converters take for a missing word
NO_TIME = -1
DAY = 24 * 60

Row = dict[str, Any]
Scores = Callable[[list[Row]], list[Any]]


@dataclass(frozen=True)
class Loaded:
    """A model that is ready to answer, and the bundle that it came from.

    `scores` gives for each row the probability of each class, or the number that is predicted.
    """

    bundle: dict[str, Any]
    contract: Contract
    scores: Scores

    @property
    def version(self) -> str:
        """The name of what was learned, as every prediction carries it."""
        return str(self.bundle["model_version"])

    def answers(self, rows: list[Row]) -> list[dict[str, Any]]:
        """The answer to each row; a row has a value or None for each input of the contract.

        `{"prediction": …}`, with `"probability"` of each class by its name for a classifier.
        A time is a datetime; one without a zone is UTC.
        """
        classes = self.bundle["classes"]
        if classes is None:
            return [{"prediction": score} for score in self.scores(rows)]
        names = self.bundle["names"]
        return [
            {
                "prediction": classes[shares.index(max(shares))],
                "probability": dict(zip(names, shares, strict=True)),
            }
            for shares in self.scores(rows)
        ]


def load(folder: Path) -> Loaded:
    """The model of a bundle.  Raises ProjectError where a file is missing, changed or unreadable."""
    bundle = read_bundle(folder)
    contract = Contract(**bundle["contract"])
    files = {name: verified(folder / name, sha256) for name, sha256 in bundle["files"].items()}
    build = compiled if bundle["runtime"] == "onnx" else native
    return Loaded(bundle, contract, build(*files.values(), contract))


def read_bundle(folder: Path) -> dict[str, Any]:
    """What `bundle.json` says.  Raises ProjectError where it is not there or not JSON."""
    path = folder / BUNDLE
    try:
        bundle: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ProjectError(f"{path}: no bundle to be read: {error}") from error
    return bundle | {"names": [str(label) for label in bundle["classes"] or []]}


def verified(path: Path, sha256: str) -> bytes:
    """The bytes of a file.  Raises ProjectError where they are not those that the bundle names."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ProjectError(f"{path}: cannot be read: {error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ProjectError(f"{path}: sha256 {found[:12]}…, the bundle says {sha256[:12]}…; refused")
    return content


def compiled(model: bytes, contract: Contract) -> Scores:
    """Scores by ONNX Runtime, on one thread: a call takes microseconds, and workers are many."""
    import onnxruntime  # pylint: disable=import-outside-toplevel  # only for a model that needs it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    wanted = {given.name for given in session.get_inputs()}
    tensors = {name: make for name, make in layout(contract).items() if name in wanted}
    outputs, run = [session.get_outputs()[0].name], session.run

    def scores(rows: list[Row]) -> list[Any]:
        found = run(outputs, {name: make(rows) for name, make in tensors.items()})[0]
        values: list[Any] = found.tolist() if found.shape[1:] != (1,) else found[:, 0].tolist()
        return values

    return scores


def layout(contract: Contract) -> dict[str, Callable[[list[Row]], np.ndarray]]:
    """The tensors of a model, each (rows, columns), by name, and how rows become them."""
    numbers, words = contract.inputs(*NUMBERS), contract.inputs(*WORDS)
    times = contract.inputs(*TIMES)

    def as_numbers(rows: list[Row]) -> np.ndarray:
        return np.array([[row[name] for name in numbers] for row in rows], dtype=np.float64)

    def as_words(rows: list[Row]) -> np.ndarray:
        return np.array([[word(row[name]) for name in words] for row in rows], dtype=object)

    def as_times(rows: list[Row]) -> np.ndarray:
        return np.array([[minutes(row[name]) for name in times] for row in rows], dtype=np.int64)

    made = {"numbers": (numbers, as_numbers), "words": (words, as_words), "times": (times, as_times)}
    return {name: make for name, (columns, make) in made.items() if columns}


def word(value: Any) -> str:
    """A word without blanks around it, or what stands for a missing one."""
    return NO_WORD if value is None else str(value).strip()


def minutes(value: datetime | None) -> int:
    """Minutes since Monday 1 January of the year 1, in UTC, or -1 for a missing time."""
    if value is None:
        return NO_TIME
    if value.tzinfo:
        value = value.astimezone(UTC)
    return (value.toordinal() - 1) * DAY + value.hour * 60 + value.minute


def native(model: bytes, contract: Contract) -> Scores:
    """Scores by the model itself, on a data frame; imports pandas and the model's library."""
    # pylint: disable=import-outside-toplevel  # heavy, and most services never need them
    import joblib
    import pandas as pd

    from ..prediction import conform, predict

    estimator, names = joblib.load(BytesIO(model)), contract.inputs()

    def scores(rows: list[Row]) -> list[Any]:
        frame = conform(pd.DataFrame(rows, columns=names), contract, names)
        found = predict(estimator, frame)
        shares = found.drop(columns="prediction") if found.shape[1] > 1 else found["prediction"]
        values: list[Any] = shares.to_numpy().tolist()
        return values

    return scores
