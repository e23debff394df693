"""The extension points: a hook each, called where something happens that others may add to.

The library's own plugins stand in `plugins.toml`, each from its level on.  A project's are
functions of its `src/PACKAGE/plugins.py`, decorated with `@hookimpl` and named as the hook; they
take any of its arguments, by name.  Every implementation is called, the project's first, and what
they return is collected; None is no answer.  If one answers (`firstresult`), the first counts: the
project's wins.
"""

# pylint: disable=unused-argument  # a hook has no body

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, TYPE_CHECKING

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    import pandas as pd
    import sqlalchemy as sql
    from fastapi import FastAPI

    from mlops_ladder.batch.runs import BatchLog
    from mlops_ladder.batch.scoring import Job, Scored
    from mlops_ladder.data.contract import Violation, Contract
    from mlops_ladder.model.training import Trained
    from mlops_ladder.registry.gate import Verdict
    from mlops_ladder.registry.history import Entry
    from mlops_ladder.registry.gate_checks import GateCheck
    from mlops_ladder.registry.versions import Version
    from mlops_ladder.serving.predict_route import Authenticator, ModelSelector
    from mlops_ladder.serving.events import Observer
    from mlops_ladder.serving.rollout.decisions import Decision
    from mlops_ladder.settings import Settings
    from mlops_ladder.tracking.runs import Run

NAME = "mlops_ladder"
hookimpl, hookspec = HookimplMarker(NAME), HookspecMarker(NAME)


# ---- Data


@hookspec
def after_contract_change(
    settings: Settings, frame: pd.DataFrame
) -> dict[Path, str | bytes | None] | None:
    """Return files to replace, by path, after `make contract` has written contract.toml.

    `frame` holds the rows that the contract was inferred from.
    """


@hookspec
def find_violations(frame: pd.DataFrame, contract: Contract) -> list[Violation] | None:
    """Return what keeps these rows from being learned from or answered.

    Called in training, in the pipeline's step `check`, and for each part of a file to predict.
    """


@hookspec
def list_versioned_files() -> list[Path] | None:
    """Return further files that `make data-version` keeps versions of."""


@hookspec
def forget_rows(names: set[str]) -> None:
    """Delete the inputs of these logged rows, `REQUEST_ID/ROW`, wherever else they are kept.

    Called by `make forget`, before the log is changed.
    """


@hookspec
def delete_expired(settings: Settings, before: datetime) -> None:
    """Delete what was kept of requests from before this time, beside the prediction log."""


# ---- Training


@hookspec
def after_training(trained: Trained) -> None:
    """Record a model that `make train` has trained and scored."""


@hookspec(firstresult=True)
def get_executor(settings: Settings) -> AbstractContextManager[Any] | None:
    """Return a context of an executor, with the methods of `study.SerialExecutor`.

    Called by the search of parameters, the backtest and the batch.
    """


@hookspec(firstresult=True)
def find_described_run() -> Run | None:
    """Return the run that the model card describes, in place of the newest one."""


# ---- Registry


@hookspec
def list_gate_checks(contract: Contract) -> list[GateCheck] | None:
    """Return further questions that the gate asks of a candidate.

    Called before the search, so that a question that does not fit the contract is refused early.
    """


@hookspec
def list_bundle_files(trained: Trained) -> dict[str, bytes] | None:
    """Return files, by name, that go into the bundle of a model beside what is served."""


@hookspec
def find_promotion_objections(version: Version, verdict: dict[str, Any]) -> list[str] | None:
    """Return reasons why a version that the gate has accepted may not become champion yet."""


@hookspec
def hand_to_rollout(version: Version, verdict: Verdict) -> str | None:
    """Take over an accepted version that nobody objects to; say so, and it is not promoted now."""


@hookspec
def after_decision(decision: Entry | Decision) -> None:
    """Note a decision of the registry, or of a rollout, once it is carried out."""


@hookspec
def after_bundle_download(version: Version, place: Path) -> None:
    """Bring what belongs beside the bundle of a version, which is whole in this folder."""


@hookspec
def before_bundle_load(folder: Path) -> None:
    """Raise ProjectError if the bundle in this folder may not answer."""


# ---- Pipeline and its schedule


@hookspec
def run_after_training(settings: Settings) -> tuple[Any, str] | None:
    """Do what is to be done as often as the scheduled training, however that ended.

    Each implementation runs as a task of its own.  Return a result and a line about it.
    """


@hookspec
def watch_predictions(settings: Settings) -> tuple[Any, str] | None:
    """Look at the log of predictions, as a task of the watch; raise ProjectError to alert.

    Return a result and a line about it.
    """


@hookspec
def score_new_rows(settings: Settings) -> tuple[Any, str] | None:
    """Score what is new in the source of the batches, as a task; return a result and a line."""


@hookspec
def after_scheduled_scoring(settings: Settings) -> tuple[Any, str] | None:
    """Report on the batches, however the scoring ended; return a result and a line about it."""


# ---- Batch


@hookspec(firstresult=True)
def load_batch_model() -> dict[str, Any] | None:
    """Return the saved model that `make predict` answers with, in place of that of `make train`."""


@hookspec(firstresult=True)
def score_batch(saved: dict[str, Any], pattern: str, settings: Settings) -> Iterator[Scored] | None:
    """Return the answers for all rows of these files, part by part, in place of one process."""


@hookspec(firstresult=True)
def open_batch_log(job: Job) -> AbstractContextManager[BatchLog] | None:
    """Return a context of a log that records the parts of a batch, and notes how it ended."""


# ---- Service


@hookspec
def create_request_observer(settings: Settings) -> Observer | None:
    """Return an observer, which is told of each request.  Called when the service starts."""


@hookspec(firstresult=True)
def create_authenticator(settings: Settings) -> Authenticator | None:
    """Return a function of a request that raises HTTPException if the client may not predict."""


@hookspec
def create_model_selector(settings: Settings) -> ModelSelector | None:
    """Return a function that may give another model for a request than the champion.

    It gets the request, its id, and the model chosen so far.
    """


@hookspec
def extend_service(app: FastAPI, settings: Settings) -> None:
    """Add routes or middleware to the service before it starts."""


@hookspec
def build_linked_deletion(before: datetime, names: Sequence[str]) -> sql.Delete | None:
    """Return a statement that deletes rows of a table beside the prediction log.

    Those from before this time, and those of these requests.
    """


# ---- Rollout


@hookspec
def before_rollout(begun: Decision, settings: Settings) -> None:
    """Raise ProjectError if this rollout cannot begin here."""


@hookspec
def apply_rollout_plan(decision: Decision) -> None:
    """Have whoever else routes requests follow the plan of a decision.

    If it raises, the decision is not carried out yet, and the next command tries again.
    """


@hookspec
def find_outcomes(settings: Settings, since: datetime) -> dict[str, list[Any]] | None:
    """Return what was true of the rows of requests, by request id, known since this time."""


# ---- Documents


@hookspec
def collect_evidence(settings: Settings) -> dict[str, dict[str, Any]] | None:
    """Return facts for the technical document, by the name of their file in `docs/evidence`."""
