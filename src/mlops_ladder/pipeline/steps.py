"""The steps of the training pipeline: plain functions, each with its result and a line about it."""

import json
import tempfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from mlops_ladder import raise_for_faults
from mlops_ladder.data.contract import Contract
from mlops_ladder.data.remote import refresh_snapshot
from mlops_ladder.export.bundle import export_bundle
from mlops_ladder.model import training
from mlops_ladder.model.split import (
    find_duplicates_across_splits,
    find_overlaps,
    find_target_leakage,
    list_row_ids,
    split_three_ways,
    Splits,
)
from mlops_ladder.pipeline import print_step, tuning
from mlops_ladder.pipeline.tuning import Best, with_params
from mlops_ladder.plugins import get_implementations
from mlops_ladder.problem import read_data
from mlops_ladder.registry import decisions, promotion, publishing, versions
from mlops_ladder.registry.champion import predict_for_gate
from mlops_ladder.registry.gate import evaluate_gate, NO_CHAMPION, Verdict
from mlops_ladder.registry.gate_checks import list_checks, run_checks
from mlops_ladder.settings import Settings
from mlops_ladder.tracking import runs

Tags = dict[str, str]


@dataclass(frozen=True)
class Outcome:
    """The outcome of a pipeline run: the verdict on the model, and the model's version.

    `unchanged`: the model was champion already; `brought` names files that its bundle has now.
    `waits` says why an accepted version is not champion yet.
    """

    verdict: Verdict
    version: versions.Version
    unchanged: bool = False
    brought: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()


def ingest(settings: Settings) -> tuple[pd.DataFrame, str]:
    """Read all rows, once the registry is verified: a later step writes to it."""
    decisions.recover_and_verify()
    refresh_snapshot(settings.data.path)
    frame = read_data(settings)
    return frame, f"{len(frame):,} rows from {settings.data.path}"


def check(frame: pd.DataFrame, contract: Contract, settings: Settings) -> tuple[pd.DataFrame, str]:
    """Return the rows for training.  Raise ProjectError for violations and leaking columns."""
    list_checks(contract)  # so that wrong settings fail now, not after the search
    checks = get_implementations("find_violations")
    rows = training.prepare_training_rows(frame, contract, settings, checks)
    raise_for_faults("the data hold the answer", find_target_leakage(rows, contract, settings))
    return rows, f"{len(rows):,} rows keep the contract"


def split(rows: pd.DataFrame, contract: Contract, settings: Settings) -> tuple[Splits, str]:
    """Return the parts for training, validation and hold-out.  Raise ProjectError on overlap."""
    split_rows = split_three_ways(rows, contract, settings)
    raise_for_faults("the parts are no fair test", find_overlaps(split_rows, contract))
    sizes = ", ".join(f"{len(part):,} {name}" for name, part in split_rows.items())
    return split_rows, "\n".join([sizes, *find_duplicates_across_splits(split_rows, contract)])


def tune(
    split_rows: Splits, contract: Contract, settings: Settings, tags: Tags
) -> tuple[Best, str]:
    """Search the parameters that are best on the validation rows."""
    best = tuning.search(split_rows, contract, settings, tags, partial(print_step, "tune"))
    return best, f"{len(best.trials)} trials, best {settings.metric} {best.score:.4g}"


def train(
    rows: pd.DataFrame, contract: Contract, settings: Settings, best: Best
) -> tuple[training.Trained, str]:
    """Train with the best parameters on all rows but the hold-out, as `make train` does."""
    train_rows, holdout = training.split_holdout(rows, contract, settings)
    trained = training.fit_model(train_rows, holdout, contract, with_params(settings, best.params))
    return trained, f"model {trained.version} from {len(train_rows):,} rows"


def evaluate(trained: training.Trained, split_rows: Splits, tags: Tags) -> tuple[str, str]:
    """Record the model, its scores, its bundle and the part of each row; return the run's id."""
    params = {"model.parameters": json.dumps(trained.settings.model)}  # for `make reproduce`
    run_id = runs.record_training(trained, more_tags=tags | params)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = export_bundle(trained, folder / "serving", run_id)
        (folder / "split").mkdir()
        ids = list_row_ids(split_rows, trained.contract)
        ids.to_csv(folder / "split" / f"{run_id}.csv", index=False)
        runs.connect_mlflow().MlflowClient().log_artifacts(run_id, name)
    metric = trained.settings.metric
    scores = f"{trained.scores[metric]:.4g}, baseline {trained.baseline_scores[metric]:.4g}"
    return run_id, f"{metric} {scores} on {len(trained.holdout):,} rows; {bundle.runtime} to serve"


def gate(
    trained: training.Trained, run_id: str, tags: Tags, frame: pd.DataFrame | None = None
) -> tuple[Verdict, str]:
    """Decide whether the model may become champion; log the report as `gate.json` of its run.

    Args:
        trained: The candidate.
        run_id: The run that has logged it.
        tags: The tags of this run of the flow, for the report.
        frame: All rows as they were read.
    """
    trained, predictions, results = predict_for_gate(trained, frame)
    champion = next((rows for name, rows in predictions.items() if name not in NO_CHAMPION), None)
    results += run_checks(trained, run_id, champion, frame)
    verdict = evaluate_gate(trained.truth, predictions, trained.settings, results)
    report = json.dumps({"run_id": run_id, **tags, **asdict(verdict)}, indent=2)
    runs.connect_mlflow().MlflowClient().log_text(run_id, report, "gate.json")
    checks = [f"{result.name} {result.verdict}" for result in results if result.name]
    return verdict, "; ".join(["accepted" if verdict.accepted else "refused", *checks])


def register(trained: training.Trained, run_id: str, verdict: Verdict) -> tuple[Outcome, str]:
    """Register the model, and make it champion if the gate accepts it and nothing blocks it.

    A model that is champion already keeps its version.  It gets a new one if its bundle lacks files
    that a bundle has by now.
    """
    last = versions.read_state().champion
    if last and last.model_version == trained.version:
        if files := publishing.find_missing_files(last, run_id):
            renewed = promotion.renew_champion(run_id)
            text = f"version {renewed.number} is this model with {', '.join(files)}"
            return Outcome(verdict, renewed, True, tuple(files)), text
        same = versions.version_from_entry(last)
        return Outcome(verdict, same, True), f"version {same.number} is this model already"
    version = promotion.register_version(run_id, trained.version, verdict)
    reasons = promotion.find_pending_reasons(version, verdict) if verdict.accepted else []
    if reasons:
        return Outcome(verdict, version, waits=tuple(reasons)), f"version {version.number} waits"
    if verdict.accepted:
        promotion.promote_version(version, verdict)
    return Outcome(verdict, version), f"version {version.number}"
