"""Rivals: what the models that a candidate is compared with predict for the same rows."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from . import ProjectError, history, tracking, versions
from .contract import CONTRACT, Contract, read_contract
from .history import Entry
from .prediction import conform, predict
from .promotion import Answer
from .training import Trained


def rivals(
    trained: Trained, frame: pd.DataFrame | None = None
) -> tuple[dict[str, pd.DataFrame | None], list[Answer]]:
    """What `judge` needs: the predictions of candidate, baseline and champion, and more answers.

    `frame` has the rows as they were read, with columns that only the champion uses.  A champion
    that does not fit these rows, as it follows another contract, is None, and an answer says why.
    A candidate that is champion already, or was rolled back, is answered with no.
    """
    now = versions.held()
    found: dict[str, pd.DataFrame | None] = {
        "candidate": trained.predictions,
        "baseline": trained.baseline,
    }
    answers = [Answer(False, why) for why in objections(trained.version, now.entries)]
    if now.champion:
        name = str(history.title(now.champion))
        try:
            found[name] = predictions(now.champion, trained, frame)
        except ProjectError as error:
            found[name] = None
            answers.append(Answer(True, f"{name} does not fit these rows: {error}"))
    return found, answers


def objections(model_version: str, entries: Sequence[Entry]) -> list[str]:
    """Why this model may not become champion, however good it is: it is, or was rolled back."""
    found = []
    last = history.champion(entries)
    if last and last.model_version == model_version:
        found.append(f"it is {history.title(last)} itself, so there is nothing to gain")
    numbers = {str(it.version) for it in entries if it.model_version == model_version}
    for entry in filter(None, (history.rolled_back(entries, number) for number in numbers)):
        back = f"`make rollback TO={entry.previous}` brings it back"
        found.append(f"it is v{entry.previous}, which {entry.who} has rolled back; {back}")
    return found


def predictions(last: Entry, trained: Trained, frame: pd.DataFrame | None) -> pd.DataFrame:
    """What the champion predicts for the held-out rows.

    Raises ProjectError where it answers another question, or cannot predict these rows.  That its
    files cannot be had is another matter, and MLflow's error.
    """
    mlflow = tracking.connect()
    with tempfile.TemporaryDirectory() as folder:
        address = f"models:/{versions.NAME}/{last.version}"
        place = mlflow.artifacts.download_artifacts(address, dst_path=folder)
        text = mlflow.artifacts.download_artifacts(
            run_id=last.run_id, artifact_path=CONTRACT.name, dst_path=folder
        )
        problem = versions.client().get_run(last.run_id).data.params.get("problem")
        contract = same_question(read_contract(Path(text)), str(problem), trained)
        rows = trained.holdout if frame is None else frame.loc[trained.holdout.index]
        rows = conform(rows, contract, contract.inputs())
        try:
            return predict(mlflow.sklearn.load_model(place), rows)
        except Exception as error:  # pylint: disable=broad-exception-caught  # its code is any code
            raise ProjectError(f"it cannot predict them: {error}") from error


def same_question(contract: Contract, problem: str, trained: Trained) -> Contract:
    """The champion's contract.  ProjectError where it predicts another target, or another kind."""
    theirs = problem, contract.target, contract.columns[contract.target].kind
    target = trained.contract.target
    ours = trained.settings.problem, target, trained.contract.columns[target].kind
    if theirs != ours:
        raise ProjectError(f"it answers {' '.join(theirs)}, not {' '.join(ours)}")
    return contract
