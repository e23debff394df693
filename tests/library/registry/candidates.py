"""Candidates for the registry: runs of one logged model, each with a bundle of its own."""

import json
from dataclasses import replace
from pathlib import Path

from mlops_ladder.data.contract import read_contract
from mlops_ladder.data.sources import compute_sha256
from mlops_ladder.registry import history, promotion, versions
from mlops_ladder.registry.gate import Verdict
from mlops_ladder.registry.versions import Version
from mlops_ladder.tracking import runs

MADE: dict[str, str] = {}  # for all tests: a run does not change


def candidate(run: runs.Run, name: str) -> str:
    """A run that has logged the model of `run`, and a bundle that says it is of model `name`."""
    if name not in MADE:
        MADE[name] = made(run, name)
    return MADE[name]


def made(run: runs.Run, name: str, beside: tuple[str, ...] = ()) -> str:
    """Such a run, made anew; `beside` names what its bundle holds beside the model."""
    mlflow = runs.connect_mlflow()
    client = mlflow.MlflowClient()
    known = client.get_run(run.run_id)
    tags = {key: value for key, value in run.tags.items() if "." in key and "mlflow" not in key}
    opened = client.create_run(known.info.experiment_id, tags=tags | {"model_version": name})
    run_id = str(opened.info.run_id)
    client.log_outputs(run_id, known.outputs.model_outputs)
    for key in ("problem", "metric"):
        client.log_param(run_id, key, run.params[key])
    client.log_artifact(run_id, "contract.toml")
    client.log_artifacts(run_id, str(bundle(name, beside)), "serving")
    client.set_terminated(run_id)
    return run_id


def bundle(name: str, beside: tuple[str, ...] = ()) -> Path:
    """A folder with a bundle of a model of this name, as far as the registry looks into it."""
    folder = Path("bundles") / name
    folder.mkdir(parents=True, exist_ok=True)
    for file in ("model.joblib", *beside):
        (folder / file).write_bytes(name.encode())
    files = {file: compute_sha256(folder / file) for file in ("model.joblib", *beside)}
    contract = read_contract().model_dump(mode="json")
    said = {"model_version": name, "contract": contract, "files": files}
    (folder / "bundle.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


def accepted() -> Verdict:
    """A verdict that accepts, against the champion that there is now."""
    last = versions.read_state().champion
    return Verdict(True, ("better: yes",), {"champion": history.name_champion(last), "rows": 30})


def refused() -> Verdict:
    """A verdict that refuses, for a reason."""
    return replace(accepted(), accepted=False, reasons=("worse: no",))


def promoted(run: runs.Run, name: str) -> Version:
    """A new version that is champion."""
    version = promotion.register_version(candidate(run, name), name, accepted())
    promotion.promote_version(version, accepted())
    return version
