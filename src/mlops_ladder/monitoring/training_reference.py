"""The reference: what the champion was trained on, kept beside it for all that watches it."""

import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.export.runtime import read_bundle, read_verified
from mlops_ladder.model.training import Trained
from mlops_ladder.serving.model_reloader import FOLDER, POINTER

ROWS, SAID, FACTS = "reference.parquet", "reference_predictions.parquet", "reference.json"
SAMPLE = 10_000  # rows: enough to tell shares that are 0.02 apart, and a small file
FEW = 200  # different texts that are still worth a list


@dataclass(frozen=True)
class Reference:
    """The published champion as its bundle describes it.

    `rows` are a sample of the inputs of training; `said` is what the model predicted for rows that
    it had not seen, as `said()` gives it; `facts` is `reference.json`.
    """

    number: str
    version: str
    contract: Contract
    rows: pd.DataFrame
    said: pd.DataFrame
    facts: dict[str, Any]


def files(trained: Trained) -> dict[str, bytes]:
    """What goes into the bundle of a model: samples of inputs and of predictions, and the facts.

    The same training has the same ones.  No column that the model does not see.
    """
    seed = trained.settings.seed
    return {
        ROWS: parquet(trained.train[trained.contract.inputs()], seed),
        SAID: parquet(said(trained.predictions), seed),
        FACTS: json.dumps(facts(trained), ensure_ascii=False, allow_nan=False).encode(),
    }


def parquet(rows: pd.DataFrame, seed: int) -> bytes:
    """A Parquet file of these rows, or of 10,000 of them."""
    buffer, sample = BytesIO(), rows.sample(min(len(rows), SAMPLE), random_state=seed)
    sample.to_parquet(buffer, index=False)
    return buffer.getvalue()


def said(found: pd.DataFrame) -> pd.DataFrame:
    """`prediction`, and `score`: how probable the model finds it; NaN where it does not say.

    Of predictions as `prediction.predict` gives them.
    """
    shares = found.filter(regex="^probability_")
    score = shares.max(axis=1) if shares.shape[1] else np.nan
    return pd.DataFrame({"prediction": found["prediction"], "score": score}, index=found.index)


def facts(trained: Trained) -> dict[str, Any]:
    """What the service needs to know of all rows that the model learned from."""
    contract, found = trained.contract, said(trained.predictions)
    certain = found["score"] if found["score"].notna().any() else found["prediction"]
    numeric = pd.api.types.is_float_dtype(certain) or trained.settings.problem == "regression"
    steps = certain.quantile(np.linspace(0, 1, 11)).tolist() if numeric else []
    return {
        "trained_at": int(trained.at),
        "rows": len(trained.train),
        "columns": {
            name: edges(trained.train[name], contract.columns[name]) for name in contract.inputs()
        },
        "fallback": fallback(trained),
        "scores": [float(step) for step in steps],
    }


def edges(values: pd.Series, column: Column) -> dict[str, Any]:
    """What a column holds: its lowest and highest value or all its words, and the share missing."""
    known, share = values.dropna(), {"missing": float(values.isna().mean())}
    if column.kind in ("number", "integer", "time") and len(known):
        ends = seconds(known) if column.kind == "time" else known
        make: type = float if column.kind == "number" else int
        return {"low": make(ends.min()), "high": make(ends.max())} | share
    if column.kind == "boolean":
        return {"values": sorted({bool(value) for value in known})} | share
    if column.kind == "category" or (column.kind == "text" and known.nunique() <= FEW):
        return {"values": sorted(set(known))} | share
    return share


def seconds(times: pd.Series) -> pd.Series:
    """Seconds since 1970 on the clock of their column; NaN where a time is missing."""
    return (times - pd.Timestamp(0)).dt.total_seconds()


def fallback(trained: Trained) -> dict[str, Any]:
    """What to answer where no model can: the most frequent class, or the median."""
    answers = trained.train[trained.contract.target]
    if trained.settings.problem == "regression":
        return {"prediction": float(answers.median())}
    shares = answers.value_counts(normalize=True).sort_index()
    if not hasattr(trained.model, "classes_"):
        return {"prediction": np.asarray([shares.idxmax()]).tolist()[0]}
    labels = np.asarray(trained.model.classes_).tolist()
    known = {label: float(shares.get(label, 0)) for label in labels}
    best = {"prediction": max(known, key=known.__getitem__)}
    if not hasattr(trained.model, "predict_proba"):
        return best
    return best | {"probability": {str(label): share for label, share in known.items()}}


def read(folder: Path = FOLDER) -> Reference:
    """The reference of the champion that is published in this folder.

    Raises ProjectError where none is, or where its bundle is damaged or has no reference.
    """
    number = published(folder)
    return bundled(folder / number, number)


def champion_facts(folder: Path = FOLDER) -> dict[str, Any]:
    """The facts alone.  A command that reads nothing after them reads no Parquet: ending then may
    abort (apache/arrow issue 34314).

    Raises ProjectError as `read` does.
    """
    number = published(folder)
    _, contents = verified_files(folder / number, number)
    found: dict[str, Any] = json.loads(contents[FACTS])
    return found


def published(folder: Path) -> str:
    """The version that is served from this folder.  ProjectError where none is."""
    pointer = folder / POINTER
    if not pointer.exists():
        raise ProjectError(f"{pointer}: no champion is published; run `make pipeline`")
    return str(json.loads(pointer.read_bytes())["version"])


def bundled(place: Path, number: str) -> Reference:
    """The reference in the bundle of a version.  ProjectError where it is damaged or has none."""
    bundle, contents = verified_files(place, number)
    return Reference(
        number=number,
        version=str(bundle["model_version"]),
        contract=Contract(**bundle["contract"]),
        rows=pd.read_parquet(BytesIO(contents[ROWS])),
        said=pd.read_parquet(BytesIO(contents[SAID])),
        facts=json.loads(contents[FACTS]),
    )


def verified_files(place: Path, number: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What a bundle says of itself, and the files of its reference by name.

    Raises ProjectError where one is missing or damaged.
    """
    bundle, names = read_bundle(place), (ROWS, SAID, FACTS)
    if missing := [name for name in names if name not in bundle["files"]]:
        older = "it was made before this project was monitored; `make pipeline` brings them"
        raise ProjectError(f"v{number}: its bundle has no {', '.join(missing)}: {older}")
    return bundle, {name: read_verified(place / name, bundle["files"][name]) for name in names}
