"""Questions about the service: whether it answers as the model does, and reports a difference."""

import json
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pandas as pd

from mlops_ladder.maturity.inside import part, read_project, read_training_rows

TOLERANCE = 1e-4  # of a probability, or relative; a change of a unit differs by more
MAX_COLUMNS = 20  # whose unit is changed, one after the other
OTHER_UNITS: dict[str, Callable[[Any], Any]] = {
    "number": lambda value: value * 1.8 + 32,
    "integer": lambda value: value * 1.8 + 32,
    "boolean": lambda value: not value,
    "category": lambda value: f"{value}!",
    "text": lambda value: f"{value}!",
    "time": lambda value: value + timedelta(hours=11),
}


def to_json_value(value: Any, column: Any) -> Any:
    """Return a converted value as a client would send it."""
    if pd.isna(value):
        return None
    if column.kind == "time":
        iso = column.format in (None, "ISO8601")
        return value.isoformat() if iso else value.strftime(column.format)
    return {"number": float, "integer": int, "boolean": bool}.get(column.kind, str)(value)


def find_uses(name: str) -> Any:
    """Return the places that a column reaches: the features, and the log of requests."""
    # pylint: disable-next=import-outside-toplevel  # only the project installs it
    from pydantic import ValidationError

    contract = part("data.contract").read_contract()
    types = part("serving.schemas").Types.from_contract(contract, (), 1)
    row = part("data.columns").make_example_row(contract)
    types.parse_rows(json.dumps(row).encode())
    try:
        types.parse_rows(json.dumps(row | {name: "somebody"}).encode())
        uses = ["the log"]
    except ValidationError:
        uses = []
    return uses + ["features"] * (name in contract.inputs())


def load_champion() -> Any:
    """Return the champion as the service loads it."""
    reloader = part("serving.model_reloader")
    pointer = json.loads((reloader.FOLDER / reloader.POINTER).read_text(encoding="utf-8"))
    return part("export.runtime").load_bundle(reloader.FOLDER / str(pointer["version"]))


def make_requests(frame: pd.DataFrame, contract: Any) -> list[dict[str, Any]]:
    """Return rows of the data as a client would send them."""
    columns = {name: contract.columns[name] for name in contract.inputs()}
    rows, _ = part("data.casting").cast_columns(frame, contract, columns)
    return [
        {name: to_json_value(row[name], column) for name, column in columns.items()}
        for row in rows.to_dict("records")
    ]


def compare_answers(seed: str, most: str) -> Any:
    """Return the number of rows that served and registered model answer differently, and one."""
    frame, model = read_project()[0], load_champion()
    frame = frame.sample(min(len(frame), int(most)), random_state=int(seed))
    requests, classes = make_requests(frame, model.contract), model.bundle["classes"] or ()
    types = part("serving.schemas").Types.from_contract(model.contract, classes, len(requests))
    answers = model.answers(types.parse_rows(json.dumps(requests).encode())[0])
    rows, _ = part("data.casting").cast_columns(frame, model.contract, model.contract.inputs())
    batch = part("model.prediction").predict_rows(load_registered_model(), rows).to_dict("records")
    pairs = zip(batch, answers, requests, strict=True)
    wrong = [
        (str(one["prediction"]), other["prediction"], row)
        for one, other, row in pairs
        if is_different(one, other)
    ]
    return {"rows": len(requests), "mismatches": len(wrong), "first": wrong[:1]}


def load_registered_model() -> Any:
    """Return the champion's model as the registry holds it."""
    number = part("registry.versions").read_state().champion.version
    address = f"models:/{part('registry.versions').model_name()}/{number}"
    return part("tracking.runs").connect_mlflow().sklearn.load_model(address)


def is_different(batch: dict[str, Any], served: dict[str, Any]) -> bool:
    """Return whether two answers differ; two classes that are almost tied do not."""
    shares = {
        name.removeprefix("probability_"): value
        for name, value in batch.items()
        if name.startswith("probability_")
    }
    if not shares and isinstance(served["prediction"], str | bool):
        return bool(batch["prediction"] != served["prediction"])
    if not shares:
        return not math.isclose(
            batch["prediction"], served["prediction"], rel_tol=TOLERANCE, abs_tol=TOLERANCE
        )
    probability = served["probability"]
    far = [abs(probability[name] - share) > TOLERANCE for name, share in shares.items()]
    ours, theirs = (shares[str(answer["prediction"])] for answer in (batch, served))
    return any(far) or abs(ours - theirs) > TOLERANCE


def change_units(seed: str) -> Any:
    """Change units of inputs only in the served model, until the comparison reports one."""
    frame, contract, settings = read_project()
    trained = part("model.training").train_model(frame, contract, settings)
    export = part("export.bundle")
    why, real = export.convert_and_compare(trained)[2], export.create_onnx_scorer
    if why or len(trained.predictions.drop_duplicates()) < 10:
        return {"unknown": why or "the model gives nearly all rows the same answer"}
    names = pd.Series(contract.inputs()).sample(frac=1, random_state=int(seed))[:MAX_COLUMNS]
    for name in names:
        change = OTHER_UNITS[contract.columns[name].kind]
        # pylint: disable-next=cell-var-from-loop  # it is called in the same iteration
        export.create_onnx_scorer = lambda *model: change_unit(real(*model), name, change)
        if why := export.convert_and_compare(trained)[2]:
            return {"found": name, "why": why}
    return {"missed": list(names)}


def change_unit(scores: Any, name: str, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a scorer of rows that have one column in another unit."""
    return lambda rows: scores(
        [row if row[name] is None else row | {name: change(row[name])} for row in rows]
    )


def sample_training_rows(seed: str, most: str) -> Any:
    """Return requests of rows that the champion learned from, and the name of a numeric input."""
    frame = read_project()[0]
    learnable, contract, settings = read_training_rows()
    rows = part("model.training").split_holdout(learnable, contract, settings)[0]
    chosen = frame.loc[rows.index].sample(min(len(rows), int(most)), random_state=int(seed))
    numbers = [name for name in contract.inputs("number") if frame[name].nunique() > 20]
    return {"rows": make_requests(chosen, contract), "number": next(iter(numbers), None)}
