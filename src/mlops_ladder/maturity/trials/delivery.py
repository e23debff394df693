"""Tried and planted: the flow from rows to a model."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, UTC
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.data import read_artifact
from mlops_ladder.maturity.delivery import LOG
from mlops_ladder.maturity.model import name_run
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.sandbox import Copy, Failed

STEPS = {"check", "split", "tune", "train", "evaluate", "gate"}
ROLES = {"model", "baseline", "tuning", "trial"}

Facts = dict[str, Any]


def flow_run(copy: Copy) -> tuple[str, str, float, dict[str, str]]:
    """Of the newest run of the flow: id, state, when it began, and the state of each task."""
    database = copy.root / ".prefect" / "prefect.db"
    if not database.exists():
        raise Unknown("no Prefect database in .prefect")
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        newest = "select id, state_type, start_time from flow_run order by created desc limit 1"
        number, state, began = store.execute(newest).fetchone() or ("", "none", None)
        tasks = "select name, state_type from task_run where flow_run_id = ?"
        found = dict(store.execute(tasks, (number,)).fetchall())
    when = datetime.fromisoformat(began or "1970-01-01").replace(tzinfo=UTC).timestamp()
    return str(number), str(state), when, found


@trial("pipeline.flow", "every task is completed, and all that it leaves carries the run")
def completed(copy: Copy) -> Iterator[str]:
    """Run it, and look at what Prefect and MLflow hold of it."""
    try:
        found = copy.need("rehearse")
    except Failed as reason:
        if flow_run(copy)[1] == "COMPLETED":  # it works, and refuses the model of these data
            raise
        yield str(reason)
        return
    number, state, began, tasks = flow_run(copy)
    for name, said in {"the flow": state, **tasks}.items():
        if said != "COMPLETED":
            yield f"{name}: {said} after make pipeline"
    if not tasks:
        yield "no task is recorded of the flow"
    for run in found.records["all"]:
        role, said = run["tags"].get("role"), run["tags"].get("prefect.flow_run_id", "none")
        if run["started"] < began:  # by a training before it
            continue
        if role in ROLES and said.replace("-", "") != number.replace("-", ""):
            yield f"{name_run(run)} ({role}): carries the run {said} of the flow, {number} is right"
    yield from carried(found, number)


def carried(found: Repository, number: str) -> Iterator[str]:
    """The artifacts of the model that do not say which run they are of."""
    run = found.runs[0]
    wanted = {"gate.json": {"run_id": run["id"], "prefect.flow_run_id": number}}
    wanted["serving/bundle.json"] = {"run_id": run["id"]}
    try:
        for name, facts in wanted.items():
            said = json.loads(read_artifact(run, name))
            for key, value in facts.items():
                if str(said.get(key)).replace("-", "") != value.replace("-", ""):
                    yield f"{name_run(run)}: {name} says {key} {said.get(key)}, {value} is right"
        read_artifact(run, f"split/{run['id']}.csv")
    except Unknown as reason:
        yield str(reason)


@fault("pipeline.flow", "a step that raises fails the flow, and nothing is registered")
def raising(copy: Copy) -> Iterator[str]:
    """Have a step raise, taken at random."""
    path = copy.library() / "pipeline" / "steps.py"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    known = sorted(STEPS & set(re.findall(r"^def (\w+)", text, re.MULTILINE)))
    if not known:
        raise Unknown(f"{path.name}: none of the steps {', '.join(sorted(STEPS))} is there")
    step = copy.random.choice(known)
    path.write_text(f"{text}\n\ndef {step}(*_given):\n    raise RuntimeError('planted')\n")
    done = copy.run("make", "rehearse")
    if done.returncode == 0:
        yield f"make pipeline: ends with 0, though the step {step} raises"
    if (state := flow_run(copy)[1]) != "FAILED":
        yield f"the flow: {state}, though the step {step} raises"
    if (copy.root / "mlflow.db").exists():
        for model in copy.repository.records["registry"].values():
            if model["versions"]:
                yield f"make pipeline: registers a version, though the step {step} raises"
    if (copy.root / LOG).exists():
        yield f"{LOG}: holds a decision, though the step {step} raises"
