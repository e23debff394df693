"""The steps of the training pipeline: plain functions, each with its result and a line about it."""

import json
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from mlops_ladder import raise_for_faults
from mlops_ladder.data.contract import Contract
from mlops_ladder.export.bundle import export
from mlops_ladder.model import training
from mlops_ladder.model.split import (
    find_duplicates_across_splits,
    find_overlaps,
    find_target_leakage,
    list_row_ids,
    split_three_ways,
    Splits,
)
from mlops_ladder.pipeline import show, tuning
from mlops_ladder.pipeline.tuning import Best, changed
from mlops_ladder.plugins import get_implementations
from mlops_ladder.problem import read_data
from mlops_ladder.registry import history, promotion, publishing, versions
from mlops_ladder.registry.gate import judge, NO_CHAMPION, Verdict
from mlops_ladder.registry.questions import answers, questions
from mlops_ladder.registry.rivals import rivals
from mlops_ladder.settings import Settings
from mlops_ladder.tracking import runs

Tags = dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """What a run of the pipeline came to: the verdict on the model, and the model's version.

    `unchanged`: the model was champion already, and `brought` names what its bundle has now.
    `waits` says why an accepted version is not champion yet.
    """

    verdict: Verdict
    version: versions.Version
    unchanged: bool = False
    brought: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()


def ingest(settings: Settings) -> tuple[pd.DataFrame, str]:
    """All rows, for a registry that is in order: a later step writes to it."""
    promotion.settle()
    frame = read_data(settings)
    return frame, f"{len(frame):,} rows from {settings.data.path}"


def check(frame: pd.DataFrame, contract: Contract, settings: Settings) -> tuple[pd.DataFrame, str]:
    """The rows to learn from.  ProjectError where they break the contract, or a column leaks."""
    questions(contract)  # what does not fit is told now, not after the search
    rows = training.prepare_training_rows(
        frame, contract, settings, get_implementations("find_violations")
    )
    raise_for_faults("the data hold the answer", find_target_leakage(rows, contract, settings))
    return rows, f"{len(rows):,} rows keep the contract"


def split(rows: pd.DataFrame, contract: Contract, settings: Settings) -> tuple[Splits, str]:
    """The rows to train on, to choose by and to judge by.  ProjectError where two parts overlap."""
    found = split_three_ways(rows, contract, settings)
    raise_for_faults("the parts are no fair test", find_overlaps(found, contract))
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in found.items())
    return found, "\n".join([sizes, *find_duplicates_across_splits(found, contract)])


def tune(parted: Splits, contract: Contract, settings: Settings, tags: Tags) -> tuple[Best, str]:
    """The best parameters on the validation rows."""
    best = tuning.search(parted, contract, settings, tags, partial(show, "tune"))
    return best, f"{len(best.trials)} trials, best {settings.metric} {best.score:.4g}"


def train(
    rows: pd.DataFrame, contract: Contract, settings: Settings, best: Best
) -> tuple[training.Trained, str]:
    """A model with the best parameters, of all rows but those held out, as in `make train`."""
    kept, held = training.split_holdout(rows, contract, settings)
    trained = training.fit_model(kept, held, contract, changed(settings, best.params))
    return trained, f"model {trained.version} from {len(kept):,} rows"


def evaluate(trained: training.Trained, parted: Splits, tags: Tags) -> tuple[str, str]:
    """The run that holds the model, its scores, what is served of it, and who was in which part."""
    chosen = {"model.parameters": json.dumps(trained.settings.model)}  # as `make repro` needs them
    run_id = runs.record_training(trained, more_tags=tags | chosen)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        bundle = export(trained, place / "serving", run_id)
        (place / "split").mkdir()
        list_row_ids(parted, trained.contract).to_csv(
            place / "split" / f"{run_id}.csv", index=False
        )
        runs.connect_mlflow().MlflowClient().log_artifacts(run_id, name)
    metric = trained.settings.metric
    scores = f"{trained.scores[metric]:.4g}, baseline {trained.baseline_scores[metric]:.4g}"
    return run_id, f"{metric} {scores} on {len(trained.holdout):,} rows; {bundle.runtime} to serve"


def gate(
    trained: training.Trained, run_id: str, tags: Tags, frame: pd.DataFrame | None = None
) -> tuple[Verdict, str]:
    """May the model become champion?  The report stands in its run; `frame` holds all rows read."""
    trained, found, further = rivals(trained, frame)
    champion = next((rows for name, rows in found.items() if name not in NO_CHAMPION), None)
    further += answers(trained, run_id, champion, frame)
    verdict = judge(trained.truth, found, trained.settings, further)
    report = json.dumps({"run_id": run_id, **tags, **asdict(verdict)}, indent=2)
    runs.connect_mlflow().MlflowClient().log_text(run_id, report, "gate.json")
    said = [f"{name} {it['verdict']}" for name, it in verdict.evidence["questions"].items()]
    return verdict, "; ".join(["accepted" if verdict.accepted else "refused", *said])


def register(trained: training.Trained, run_id: str, verdict: Verdict) -> tuple[Outcome, str]:
    """The version of the model, champion where the gate has accepted it.

    A model that is champion already stays as it is, with the version that it has; a new one where
    its bundle lacks what goes with a model by now.
    """
    last = history.champion(versions.held().entries)
    if last and last.model_version == trained.version:
        if lacked := publishing.lacking(last, run_id):
            renewed = promotion.renew(run_id)
            told = f"version {renewed.number} is this model with {', '.join(lacked)}"
            return Outcome(verdict, renewed, True, tuple(lacked)), told
        same = versions.of(last)
        return Outcome(verdict, same, True), f"version {same.number} is this model already"
    version = promotion.register(run_id, trained.version, verdict)
    waits = promotion.waits(version, verdict) if verdict.accepted else []
    if waits:
        return Outcome(verdict, version, waits=tuple(waits)), f"version {version.number} waits"
    if verdict.accepted:
        promotion.promote(version, verdict)
    return Outcome(verdict, version), f"version {version.number}"
