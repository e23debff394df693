"""Questions about the gate: its decision on a model that is better, worse, or has a fault."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops_ladder.maturity.inside import part, read_project, read_training_rows

SHARE = 0.15  # of the rows; far more wrong answers would make the whole model worse


def propose_model(kind: str) -> Any:
    """Return the gate's decision on an ordinary model, or on a better one.

    The better one has also learned from three copies of the hold-out.
    """
    rows, contract, settings = read_training_rows()
    train, holdout = part("model.training").split_holdout(rows, contract, settings)
    learned = pd.concat([train, holdout, holdout, holdout]) if kind == "better" else train
    trained = part("model.training").fit_model(learned, holdout, contract, settings)
    return run_gate(trained, part("model.split").split_three_ways(rows, contract, settings))


def run_gate(trained: Any, parts: Any) -> dict[str, Any]:
    """Return the gate's decision on a model, and the champion; `gain` is that beyond `min_gain`."""
    steps, versions = part("pipeline.steps"), part("registry.versions")
    champion, metric = versions.read_state().champion, trained.settings.metric
    run_id = steps.evaluate(trained, parts, {})[0]
    verdict = steps.gate(trained, run_id, {}, read_project()[0])[0]
    outcome = steps.register(trained, run_id, verdict)[0]
    score = versions.get_client().get_run(champion.run_id).data.metrics[metric]
    sign = -1 if metric in part("model.prediction").LOWER_IS_BETTER else 1
    return {
        "gain": sign * (trained.scores[metric] - score) - trained.settings.gate.min_gain,
        "scores": f"{metric} {trained.scores[metric]:.4g} against {score:.4g}",
        "reasons": list(verdict.reasons),
        "before": str(champion.version),
        "version": outcome.version.number,
        "champion": versions.read_state().aliases.get("champion"),
    }


def move_alias(alias: str, version: str) -> Any:
    """Move an alias with MLflow's client, without the gate."""
    client = part("tracking.runs").connect_mlflow().MlflowClient()
    client.set_registered_model_alias(part("registry.versions").model_name(), alias, version)


def train_honest_model() -> tuple[Any, Any]:
    """Return the context of the gate's checks for an ordinary model, and the splits of its rows."""
    frame = read_project()[0]
    rows, contract, settings = read_training_rows()
    train, holdout = part("model.training").split_holdout(rows, contract, settings)
    trained = part("model.training").fit_model(train, holdout, contract, settings)
    context = part("registry.gate_checks").CheckContext(trained, None, frame)
    return context, part("model.split").split_three_ways(rows, contract, settings)


def find_groups(name: str, context: Any) -> dict[str, Any]:
    """Return the mask of held-out rows of each slice or group with enough rows, by name."""
    checks, module = part("registry.checks"), part(f"registry.checks.{name}")
    settings = checks.read_check_settings(name, module, context.trained.contract)
    if name == "slices":
        slices = module.select_slices(context, settings)
        return {group.name: group.rows for group in slices if group.rows.sum() >= group.min_n}
    rows = {}
    for column in settings.groups:
        values = module.label_groups(context.column(column), settings.edges.get(column))
        for group, count in values.value_counts().items():
            if count >= settings.min_n:
                rows[f"{column} = {group}"] = (values == group).to_numpy()
    return rows


def change_answers(answers: pd.Series, is_class: bool) -> Any:
    """Return other answers: the next class, or the number at the other end of the range."""
    if not is_class:
        return answers.max() + answers.min() - answers
    classes = sorted(answers.unique())
    return answers.map(dict(zip(classes, [*classes[1:], classes[0]], strict=True)))


def propose_spoiled_model(name: str) -> Any:
    """Return the gate's decision on a model that has learned the hold-out, some rows wrongly."""
    context, parts = train_honest_model()
    trained, settings = context.trained, context.trained.settings
    rows = {group: mask for group, mask in find_groups(name, context).items() if mask.mean() <= 0.5}
    if not rows:
        return {"unknown": f"{name}: none has rows enough and at most half of them"}
    chosen = min(rows, key=lambda group: abs(rows[group].mean() - SHARE))
    target, holdout = trained.contract.target, trained.holdout
    lies = change_answers(holdout[target], settings.problem == "classification")
    learned = holdout.assign(**{target: holdout[target].where(~rows[chosen], lies)})
    fit = part("model.training").fit_model
    spoiled = fit(pd.concat([learned] * 3), holdout, trained.contract, settings)
    return run_gate(spoiled, parts) | {"spoilt": chosen}


def judge_without_groups() -> Any:
    """Return the verdict on fairness without a waiver, and whether it decides."""
    part("registry.checks.fairness").PROJECT = Path("no such file")
    return ask_question("fairness", train_honest_model()[0])[:2]


def ask_question(name: str, context: Any) -> list[Any]:
    """Return the verdict of a question, whether it decides, and its reason."""
    module = part("registry.gate_checks")
    checks = {check.name: check for check in module.list_checks(context.trained.contract)}
    result = module.run_check(checks[name], context)
    return [result.verdict, result.decides, result.reason]


class InvertedModel:
    """A model whose answers are the opposite of another one's."""

    def __init__(self, model: Any, middle: float) -> None:
        self.model, self.middle = model, middle
        if hasattr(model, "predict_proba"):
            self.classes_, self.predict_proba = model.classes_, self.invert_probabilities

    def predict(self, rows: pd.DataFrame) -> Any:
        """Return the predicted numbers, mirrored at `middle`."""
        return 2 * self.middle - np.asarray(self.model.predict(rows))

    def invert_probabilities(self, rows: pd.DataFrame) -> Any:
        """Return the probabilities, shape (rows, classes), with the classes in reverse order."""
        return self.model.predict_proba(rows)[:, ::-1]


def measure_directions(trained: Any) -> dict[tuple[str, str], Any]:
    """Return the result of a direction test, up and down, for each numeric input."""
    module = part("registry.checks.behaviour")
    return {
        (name, effect): module.run_direction_test(
            module.Direction(column=name, effect=effect), trained, 200
        )
        for name in trained.contract.inputs("number", "integer")
        for effect in ("up", "down")
    }


def declare_direction(name: str, effect: str, violations: float) -> None:
    """Add a direction to behaviour.toml."""
    line = f"column = {json.dumps(name, ensure_ascii=False)}\neffect = {json.dumps(effect)}\n"
    with Path("config/behaviour.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n[[direction]]\n{line}violations = {violations}\n")


def judge_inverted_model() -> Any:
    """Return the verdicts on a model and on its inverse, for a direction that the model keeps."""
    context, _ = train_honest_model()
    trained = context.trained
    broken = measure_directions(trained)
    bias = {
        name: (broken[name, "down"].broken - result.broken) / max(result.rows, 1)
        for (name, effect), result in broken.items()
        if effect == "up"
    }
    name = max(bias, key=lambda column: abs(bias[column]), default="")
    if not name or not bias[name]:
        return {"unknown": "no input of numbers moves the answer one way more than the other"}
    shares = [broken[name, side].broken / broken[name, side].rows for side in ("up", "down")]
    effect = "up" if bias[name] > 0 else "down"
    declare_direction(name, effect, sum(shares) / 2)
    is_number = trained.settings.problem == "regression"
    middle = float(trained.predictions["prediction"].median()) if is_number else 0.0
    other = replace(context, trained=replace(trained, model=InvertedModel(trained.model, middle)))
    first, second = ask_question("behaviour", context), ask_question("behaviour", other)
    direction = f"{name} {effect}"
    return {"honest": first[:2], "why": first[2], "turned": second[:2], "declared": direction}
