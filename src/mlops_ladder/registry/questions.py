"""Questions: what the gate asks of a model beyond its scores.  Through the door `asked` they join.

Each is a function of the model, as MLflow gives it back, and of rows that it has not seen.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import pandas as pd
from matplotlib.figure import Figure
from threadpoolctl import threadpool_limits

from mlops_ladder.data.casting import converted
from mlops_ladder.data.contract import Contract, refuse
from mlops_ladder.model.prediction import predict_rows
from mlops_ladder.model.training import Trained
from mlops_ladder.plugins import get_hooks
from mlops_ladder.registry import versions
from mlops_ladder.registry.gate import Answer, plain
from mlops_ladder.tracking import runs


@dataclass(frozen=True)
class Asked:
    """What a question is about: a model, its held-out rows, and what the champion says of them.

    `trained.model` and `trained.predictions` are those of the artifact, not of the object that
    training left in memory.  `champion` is None where there is none that can predict these rows;
    `frame` holds all rows as they were read.
    """

    trained: Trained
    champion: pd.DataFrame | None = None
    frame: pd.DataFrame | None = None

    def column(self, name: str) -> pd.Series:
        """A column of the contract for the held-out rows, also one that training leaves out.

        Raises ProjectError where the rows lack it.
        """
        held = self.trained.holdout
        if name in held.columns:
            return held[name]
        rows = (held if self.frame is None else self.frame).loc[held.index]
        found, breaches = converted(rows, self.trained.contract, [name])
        refuse(breaches)
        return found[name]


@dataclass(frozen=True)
class Reply:
    """What came of a question: a word, the reason in a line, the numbers, and a picture of them."""

    verdict: Literal["passed", "refused", "not enough rows"]
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)
    picture: Figure | None = None


@dataclass(frozen=True)
class Question:
    """A question by its name; where it does not decide, its refusal is reported and no more."""

    name: str
    decides: bool
    ask: Callable[[Asked], Reply]


def questions(contract: Contract) -> list[Question]:
    """The questions that have joined.  ProjectError where what they declare does not fit."""
    found = get_hooks().list_gate_checks(contract=contract)
    return [it for given in found for it in given]


def answers(
    trained: Trained, run_id: str, champion: pd.DataFrame | None, frame: pd.DataFrame | None
) -> list[Answer]:
    """The answers to all questions about the model of a run, which are recorded there.

    As `questions.json`, and as plots, which the model card shows.
    """
    todo = questions(trained.contract)
    if not todo:
        return []
    about = Asked(as_logged(trained, run_id), champion, frame)
    replies = {it.name: (it, reply(it, about)) for it in todo}
    client = runs.connect_mlflow().MlflowClient()
    report = {name: written(it, said) for name, (it, said) in replies.items()}
    client.log_text(run_id, json.dumps(report, indent=2, ensure_ascii=False), "questions.json")
    for name, (_, said) in replies.items():
        if said.picture:
            client.log_figure(run_id, said.picture, f"plots/{name}.png")
    return [
        Answer(said.verdict != "refused", f"{name}: {said.reason}", it.decides, said.verdict, name)
        for name, (it, said) in replies.items()
    ]


def as_logged(trained: Trained, run_id: str) -> Trained:
    """The same training with the model that its run has logged, and what that one predicts."""
    address = f"models:/{versions.logged(run_id)}"
    model = runs.connect_mlflow().sklearn.load_model(address)
    rows = trained.holdout[trained.contract.inputs()]
    return replace(trained, model=model, predictions=predict_rows(model, rows))


def reply(question: Question, about: Asked) -> Reply:
    """What comes of a question; one that fails has not been passed."""
    try:
        with threadpool_limits(1):  # on few rows threads cost more than they bring
            return question.ask(about)
    except Exception as error:  # pylint: disable=broad-exception-caught  # its code is any code
        return Reply("refused", f"cannot be answered: {type(error).__name__}: {error}")


def written(question: Question, said: Reply) -> dict[str, Any]:
    """A reply as JSON has it."""
    found = asdict(replace(said, picture=None)) | {"decides": question.decides}
    found.pop("picture")
    return {name: plain(value) for name, value in found.items()}
