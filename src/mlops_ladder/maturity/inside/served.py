"""Of what is served: does it answer as the model does, and would a difference be seen?"""

import json
import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pandas as pd

from mlops_ladder.maturity.inside import given, part

TOLERANCE = 1e-4  # of a probability, or of a number's size: no change of a unit is smaller
MOST_COLUMNS = 20  # of which the unit is changed, one after the other
OTHER_UNITS: dict[str, Callable[[Any], Any]] = {
    "number": lambda value: value * 1.8 + 32,
    "integer": lambda value: value * 1.8 + 32,
    "boolean": lambda value: not value,
    "category": lambda value: f"{value}!",
    "text": lambda value: f"{value}!",
    "time": lambda value: value + timedelta(hours=11),
}


def plain(value: Any, column: Any) -> Any:
    """A converted value as a client would send it."""
    if pd.isna(value):
        return None
    if column.kind == "time":
        iso = column.format in (None, "ISO8601")
        return value.isoformat() if iso else value.strftime(column.format)
    return {"number": float, "integer": int, "boolean": bool}.get(column.kind, str)(value)


def champion() -> Any:
    """The champion as the service loads it."""
    following = part("serving.model_reloader")
    pointer = json.loads((following.FOLDER / following.POINTER).read_text(encoding="utf-8"))
    return part("export.runtime").load(following.FOLDER / str(pointer["version"]))


def requests(frame: pd.DataFrame, contract: Any) -> list[dict[str, Any]]:
    """Rows of the data as a client would send them."""
    columns = {name: contract.columns[name] for name in contract.inputs()}
    rows, _ = part("data.casting").converted(frame, contract, columns)
    return [
        {name: plain(row[name], column) for name, column in columns.items()}
        for row in rows.to_dict("records")
    ]


def parity(seed: str, most: str) -> Any:
    """Where the served model and the registered one answer rows of the data differently."""
    frame, model = given()[0], champion()
    frame = frame.sample(min(len(frame), int(most)), random_state=int(seed))
    asked, classes = requests(frame, model.contract), model.bundle["classes"] or ()
    types = part("serving.schemas").Types.of(model.contract, classes, len(asked))
    answers = model.answers(types.read(json.dumps(asked).encode())[0])
    rows, _ = part("data.casting").converted(frame, model.contract, model.contract.inputs())
    known = part("model.prediction").predict_rows(registered(), rows).to_dict("records")
    pairs = zip(known, answers, asked, strict=True)
    wrong = [
        (str(one["prediction"]), other["prediction"], row)
        for one, other, row in pairs
        if apart(one, other)
    ]
    return {"rows": len(asked), "mismatches": len(wrong), "first": wrong[:1]}


def registered() -> Any:
    """The champion's model as the registry holds it."""
    number = part("registry.versions").held().champion.version
    address = f"models:/{part('registry.versions').model_name()}/{number}"
    return part("tracking.runs").connect_mlflow().sklearn.load_model(address)


def apart(batch: dict[str, Any], served: dict[str, Any]) -> bool:
    """Do two answers differ?  Not where two classes are as good as tied."""
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
    found = served["probability"]
    far = [abs(found[name] - share) > TOLERANCE for name, share in shares.items()]
    ours, theirs = (shares[str(it["prediction"])] for it in (batch, served))
    return any(far) or abs(ours - theirs) > TOLERANCE


def units(seed: str) -> Any:
    """The first input whose unit the project's own comparison misses in the served model alone."""
    frame, contract, settings = given()
    trained, export = part("model.training").train_model(frame, contract, settings), part(
        "export.bundle"
    )
    why, real = export.compared(trained)[2], export.compiled
    if why or len(trained.predictions.drop_duplicates()) < 10:
        return {"unknown": why or "the model gives nearly all rows the same answer"}
    names = pd.Series(contract.inputs()).sample(frac=1, random_state=int(seed))[:MOST_COLUMNS]
    for name in names:
        change = OTHER_UNITS[contract.columns[name].kind]
        # pylint: disable-next=cell-var-from-loop  # it is called before the loop goes on
        export.compiled = lambda *model: changed(real(*model), name, change)
        if why := export.compared(trained)[2]:
            return {"found": name, "why": why}
    return {"missed": list(names)}


def changed(scores: Any, name: str, change: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Scores of rows of which one column is given in another unit."""
    return lambda rows: scores(
        [row if row[name] is None else row | {name: change(row[name])} for row in rows]
    )


def like_training(seed: str, most: str) -> Any:
    """Rows that the champion learned from, as a client would send them, and an input of numbers."""
    frame, contract, settings = given()
    training = part("model.training")
    rows = training.split_holdout(
        training.prepare_training_rows(frame, contract, settings), contract, settings
    )[0]
    chosen = frame.loc[rows.index].sample(min(len(rows), int(most)), random_state=int(seed))
    numbers = [it for it in contract.inputs("number") if frame[it].nunique() > 20]
    return {"rows": requests(chosen, contract), "number": next(iter(numbers), None)}
