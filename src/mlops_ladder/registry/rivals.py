"""Rivals: what the models that a candidate is compared with predict for the same rows."""

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO

import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import conform
from mlops_ladder.data.contract import Contract
from mlops_ladder.export.runtime import load, Loaded
from mlops_ladder.model import prediction, training
from mlops_ladder.registry import gate, history, publishing, versions
from mlops_ladder.tracking import runs

Rivals = dict[str, pd.DataFrame | None]


def rivals(
    trained: training.Trained, frame: pd.DataFrame | None = None
) -> tuple[training.Trained, Rivals, list[gate.Answer]]:
    """What `judge` needs: the training with the rows that it is judged on, the predictions of
    candidate, baseline and champion, and more answers.

    `frame` has the rows as they were read, with columns that only the champion uses.  Rows that the
    champion has learned from are left out.  A champion that cannot be asked is None; an answer says
    why, and refuses.  So does one about a candidate that is champion already, or was rolled back.
    """
    now = versions.held()
    answers = [gate.Answer(False, why) for why in objections(trained.version, now.entries)]
    champion: Rivals = {}
    if last := now.champion:
        name = str(history.title(last))
        try:
            held = len(trained.holdout)
            trained, champion[name] = asked(last, trained, frame)
            if learned := held - len(trained.holdout):
                told = f"{name} has learned from {learned} of {held} held-out rows, now left out"
                answers.append(gate.Answer(True, told))
        except Exception as error:  # pylint: disable=broad-exception-caught  # its code is any code
            champion[name] = None
            why = f"{name} cannot be asked about these rows: {error}"
            answers.append(gate.Answer(gate.excused(name, trained.settings), why))
    found = {"candidate": trained.predictions, "baseline": trained.baseline}
    return trained, found | champion, answers


def objections(model_version: str, entries: Sequence[history.Entry]) -> list[str]:
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


def asked(
    last: history.Entry, trained: training.Trained, frame: pd.DataFrame | None
) -> tuple[training.Trained, pd.DataFrame]:
    """The training with the held-out rows that the champion has not learned from, and what the
    champion predicts for them.

    Its bundle answers, as it does in the service: that needs no code of this project.  Raises
    ProjectError if it answers another question, or cannot be compared on these rows.
    """
    publishing.fetch(versions.of(last), last.bundle)
    champion = load(publishing.SERVING / str(last.version))
    theirs = question(champion.bundle["problem"], champion.contract)
    if theirs != (ours := question(trained.settings.problem, trained.contract)):
        raise ProjectError(f"it answers {theirs}, not {ours}")
    old, now = set(champion.bundle["classes"] or ()), set(trained.train[trained.contract.target])
    if old - now and now - old:
        raise ProjectError(f"it says {old - now}, where the data say {now - old}")
    rows = pd.concat([trained.train, trained.holdout]).sort_index()
    rows = rows[~rows.index.duplicated()]  # one may be learned from twice
    rows = rows if frame is None else frame.loc[rows.index]
    new = unseen(last, champion.contract, rows)[trained.holdout.index].to_numpy()
    if new.sum() < min(gate.FEW_ROWS, len(new) / 2):
        told = f"it has learned from all but {new.sum()} of the {len(new)} held-out rows"
        raise ProjectError(f"{told}; bring rows that are new to it")
    names = "holdout", "predictions", "baseline"
    trained = replace(trained, **{name: getattr(trained, name)[new] for name in names})
    inputs = champion.contract.inputs()
    rows = conform(rows.loc[trained.holdout.index], champion.contract, inputs)
    return trained, predictions(champion, rows)


def unseen(last: history.Entry, contract: Contract, rows: pd.DataFrame) -> pd.Series:
    """Of each row: is it none that the champion has learned from?  Its run recorded their keys."""
    file = f"runs:/{last.run_id}/split/{last.run_id}.csv"
    known = pd.read_csv(StringIO(runs.connect_mlflow().artifacts.load_text(file)), dtype="str")
    if "key" not in known:
        raise ProjectError(f"{file}: does not say which rows it has learned from (no column key)")
    learned = known.loc[known["part"] != "holdout", "key"]
    names = contract.names("feature", "target", "time", "id", "group")
    keys = training.compute_row_keys(
        conform(rows, contract, names), contract, "." in learned.iloc[0]
    )
    return ~keys.isin(learned)


def predictions(champion: Loaded, rows: pd.DataFrame) -> pd.DataFrame:
    """What a bundle says of rows, as `prediction.predict` gives it."""
    said = prediction.predict_rows(champion, rows)
    if empty := int(said.isna().any(axis=1).sum()):
        raise ProjectError(f"it gives no answer for {empty} of {len(said)} rows")
    return said


def question(problem: str, contract: Contract) -> str:
    """What is predicted: the kind of problem, the target and its kind."""
    return f"{problem} {contract.target} {contract.columns[contract.target].kind}"
