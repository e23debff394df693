"""Predictions of a model, how good they are, and the model itself: saved with its code."""

from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from types import CodeType, FunctionType, GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pandas as pd
from joblib.hashing import NumpyHasher
from sklearn import metrics

from . import ProjectError, code_pickled, own_modules, pickled
from .casting import as_boolean, as_number, as_text, as_time
from .contract import Breach, Column, Contract, Kind, refuse

MODEL = Path("models/model.joblib")
METRICS = {
    "classification": ("roc_auc", "accuracy", "balanced_accuracy"),
    "regression": ("mae", "rmse", "r2"),
}
LOWER_IS_BETTER = ("mae", "rmse")

Check = Callable[[pd.DataFrame, Contract], list[Breach]]
CONVERSIONS: dict[Kind, Callable[[pd.Series, Column], pd.Series]] = {
    "number": as_number,
    "integer": as_number,
    "boolean": as_boolean,
    "category": as_text,
    "text": as_text,
    "time": as_time,
}


def converted(
    frame: pd.DataFrame, contract: Contract, names: Iterable[str]
) -> tuple[pd.DataFrame, list[Breach]]:
    """These columns, each as its kind: float64 or int64, bool, str, datetime64; NaN where missing.

    And a breach for each column that is missing or holds what is not of its kind; it is left out.
    """
    columns, breaches = {}, []
    for name in names:
        if name not in frame.columns:
            known = ", ".join(map(str, frame.columns))
            breaches.append(Breach(name, f"column is missing; there are {known}"))
            continue
        column = contract.columns[name]
        found = (as_text if column.role == "id" else CONVERSIONS[column.kind])(frame[name], column)
        wrong = (found.isna() & frame[name].notna()).to_numpy()
        if wrong.any():
            breaches.append(broken(frame[name], wrong, f"hold no {column.kind}"))
        else:
            columns[name] = found
    return pd.DataFrame(columns, index=frame.index), breaches


def broken(values: pd.Series, wrong: np.ndarray, rule: str) -> Breach:
    """The breach of a rule by these values, of which `wrong` says true."""
    places = np.flatnonzero(wrong)
    rows = tuple(int(values.index[place]) + 1 for place in places[:3])
    first = values.iloc[places[0]]
    shown = "" if pd.isna(first) else repr(getattr(first, "item", lambda: first)())
    return Breach(str(values.name), rule, len(places), len(values), rows, shown, wrong)


def conform(
    frame: pd.DataFrame, contract: Contract, names: Iterable[str], checks: Iterable[Check] = ()
) -> pd.DataFrame:
    """These columns, each as its kind.  Raises ProjectError that lists every breach by column."""
    rows, breaches = converted(frame, contract, names)
    refuse(breaches + [breach for check in checks for breach in check(rows, contract)])
    return rows


def predict(model: Any, rows: pd.DataFrame) -> pd.DataFrame:
    """What the model decides of each row; for a classifier also `probability_CLASS` of each class.

    The model is a fitted one, or the bundle of one.
    """
    if hasattr(model, "answer_frame"):
        bundled: pd.DataFrame = model.answer_frame(rows)
        return bundled
    found = pd.DataFrame({"prediction": np.ravel(model.predict(rows))}, index=rows.index)
    if hasattr(model, "predict_proba"):
        found[[f"probability_{label}" for label in model.classes_]] = model.predict_proba(rows)
    return found


def score(problem: str, truth: pd.Series, found: pd.DataFrame) -> dict[str, float]:
    """Each metric of the problem, by its name, of predictions as `predict` gives them.

    A metric that `truth` does not define is NaN: `roc_auc` unless there are two classes and both
    occur, `r2` of a single row.
    """
    guess = found["prediction"]
    if problem == "regression":
        return {
            "mae": float(metrics.mean_absolute_error(truth, guess)),
            "rmse": float(metrics.root_mean_squared_error(truth, guess)),
            "r2": float(metrics.r2_score(truth, guess)) if len(truth) > 1 else float("nan"),
        }
    hit = truth == guess
    return {
        "roc_auc": roc_auc(truth, found.filter(regex="^probability_")),
        "accuracy": float(hit.mean()),
        "balanced_accuracy": float(hit.groupby(truth).mean().mean()),
    }


def roc_auc(truth: pd.Series, shares: pd.DataFrame) -> float:
    """The area under the ROC curve of the second of two classes; NaN where it is not defined."""
    if shares.shape[1] != 2:  # none, where a classifier only decides
        return float("nan")
    positive = truth.astype(str) == shares.columns[1].removeprefix("probability_")
    if positive.nunique() != 2:
        return float("nan")
    return float(metrics.roc_auc_score(positive, shares.iloc[:, -1]))


def save_model(model: Any, contract: Contract, version: str, path: Path = MODEL) -> None:
    """Write a model with its code, its contract and its version; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    saved = {"model": model, "contract": contract.model_dump(), "version": version}
    unfinished.write_bytes(pickled(saved))
    unfinished.replace(path)


def load_model(path: Path = MODEL) -> dict[str, Any]:
    """What training saved: `model`, `contract`, `version`.  ProjectError where nothing is."""
    if not path.exists():
        raise ProjectError(f"{path}: no model is trained yet; run `make train`")
    saved: dict[str, Any] = joblib.load(path)
    return saved | {"contract": Contract.model_validate(saved["contract"])}


def digest(thing: Any) -> str:
    """A name for what something holds and does: equal values with equal code have the same one."""
    own, codes = own_modules(), list[Any]()

    def is_own(it: Any) -> bool:
        code = isinstance(it, FunctionType | type)
        return code and str(it.__module__).partition(".")[0] in own

    class Reader(cloudpickle.Pickler):
        """Reads the project's own code on its way into a pickle."""

        def reducer_override(self, obj: Any) -> Any:
            """What pickle asks of each function and class."""
            codes.extend([code_of(obj)] if is_own(obj) else [])
            return super().reducer_override(obj)

    class Hasher(NumpyHasher):
        """Takes the project's own functions and classes by their names."""

        def reducer_override(self, obj: Any) -> Any:
            """What pickle asks of everything."""
            return (str, (obj.__qualname__,)) if is_own(obj) else NotImplemented

    with code_pickled():
        Reader(BytesIO()).dump(thing)
    return str(Hasher("sha1").hash((thing, sorted(codes, key=repr))))


def code_of(it: Any) -> list[Any]:
    """What a function does, or what a class holds: its code, and the values that it names."""
    if isinstance(it, type):
        return [it.__qualname__, values(vars(it).items())]
    codes = [it.__code__]
    for code in codes:
        codes += [part for part in code.co_consts if isinstance(part, CodeType)]
    named = {name: it.__globals__.get(name) for code in codes for name in code.co_names}
    cells = [cell.cell_contents for cell in it.__closure__ or ()]
    constants = [part for code in codes for part in code.co_consts]
    unnamed = [*constants, *cells, *(it.__defaults__ or ())]
    steps = [(code.co_code, code.co_names) for code in codes]
    return [it.__qualname__, steps, values([*named.items(), *enumerate(unnamed)])]


def values(named: Iterable[tuple[Any, Any]]) -> list[tuple[str, Any]]:
    """Those that are no code, by their names in order."""
    code = (CodeType, FunctionType, ModuleType, type, property, classmethod, staticmethod)
    hidden = (MemberDescriptorType, GetSetDescriptorType)
    return [
        (str(name), it)
        for name, it in named
        if not isinstance(it, code + hidden) and not str(name).startswith(("__", "_abc_"))
    ]
