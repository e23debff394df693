"""Of a training: does its model load, what does it score, what may vary?"""

import json
from typing import Any

import pandas as pd

from mlops_ladder.maturity.inside import given, part


def loads(uri: str) -> Any:
    """How many rows the input example of a model has, and how many it answers."""
    model = part("tracking.runs").connect_mlflow().pyfunc.load_model(uri)
    return {"rows": len(model.input_example), "answers": len(model.predict(model.input_example))}


def shuffled(seed: str) -> Any:
    """The score, its interval and the baseline's, once the answers stand beside any rows."""
    frame, contract, settings = given()
    known = frame[contract.target].dropna()
    mixed = known.sample(frac=1, random_state=int(seed)).set_axis(known.index)
    frame.loc[known.index, contract.target] = mixed
    found = part("model.evaluation").collect_metrics(
        part("model.training").train_model(frame, contract, settings)
    )
    names = {"value": "{}", "low": "{}.low", "high": "{}.high", "baseline": "baseline.{}"}
    said = {name: found.get(form.format(settings.metric)) for name, form in names.items()}
    lower = settings.metric in part("model.prediction").LOWER_IS_BETTER
    return said | {"metric": settings.metric, "lower": lower}


def seeds() -> Any:
    """The parameters of the model that are seeds."""
    model = part("problem").build_model(
        part("data.contract").read_contract(), part("settings").load_settings()
    )
    return [it for it in model.get_params() if it.rsplit("__")[-1] in ("random_state", "seed")]


def validated(params: str) -> Any:
    """The score of these parameters on the validation rows, and on those held out."""
    frame, contract, settings = given()
    rows = part("model.training").prepare_training_rows(frame, contract, settings)
    parts = part("model.split").split_three_ways(rows, contract, settings)
    chosen = part("pipeline.tuning").changed(settings, json.loads(params))

    def score(held: pd.DataFrame) -> float:
        trained = part("model.training").fit_model(parts.train, held, contract, chosen)
        return float(trained.scores[settings.metric])

    return {"validation": score(parts.validation), "holdout": score(parts.holdout)}
