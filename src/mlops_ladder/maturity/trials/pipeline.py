"""Trials and faults of the pipeline: the flow, its schedule, its triggers, its workers."""

import json
import os
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, UTC
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.data import read_artifact
from mlops_ladder.maturity.delivery import LOG, read_registered_model
from mlops_ladder.maturity.model import name_run
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.sandbox import Copy, Failed, last_line
from mlops_ladder.maturity.service import read_process_log, run_beside
from mlops_ladder.maturity.trials.agreements import receive_posts
from mlops_ladder.maturity.trials.project import ask_project

STEPS = {"check", "split", "tune", "train", "evaluate", "gate"}
ROLES = {"model", "baseline", "tuning", "trial"}
START_TIMEOUT_S = 180  # until the schedule starts a run
POST_TIMEOUT_S = 30  # until a crash is posted
LEDGER = "triggers.jsonl"

Facts = dict[str, Any]


def newest_flow_run(copy: Copy) -> tuple[str, str, float, dict[str, str]]:
    """Return the newest run of the flow: id, state, start, and the state of each task."""
    database = copy.root / ".prefect" / "prefect.db"
    if not database.exists():
        raise Unknown("no Prefect database in .prefect")
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as store:
        newest = "select id, state_type, start_time from flow_run order by created desc limit 1"
        flow_run, state, start = store.execute(newest).fetchone() or ("", "none", None)
        query = "select name, state_type from task_run where flow_run_id = ?"
        tasks = dict(store.execute(query, (flow_run,)).fetchall())
    time_utc = datetime.fromisoformat(start or "1970-01-01").replace(tzinfo=UTC)
    return str(flow_run), str(state), time_utc.timestamp(), tasks


def complete_flow(copy: Copy) -> Iterator[str]:
    """Run the pipeline; Prefect has completed each task, and each run in MLflow carries its id."""
    try:
        repository = copy.need("pipeline-smoke")
    except Failed as reason:
        if newest_flow_run(copy)[1] == "COMPLETED":  # the flow works: the gate refused the model
            raise
        yield str(reason)
        return
    flow_run, state, start, tasks = newest_flow_run(copy)
    for name, task_state in {"the flow": state, **tasks}.items():
        if task_state != "COMPLETED":
            yield f"{name}: {task_state} after make pipeline"
    if not tasks:
        yield "no task is recorded of the flow"
    for run in repository.records["all"]:
        role, tag = run["tags"].get("role"), run["tags"].get("prefect.flow_run_id", "none")
        is_earlier = run["started"] < start  # recorded by an earlier training
        if not is_earlier and role in ROLES and not is_same_id(tag, flow_run):
            yield f"{name_run(run)} ({role}): carries flow run {tag}, {flow_run} is right"
    yield from check_artifacts(repository, flow_run)


def is_same_id(one: object, other: str) -> bool:
    """Return whether two ids are the same, with or without hyphens."""
    return str(one).replace("-", "") == other.replace("-", "")


def check_artifacts(repository: Repository, flow_run: str) -> Iterator[str]:
    """Yield the artifacts of the model that name another run."""
    run = repository.runs[0]
    tags = {"gate.json": {"run_id": run["id"], "prefect.flow_run_id": flow_run}}
    tags["serving/bundle.json"] = {"run_id": run["id"]}
    try:
        for name, ids in tags.items():
            content = json.loads(read_artifact(run, name))
            for key, value in ids.items():
                if not is_same_id(content.get(key), value):
                    yield f"{name_run(run)}: {name} says {key} {content.get(key)}, {value} is right"
        read_artifact(run, f"split/{run['id']}.csv")
    except Unknown as reason:
        yield str(reason)


def raise_in_step(copy: Copy) -> Iterator[str]:
    """Have a random step raise: the flow fails, and nothing is registered or decided."""
    path = copy.unpack_library() / "pipeline" / "steps.py"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    steps = sorted(STEPS & set(re.findall(r"^def (\w+)", text, re.MULTILINE)))
    if not steps:
        raise Unknown(f"{path.name}: none of the steps {', '.join(sorted(STEPS))} is there")
    step = copy.random.choice(steps)
    path.write_text(f"{text}\n\ndef {step}(*_given):\n    raise RuntimeError('planted')\n")
    cause = f"though the step {step} raises"
    if copy.run("make", "pipeline-smoke").returncode == 0:
        yield f"make pipeline: ends with 0, {cause}"
    if (state := newest_flow_run(copy)[1]) != "FAILED":
        yield f"the flow: {state}, {cause}"
    if (copy.root / "mlflow.db").exists():
        models = copy.repository.records["registry"].values()
        if any(model["versions"] for model in models):
            yield f"make pipeline: registers a version, {cause}"
    if (copy.root / LOG).exists():
        yield f"{LOG}: holds a decision, {cause}"


