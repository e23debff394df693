"""The training pipeline: a Prefect flow of eight tasks, from the rows to a version in the registry.

Add a step, remove one, or write one yourself: a task is a function that returns its result and a
line to print.  If a task raises, the flow ends and nothing is registered.
"""

import pandas as pd
from prefect import flow

from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.model.split import Splits
from mlops_ladder.model.training import Trained
from mlops_ladder.pipeline import steps
from mlops_ladder.pipeline.steps import Outcome, Tags
from mlops_ladder.pipeline.tasks import finish_submitted, retry_after, run_tags, RUNNER, task
from mlops_ladder.pipeline.tuning import Best
from mlops_ladder.registry.gate import Verdict
from mlops_ladder.settings import load_settings, Settings


@flow(name="training-pipeline", task_runner=RUNNER, log_prints=True)
def training() -> Outcome:
    """Train a model on all rows, judge it by the gate, and register it."""
    settings, contract, tags = load_settings(), read_contract(), run_tags()
    frame = ingest(settings)
    rows = check(frame, contract, settings)
    parts = split(rows, contract, settings)
    best = tune(parts, contract, settings, tags)
    trained = train(rows, contract, settings, best)
    run_id = evaluate(trained, parts, tags)
    verdict = gate(trained, run_id, tags, frame)
    finish_submitted()
    return register(trained, run_id, verdict)


@retry_after(1, 10)  # seconds, if another machine has not answered
def ingest(settings: Settings) -> tuple[pd.DataFrame, str]:
    """Read all rows."""
    return steps.ingest(settings)


@task
def check(frame: pd.DataFrame, contract: Contract, settings: Settings) -> tuple[pd.DataFrame, str]:
    """Return the rows to learn from; raise ProjectError if they break the contract."""
    return steps.check(frame, contract, settings)


@task
def split(rows: pd.DataFrame, contract: Contract, settings: Settings) -> tuple[Splits, str]:
    """Split the rows by time, group or hash: for training, validation and the gate."""
    return steps.split(rows, contract, settings)


@task
def tune(parts: Splits, contract: Contract, settings: Settings, tags: Tags) -> tuple[Best, str]:
    """Search for the parameters that are best on the validation rows."""
    return steps.tune(parts, contract, settings, tags)


@task
def train(
    rows: pd.DataFrame, contract: Contract, settings: Settings, best: Best
) -> tuple[Trained, str]:
    """Train with the best parameters on all rows but the hold-out."""
    return steps.train(rows, contract, settings, best)


@task
def evaluate(trained: Trained, parts: Splits, tags: Tags) -> tuple[str, str]:
    """Record the model, its scores and its bundle; return the id of the run."""
    return steps.evaluate(trained, parts, tags)


@task
def gate(trained: Trained, run_id: str, tags: Tags, frame: pd.DataFrame) -> tuple[Verdict, str]:
    """Compare the model with champion and baseline on the rows held out."""
    return steps.gate(trained, run_id, tags, frame)


@task
def register(trained: Trained, run_id: str, verdict: Verdict) -> tuple[Outcome, str]:
    """Register the model, and make it champion if the gate accepts it."""
    return steps.register(trained, run_id, verdict)
