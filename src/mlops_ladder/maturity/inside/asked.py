"""Of the gate's questions: what do they say of a model with a fault?"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops_ladder.maturity.inside import given, part
from mlops_ladder.maturity.inside.judged import put_forward

SHARE = 0.15  # of the rows; with many more, the model would be worse on the whole


def honest() -> tuple[Any, Any]:
    """An ordinary model, as a question is asked about it, and the parts of its rows."""
    frame, contract, settings = given()
    training = part("model.training")
    rows = training.prepare_training_rows(frame, contract, settings)
    found = training.fit_model(
        *training.split_holdout(rows, contract, settings), contract, settings
    )
    return part("registry.questions").Asked(found, None, frame), part(
        "model.split"
    ).split_three_ways(rows, contract, settings)


def declared(name: str, contract: Any) -> Any:
    """What a question is told by its file."""
    module = part(f"registry.checks.{name}")
    return part("registry.checks").declared(name, module, contract)


def some_rows(name: str, asked: Any) -> dict[str, Any]:
    """The held-out rows of each slice, or group, that has rows enough."""
    settings = declared(name, asked.trained.contract)
    if name == "slices":
        found = part("registry.checks.slices").parts(asked, settings)
        return {it.name: it.rows for it in found if it.rows.sum() >= it.min_n}
    words, rows = part("registry.checks.fairness").words, {}
    for column in settings.groups:
        values = words(asked.column(column), settings.edges.get(column))
        for group, count in values.value_counts().items():
            if count >= settings.min_n:
                rows[f"{column} = {group}"] = (values == group).to_numpy()
    return rows


def wrong(answers: pd.Series, classifies: bool) -> Any:
    """Other answers than these: the next class, or the number at the other end of the range."""
    if not classifies:
        return answers.max() + answers.min() - answers
    known = sorted(answers.unique())
    return answers.map(dict(zip(known, [*known[1:], known[0]], strict=True)))


def spoiled(name: str) -> Any:
    """What the gate says of a model that has learned the rows held out, some of them wrongly."""
    asked, parts = honest()
    trained, settings = asked.trained, asked.trained.settings
    rows = {it: mask for it, mask in some_rows(name, asked).items() if mask.mean() <= 0.5}
    if not rows:
        return {"unknown": f"{name}: none has rows enough and at most half of them"}
    chosen = min(rows, key=lambda it: abs(rows[it].mean() - SHARE))
    target, held = trained.contract.target, trained.holdout
    lies = wrong(held[target], settings.problem == "classification")
    learned = held.assign(**{target: held[target].where(~rows[chosen], lies)})
    found = part("model.training").fit_model(
        pd.concat([learned] * 3), held, trained.contract, settings
    )
    return put_forward(found, parts) | {"spoilt": chosen}


def without_groups() -> Any:
    """What the fairness question says, and whether that decides, with no waiver in sight."""
    module = part("registry.checks.fairness")
    module.PROJECT = Path("no such file")
    asked, _ = honest()
    return said("fairness", asked)[:2]


def said(name: str, asked: Any) -> list[Any]:
    """The word of a question, whether it decides, and its reason."""
    questions = {it.name: it for it in part("registry.questions").questions(asked.trained.contract)}
    reply = part("registry.questions").reply(questions[name], asked)
    return [reply.verdict, questions[name].decides, reply.reason]


class Turned:
    """A model that says the opposite of another one."""

    def __init__(self, model: Any, middle: float) -> None:
        self.model, self.middle = model, middle
        if hasattr(model, "predict_proba"):
            self.classes_, self.predict_proba = model.classes_, self.shares

    def predict(self, rows: pd.DataFrame) -> Any:
        """Numbers, mirrored."""
        return 2 * self.middle - np.asarray(self.model.predict(rows))

    def shares(self, rows: pd.DataFrame) -> Any:
        """The probabilities of the classes, in their opposite order."""
        return self.model.predict_proba(rows)[:, ::-1]


def directions(trained: Any) -> dict[tuple[str, str], Any]:
    """How often each input of numbers moves the answer up, and down, where it should not."""
    module = part("registry.checks.behaviour")
    return {
        (name, effect): module.direction(module.Direction(column=name, effect=effect), trained, 200)
        for name in trained.contract.inputs("number", "integer")
        for effect in ("up", "down")
    }


def declare_direction(name: str, effect: str, violations: float) -> None:
    """Add a direction to behaviour.toml."""
    line = f"column = {json.dumps(name, ensure_ascii=False)}\neffect = {json.dumps(effect)}\n"
    with Path("config/behaviour.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n[[direction]]\n{line}violations = {violations}\n")


def turned() -> Any:
    """What the behaviour question says of a model and of its opposite, of a direction it has."""
    asked, _ = honest()
    trained = asked.trained
    broken = directions(trained)
    apart = {
        key: (broken[key[0], "down"].broken - it.broken) / max(it.rows, 1)
        for key, it in broken.items()
        if key[1] == "up"
    }
    name, _ = max(apart, key=lambda it: abs(apart[it]), default=("", ""))
    if not name or not apart[name, "up"]:
        return {"unknown": "no input of numbers moves the answer one way more than the other"}
    effect = "up" if apart[name, "up"] > 0 else "down"
    both = [broken[name, it].broken / broken[name, it].rows for it in ("up", "down")]
    declare_direction(name, effect, sum(both) / 2)
    answers = trained.predictions["prediction"]
    numbers = trained.settings.problem == "regression"
    middle = float(answers.median()) if numbers else 0.0
    other = replace(asked, trained=replace(trained, model=Turned(trained.model, middle)))
    first, second = said("behaviour", asked), said("behaviour", other)
    direction = f"{name} {effect}"
    return {"honest": first[:2], "why": first[2], "turned": second[:2], "declared": direction}
