"""The champion on the candidate's rows: what it predicts, and why it cannot be compared."""

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO

import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.contract import Contract
from mlops_ladder.export.runtime import load_bundle, LoadedModel
from mlops_ladder.model import prediction, training
from mlops_ladder.registry import gate, history, publishing, versions
from mlops_ladder.tracking import runs

Predictions = dict[str, pd.DataFrame | None]


def predict_for_gate(
    trained: training.Trained, frame: pd.DataFrame | None = None
) -> tuple[training.Trained, Predictions, list[gate.CheckResult]]:
    """Return the input of `evaluate_gate`: training, predictions by model, and check results.

    `frame` has the rows as they were read, with columns that only the champion uses.  The training
    comes back without rows that the champion has learned from.  The predictions of a champion that
    cannot be compared are None, and a check result says why, and refuses.  Another one refuses a
    candidate that is champion already, or was rolled back.
    """
    state = versions.read_state()
    objections = find_objections(trained.version, state.entries)
    results = [gate.make_result(False, reason) for reason in objections]
    champion: Predictions = {}
    if last := state.champion:
        name = str(history.name_champion(last))
        try:
            rows = len(trained.holdout)
            trained, champion[name] = predict_as_champion(last, trained, frame)
            if learned := rows - len(trained.holdout):
                message = f"{name} has learned from {learned} of {rows} held-out rows, now left out"
                results.append(gate.make_result(True, message))
        except Exception as error:  # pylint: disable=broad-exception-caught  # a model is any code
            champion[name] = None
            reason = f"{name} cannot predict these rows: {error}"
            allowed = gate.may_replace_uncompared(name, trained.settings)
            results.append(gate.make_result(allowed, reason))
    predictions = {"candidate": trained.predictions, "baseline": trained.baseline}
    return trained, predictions | champion, results


def find_objections(model_version: str, entries: Sequence[history.Entry]) -> list[str]:
    """Return why this model may not become champion, however good: it is, or was rolled back."""
    objections = []
    last = history.find_champion_entry(entries)
    if last and last.model_version == model_version:
        objections.append(f"it is {history.name_champion(last)} itself: there is nothing to gain")
    numbers = {str(entry.version) for entry in entries if entry.model_version == model_version}
    for entry in filter(None, (history.find_rollback(entries, number) for number in numbers)):
        way_out = f"`make rollback TO={entry.previous}` makes it champion again"
        objections.append(f"it is v{entry.previous}, which {entry.who} has rolled back; {way_out}")
    return objections


def require_same_task(champion: LoadedModel, trained: training.Trained) -> None:
    """Raise ProjectError if champion and candidate predict different targets or classes."""
    theirs = describe_task(champion.bundle["problem"], champion.contract)
    if theirs != (ours := describe_task(trained.settings.problem, trained.contract)):
        raise ProjectError(f"it predicts {theirs}, not {ours}")
    old, new = set(champion.bundle["classes"] or ()), set(trained.train[trained.contract.target])
    if old - new and new - old:
        raise ProjectError(f"it predicts {old - new}, but the data have {new - old}")


def predict_as_champion(
    last: history.Entry, trained: training.Trained, frame: pd.DataFrame | None
) -> tuple[training.Trained, pd.DataFrame]:
    """Return the training without rows that the champion has learned from, and its predictions.

    The champion's bundle predicts, as in the service: that needs no code of this project.  Raises
    ProjectError if it predicts another target, or cannot be compared on these rows.
    """
    publishing.ensure_bundle(versions.version_from_entry(last), last.bundle)
    champion = load_bundle(publishing.SERVING / str(last.version))
    require_same_task(champion, trained)
    rows = pd.concat([trained.train, trained.holdout]).sort_index()
    rows = rows[~rows.index.duplicated()]  # the candidate may learn from a row twice
    rows = rows if frame is None else frame.loc[rows.index]
    unseen = mark_unseen(last, champion.contract, rows)[trained.holdout.index].to_numpy()
    if unseen.sum() < min(gate.FEW_ROWS, len(unseen) / 2):
        message = f"it has learned from all but {unseen.sum()} of the {len(unseen)} held-out rows"
        raise ProjectError(f"{message}; add rows that are new to it")
    names = "holdout", "predictions", "baseline"
    trained = replace(trained, **{name: getattr(trained, name)[unseen] for name in names})
    inputs = champion.contract.inputs()
    rows = validate_and_cast(rows.loc[trained.holdout.index], champion.contract, inputs)
    predictions = prediction.predict_rows(champion, rows)
    if empty := int(predictions.isna().any(axis=1).sum()):
        raise ProjectError(f"it gives no answer for {empty} of {len(rows)} rows")
    return trained, predictions


def mark_unseen(last: history.Entry, contract: Contract, rows: pd.DataFrame) -> pd.Series:
    """Return for each row whether it is new to the champion, whose run has recorded its keys."""
    file = f"runs:/{last.run_id}/split/{last.run_id}.csv"
    record = pd.read_csv(StringIO(runs.connect_mlflow().artifacts.load_text(file)), dtype="str")
    if "key" not in record:
        raise ProjectError(f"{file}: no column `key`, so the rows it has learned from are unknown")
    learned = record.loc[record["part"] != "holdout", "key"]
    names = contract.names("feature", "target", "time", "id", "group")
    cast = validate_and_cast(rows, contract, names)
    return ~training.compute_row_keys(cast, contract, "." in learned.iloc[0]).isin(learned)


def describe_task(problem: str, contract: Contract) -> str:
    """Return what is predicted: the kind of problem, the target and its kind."""
    return f"{problem} {contract.target} {contract.columns[contract.target].kind}"