def run_again(copy: Copy) -> Iterator[str]:
    """Run the pipeline twice: the same input makes no second version."""
    before = read_registered_model(copy.need("pipeline-smoke"))["versions"]
    done = copy.run("make", "pipeline-smoke")
    if done.returncode:
        yield f"make pipeline, again: {last_line(done)}"
    elif (now := read_registered_model(copy.repository)["versions"]) != before:
        yield f"make pipeline: {len(before)} versions, and {len(now)} after the same input again"


def find_worker(copy: Copy, group: int) -> int | None:
    """Return the process of a run that has read its rows, in this process group; None if none."""
    if "ingest " not in read_process_log(copy):
        return None
    listed = copy.must("ps", "-Aww", "-o", "pid=,pgid=,args=").splitlines()
    rows = [line.split(maxsplit=2) for line in listed if "spawn_main" in line]
    workers = [int(pid) for pid, its_group, _ in rows if int(its_group) == group]
    return workers[-1] if workers else None


def kill_run(copy: Copy) -> Iterator[str]:
    """Serve the schedule, start a run, and kill its process: that is posted to the webhook."""
    until = time.monotonic() + START_TIMEOUT_S
    with receive_posts() as (address, posts):
        settings = copy.settings(SCHEDULE__WEBHOOK=address, SCHEDULE__POLL_SECONDS="1")
        with run_beside(copy, "make", "schedule", "NOW=yes", **settings) as process:
            while (worker := find_worker(copy, process.pid)) is None:
                if process.poll() is not None or time.monotonic() > until:
                    raise Unknown(
                        f"no run starts that can be killed: {read_process_log(copy)[-800:].strip()}"
                    )
                time.sleep(0.2)
            os.kill(worker, signal.SIGKILL)
            until = time.monotonic() + POST_TIMEOUT_S
            while not posts and time.monotonic() < until:
                time.sleep(0.1)
    if not any(post.get("state") == "Crashed" for post in posts):
        yield f"a run was killed, and nothing is posted of it within {POST_TIMEOUT_S} s"


def read_decisions(copy: Copy) -> list[Facts]:
    """Return the decisions of the ledger of triggers."""
    entries = map(json.loads, copy.text(LEDGER).splitlines())
    return [entry for entry in entries if "decision" in entry]


def change_data(copy: Copy) -> None:
    """Take the last row of the first data file away, and declare the new data."""
    copy.need("pipeline-smoke")
    path = copy.root / ask_project(copy, "rows", "first_file")
    path.write_bytes(path.read_bytes().rstrip(b"\n").rpartition(b"\n")[0] + b"\n")
    copy.must("make", "data", "DECLARE=yes")


def trigger_once(copy: Copy) -> Iterator[str]:
    """Change the data, and trigger twice: there is one run, tagged with its cause in MLflow."""
    change_data(copy)
    settings = copy.settings(TUNING__TRIALS="1")
    done = copy.run("make", "trigger", "CAUSE=data", **settings)
    if done.returncode or not done.stdout.startswith("run: "):
        yield f"make trigger: new data start no run: {last_line(done)}"
        return
    copy.run("make", "trigger", "CAUSE=data", **settings)
    runs = [entry["id"] for entry in read_decisions(copy) if entry["decision"] == "run"]
    if len(runs) != 1:
        yield f"make trigger: {len(runs)} runs for one cause"
    with closing(sqlite3.connect(copy.root / "mlflow.db")) as store:
        tags = store.execute("select value from tags where key = 'trigger.id'")
        tagged = {value for (value,) in tags}
    if tagged != set(runs):
        yield f"MLflow: the runs are tagged with {', '.join(tagged) or 'nothing'}"


def trigger_in_vain(copy: Copy) -> Iterator[str]:
    """Break a data file; then repair it, after a run that began a minute ago: nothing starts."""
    change_data(copy)
    path = copy.root / ask_project(copy, "rows", "first_file")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"broken" + content[len(content) // 2 :])
    copy.run("make", "trigger", "CAUSE=data")
    if [entry["decision"] for entry in read_decisions(copy)] != ["veto"]:
        yield f"make trigger: a file is broken, and it decides {read_decisions(copy)}"
    path.write_bytes(content)
    ask_project(copy, "outcomes", "note_recent_run")
    copy.run("make", "trigger", "CAUSE=data")
    if read_decisions(copy)[-1]["decision"] != "cooldown":
        yield "make trigger: a run began a minute ago, and another one begins"
