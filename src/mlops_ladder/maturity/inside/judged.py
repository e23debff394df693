"""Of the gate: what does it say of a model that is better, or worse?"""

from typing import Any

import pandas as pd

from mlops_ladder.maturity.inside import given, part


def trained(kind: str) -> tuple[Any, Any]:
    """An ordinary model, or one that is better, and the parts of its rows.

    The better one has learned from the rows held out as well, again and again.
    """
    frame, contract, settings = given()
    training = part("model.training")
    rows = training.prepare_training_rows(frame, contract, settings)
    kept, held = training.split_holdout(rows, contract, settings)
    learned = pd.concat([kept, held, held, held]) if kind == "better" else kept
    found = training.fit_model(learned, held, contract, settings)
    return found, part("model.split").split_three_ways(rows, contract, settings)


def propose(kind: str) -> Any:
    """What the gate says of an ordinary model, or of a better one, and who is champion then."""
    return put_forward(*trained(kind))


def put_forward(found: Any, parts: Any) -> Any:
    """What the gate says of a model, and who is champion then; `gain` is what it has to be."""
    steps, versions = part("pipeline.steps"), part("registry.versions")
    last, metric = versions.held().champion, found.settings.metric
    run_id = steps.evaluate(found, parts, {})[0]
    verdict = steps.gate(found, run_id, {}, given()[0])[0]
    outcome = steps.register(found, run_id, verdict)[0]
    known = versions.client().get_run(last.run_id).data.metrics[metric]
    sign = -1 if metric in part("model.prediction").LOWER_IS_BETTER else 1
    return {
        "gain": sign * (found.scores[metric] - known) - found.settings.gate.min_gain,
        "told": f"{metric} {found.scores[metric]:.4g} against {known:.4g}",
        "reasons": list(verdict.reasons),
        "before": str(last.version),
        "version": outcome.version.number,
        "champion": versions.held().aliases.get("champion"),
    }


def move(alias: str, version: str) -> Any:
    """Have MLflow's client move an alias, past the gate."""
    client = part("tracking.runs").connect_mlflow().MlflowClient()
    client.set_registered_model_alias(part("registry.versions").model_name(), alias, version)
