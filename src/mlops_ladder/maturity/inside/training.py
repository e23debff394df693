"""Questions about a training: its model, its scores, its seeds, its features."""

import json
from typing import Any

import pandas as pd

from mlops_ladder.maturity.inside import part, read_project, read_training_rows

MAX_ROWS = 1500  # in a review of features
CONSTANT, TELLING = "eine Spalte, die immer gleich ist", "τὸ τέλος"  # columns may have any name
KEPT_INPUTS = 2  # of the project, beside the planted ones


def load_model(uri: str) -> Any:
    """Return the numbers of rows and of answers of a model's input example."""
    model = part("tracking.runs").connect_mlflow().pyfunc.load_model(uri)
    return {"rows": len(model.input_example), "answers": len(model.predict(model.input_example))}


def score_shuffled_answers(seed: str) -> Any:
    """Return the score, its interval and the baseline's, after the answers were shuffled."""
    frame, contract, settings = read_project()
    answers = frame[contract.target].dropna()
    mixed = answers.sample(frac=1, random_state=int(seed)).set_axis(answers.index)
    frame.loc[answers.index, contract.target] = mixed
    trained = part("model.training").train_model(frame, contract, settings)
    metrics, metric = part("model.evaluation").collect_metrics(trained), settings.metric
    return {
        "value": metrics.get(metric),
        "low": metrics.get(f"{metric}.low"),
        "high": metrics.get(f"{metric}.high"),
        "baseline": metrics.get(f"baseline.{metric}"),
        "metric": metric,
        "lower": metric in part("model.prediction").LOWER_IS_BETTER,
    }


def list_seeds() -> Any:
    """Return the parameters of the model that are seeds."""
    contract, settings = part("data.contract").read_contract(), part("settings").load_settings()
    names = part("problem").build_model(contract, settings).get_params()
    return [name for name in names if name.rsplit("__")[-1] in ("random_state", "seed")]


def score_parameters(params: str) -> Any:
    """Return the score of these parameters on the validation rows, and on the hold-out."""
    rows, contract, settings = read_training_rows()
    parts = part("model.split").split_three_ways(rows, contract, settings)
    changed = part("pipeline.tuning").with_params(settings, json.loads(params))

    def score(holdout: pd.DataFrame) -> float:
        trained = part("model.training").fit_model(parts.train, holdout, contract, changed)
        return float(trained.scores[settings.metric])

    return {"validation": score(parts.validation), "holdout": score(parts.holdout)}


def review_planted_features() -> Any:
    """Return the verdicts on a constant column, and on one that tells the answer."""
    rows, contract, settings = read_training_rows()
    rows = rows.tail(MAX_ROWS).reset_index(drop=True)
    answers = rows[contract.target]
    codes = answers if settings.problem == "regression" else answers.factorize(sort=True)[0]
    telling = rows.assign(codes=codes)["codes"].astype("float64")
    hidden = telling.sample(frac=0.3, random_state=settings.seed)
    telling[hidden.index] = hidden.sample(frac=1, random_state=settings.seed).array
    rows = rows.assign(**{CONSTANT: 1.0, TELLING: telling})
    parts = part("model.training").split_holdout(rows, contract, settings)
    trained = part("model.training").fit_model(*parts, add_columns(contract), settings)
    reviews = part("governance.feature_review").review_features(trained)
    verdicts = {review.name: review.verdict for review in reviews}
    return {"constant": verdicts[CONSTANT], "telling": verdicts[TELLING]}


def add_columns(contract: Any) -> Any:
    """Return the contract with both columns, and fewer inputs of its own."""
    column = part("data.contract").Column(kind="number", role="feature")
    ignored = {name: {"role": "ignored"} for name in contract.inputs()[KEPT_INPUTS:]}
    columns = {
        name: old.model_copy(update=ignored.get(name, {})) for name, old in contract.columns.items()
    }
    return contract.model_copy(update={"columns": columns | {CONSTANT: column, TELLING: column}})
