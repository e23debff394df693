"""The model as the service runs it: a bundle in, answers out.  The only user of onnxruntime."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, TYPE_CHECKING

import numpy as np

from mlops_ladder import plugins, ProjectError
from mlops_ladder.data.columns import input_builders, Row
from mlops_ladder.data.contract import Contract

if TYPE_CHECKING:
    import pandas as pd

BUNDLE = "bundle.json"
FILES = {"onnx": "model.onnx", "native": "model.joblib"}
TENSOR_DTYPES: dict[str, type] = {
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(int64)": np.int64,
    "tensor(string)": object,
}

Scorer = Callable[[list[Row]], tuple[list[Any], np.ndarray | None]]


@dataclass(frozen=True)
class LoadedModel:
    """A model that is ready to answer, and the bundle that it came from.

    `scores` gives what the model decides of each row, and of a classifier the probabilities
    (rows, classes), else None.  `content` is the file of the model, from which it is made again
    in another process.
    """

    bundle: dict[str, Any]
    contract: Contract
    scores: Scorer
    content: bytes = field(default=b"", kw_only=True, repr=False)

    @property
    def version(self) -> str:
        """Return the version of the model, as every prediction carries it."""
        return str(self.bundle["model_version"])

    def answers(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Return `{"prediction": …}` for each row; of a classifier also `"probability"` by class.

        A row has a value for each input of the contract, None if it is missing.  A time is a
        datetime of its column's clock, without a zone.  At least one row.
        """
        values, shares = self.scores(rows)
        if shares is None:
            return [{"prediction": value} for value in values]
        pairs = zip(values, by_class_name(self.bundle["names"], shares), strict=True)
        return [{"prediction": value, "probability": share} for value, share in pairs]

    def answer_frame(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Return the answers for the rows of a frame, each input as its kind, like `predict`."""
        import pandas as pd  # pylint: disable=import-outside-toplevel  # a service does without

        values, shares = self.scores(frame_to_rows(frame[self.contract.inputs()]))
        answers = pd.DataFrame({"prediction": values}, index=frame.index)
        if shares is not None:
            columns = [f"probability_{name}" for name in self.bundle["names"]]
            answers[columns] = shares.astype("float64")
        return answers

    def __reduce__(self) -> tuple[Any, ...]:
        return restore_model, (self.bundle, self.content)


def frame_to_rows(frame: "pd.DataFrame") -> list[Row]:
    """Return rows as the service gets them: plain values, None if one is missing."""
    plain = frame.astype("object").where(frame.notna(), None)
    return [{str(name): row[name] for name in row} for row in plain.to_dict("records")]


def by_class_name(names: list[str], shares: np.ndarray) -> list[dict[str, float]]:
    """Return shares (rows, classes) by class name; a `dict(zip(…))` for each row is slower."""
    rows: list[dict[str, float]] = [{} for _ in shares]
    for name, column in zip(names, shares.T.tolist(), strict=True):
        for row, share in zip(rows, column, strict=True):
            row[name] = share
    return rows


def load_bundle(folder: Path) -> LoadedModel:
    """Return the model of a bundle.

    Raises ProjectError if a file is missing, is not the exported one or cannot be run, or if a
    plugin refuses it.
    """
    plugins.get_hooks().before_bundle_load(folder=folder)
    bundle = read_bundle(folder)
    try:
        bundle["names"] = [str(label) for label in bundle["classes"] or []]
        name = FILES[str(bundle["runtime"])]
        Contract(**bundle["contract"])
        content = read_verified(folder / name, bundle["files"][name])
    except (KeyError, TypeError, ValueError) as error:
        raise ProjectError(f"{folder / BUNDLE}: not a bundle of this service: {error!r}") from error
    try:
        return restore_model(bundle, content)
    except ImportError as error:
        way_out = "an image that has it: `make image NATIVE=yes`"
        raise ProjectError(f"{folder / name}: {error}; {way_out}") from error
    except Exception as error:  # pylint: disable=broad-exception-caught  # libraries raise anything
        raise ProjectError(f"{folder / name}: cannot be run: {error}") from error


def restore_model(bundle: dict[str, Any], content: bytes) -> LoadedModel:
    """Return the model of a bundle, from the content of its file."""
    contract = Contract(**bundle["contract"])
    if bundle["runtime"] == "onnx":
        scores = create_onnx_scorer(content, contract, bundle["classes"])
    else:
        scores = create_native_scorer(content, contract)
    return LoadedModel(bundle, contract, scores, content=content)


def read_bundle(folder: Path) -> dict[str, Any]:
    """Return the content of `bundle.json`.  Raise ProjectError if it is missing or not JSON."""
    path = folder / BUNDLE
    try:
        return dict(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError) as error:
        raise ProjectError(f"{path}: cannot be read: {error}") from error


def read_verified(path: Path, sha256: str, source: str = BUNDLE) -> bytes:
    """Return the bytes of a file.  Raise ProjectError if their sha256 is not what a source says."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ProjectError(f"{path}: cannot be read: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        wrong = f"sha256 is {digest[:12]}…, {source} says {sha256[:12]}…: changed after the export"
        way_out = "publish the version again: `make pipeline` or `make rollback`"
        raise ProjectError(f"{path}: {wrong}; {way_out}")
    return content


def create_onnx_scorer(model: bytes, contract: Contract, classes: list[Any] | None) -> Scorer:
    """Return a scorer by ONNX Runtime, on one thread: a call takes microseconds, workers are many.

    The first of two outputs is the class of a row.  With one output, the largest probability
    decides.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime  # pylint: disable=import-outside-toplevel  # not for a native model

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # 5 % of the time of a row, and memory
    options.log_severity_level = 4  # what goes wrong is raised
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    dtypes = {tensor.name: TENSOR_DTYPES[tensor.type] for tensor in session.get_inputs()}
    make = input_builders(contract)
    tensors = {name: partial(make[name], dtype=dtype) for name, dtype in dtypes.items()}
    outputs, run = [output.name for output in session.get_outputs()], session.run
    originals = {label: label for label in classes or ()}  # a graph has 0 and 1 for False and True

    def scores(rows: list[Row]) -> tuple[list[Any], np.ndarray | None]:
        *labels, values = run(outputs, {name: make(rows) for name, make in tensors.items()})
        if classes is None:
            return values.ravel().tolist(), None
        if labels:
            return [originals[label] for label in labels[0].tolist()], values
        return [classes[place] for place in values.argmax(axis=1).tolist()], values

    return scores


def create_native_scorer(model: bytes, contract: Contract) -> Scorer:
    """Return a scorer by the model itself, on a data frame."""
    # pylint: disable=import-outside-toplevel  # heavy, and most services do without
    import joblib
    import pandas as pd

    from mlops_ladder.data.casting import validate_and_cast
    from mlops_ladder.model.prediction import predict_rows

    estimator, names = joblib.load(BytesIO(model)), contract.inputs()

    def scores(rows: list[Row]) -> tuple[list[Any], np.ndarray | None]:
        answers = predict_rows(
            estimator, validate_and_cast(pd.DataFrame(rows, columns=names), contract, names)
        )
        shares = answers.drop(columns="prediction").to_numpy() if answers.shape[1] > 1 else None
        return answers["prediction"].tolist(), shares

    return scores
