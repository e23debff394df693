"""The training pipeline: every task run is completed, or nothing is registered."""

import json
import shutil
import time
from collections.abc import Iterator
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pandas as pd
import pytest
from library.fixture_project import ROOT

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.pipeline import steps
from mlops_ladder.pipeline.command import format_outcome
from mlops_ladder.project import get_project
from mlops_ladder.registry import versions
from mlops_ladder.registry.gate import Verdict
from mlops_ladder.settings import Settings
from mlops_ladder.tracking import runs as tracking

STEPS = ["ingest", "check", "split", "tune", "train", "evaluate", "gate", "register"]
PATIENCE = 60  # seconds; the server writes down what it has heard every second


@pytest.fixture(name="rows", autouse=True)
def _rows(
    folder: Path, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pd.DataFrame]:
    """The rows that the flow reads, with one trial, and a model of its own in the registry."""
    registered = f"model-{uuid4().hex[:8]}"
    monkeypatch.setattr(versions, "model_name", lambda: registered)
    monkeypatch.setattr(steps, "read_data", lambda settings: frame)
    monkeypatch.setenv(f"{get_project().prefix}TUNING__TRIALS", "1")
    shutil.copy(ROOT / "pyproject.toml", folder)
    yield frame


def states(run_id: str, wanted: int) -> dict[str, str]:
    """The state of each task run of a flow run, by its name, once so many have ended."""
    client_of = import_module("prefect.client.orchestration").get_client
    filters = import_module("prefect.client.schemas.filters")
    newest = import_module("prefect.client.schemas.sorting").TaskRunSort.END_TIME_DESC
    mine = filters.FlowRunFilter(id=filters.FlowRunFilterId(any_=[UUID(run_id)]))
    deadline = time.monotonic() + PATIENCE
    found: dict[str, str] = {}
    with client_of(sync_client=True) as client:
        while time.monotonic() < deadline:
            runs = client.read_task_runs(flow_run_filter=mine, sort=newest, limit=100)
            found = {run.name.rsplit("-", 1)[0]: str(run.state_name) for run in runs}
            if len(found) == wanted and not {"Running", "Pending"} & set(found.values()):
                break
            time.sleep(0.2)
    return found


def test_every_task_run_is_completed_and_each_artifact_carries_the_run(flows: Any) -> None:
    """The flow and its eight task runs are completed; the model's run holds what they made."""
    state = flows.training(return_state=True)
    if isinstance(refused := state.result(raise_on_failure=False), ProjectError):
        pytest.skip(f"the pipeline refuses these data: {refused}")
    outcome, flow_run = state.result(), str(state.state_details.flow_run_id)
    run_id, mlflow = outcome.version.run_id, tracking.connect_mlflow()
    report = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/gate.json"))
    bundle = json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/serving/bundle.json"))
    ids = pd.read_csv(StringIO(mlflow.artifacts.load_text(f"runs:/{run_id}/split/{run_id}.csv")))
    assert states(flow_run, len(STEPS)) == dict.fromkeys(STEPS, "Completed")
    assert mlflow.get_run(run_id).data.tags["prefect.flow_run_id"] == flow_run
    assert (report["run_id"], report["prefect.flow_run_id"]) == (run_id, flow_run)
    assert (bundle["run_id"], bundle["model_version"]) == (run_id, outcome.version.model_version)
    assert set(ids["part"]) == {"train", "validation", "holdout"}
    assert report["accepted"] == outcome.verdict.accepted


@pytest.mark.parametrize(("champion", "error"), [(None, "nothing can be served"), ("v1", None)])
def test_a_first_model_that_is_refused_is_an_error(champion: str | None, error: str | None) -> None:
    """With no champion nothing can be served, and the reasons are told; else the champion stays."""
    verdict = Verdict(False, ("too poor: no",), {"champion": champion})
    outcome = steps.Outcome(verdict, versions.Version("1", "run", "model"))
    if error:
        with pytest.raises(ProjectError, match=f"{error}\n  too poor: no"):
            format_outcome(outcome)
    else:
        assert "The champion stays.  Candidate: version 1" in format_outcome(outcome)


def test_a_step_that_fails_fails_the_flow_and_registers_nothing(
    flows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a broken check no further step runs, and the registry holds no version."""

    def check(*_given: Any) -> None:
        raise ProjectError("planted")

    monkeypatch.setattr(steps, "check", check)
    state = flows.training(return_state=True)
    found = states(str(state.state_details.flow_run_id), 2)
    assert state.is_failed()
    assert found == {"ingest": "Completed", "check": "Failed"}
    assert versions.list_versions() == {}


def test_a_submitted_task_that_nobody_waits_for_fails_the_flow(
    flows: Any, monkeypatch: pytest.MonkeyPatch, trained: Any
) -> None:
    """Prefect alone would call the flow completed; nothing is registered."""

    def ingest(_settings: Settings) -> tuple[None, str]:
        import_module("prefect").task(broken).submit()
        return None, "planted"

    def broken() -> None:
        raise ProjectError("planted")

    monkeypatch.setattr(steps, "ingest", ingest)
    for name in STEPS[1:-1]:
        monkeypatch.setattr(steps, name, named(name, trained))
    state = flows.training(return_state=True)
    assert state.is_failed()
    assert versions.list_versions() == {}


def named(name: str, result: Any) -> Any:
    """A step of this name that gives this result."""

    def step(*_given: Any) -> tuple[Any, str]:
        return result, name

    step.__name__ = name
    return step


def test_rows_that_cannot_be_read_are_read_again_unless_the_user_has_to_act(
    flows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost connection is tried once more; a ProjectError is not."""
    tried = []

    def ingest(_settings: Settings) -> tuple[int, str]:
        tried.append("ingest")
        if len(tried) == 1:
            raise ConnectionError("planted")
        raise ProjectError("planted")

    patient = flows.ingest.with_options(retry_delay_seconds=[0, 0])
    monkeypatch.setattr(flows, "ingest", patient)
    monkeypatch.setattr(steps, "ingest", ingest)
    assert flows.training(return_state=True).is_failed()
    assert len(tried) == 2


def test_rows_that_break_the_contract_are_refused(
    rows: pd.DataFrame, contract: Contract, settings: Settings
) -> None:
    """A column that is missing is named before anything is trained."""
    gone = contract.inputs()[0]
    with pytest.raises(ProjectError, match="column is missing"):
        steps.check(rows.drop(columns=gone), contract, settings)
