"""Trials and faults of the contract of the data, and of the split."""

import json
from collections.abc import Iterator
from contextlib import closing
from math import ceil
from sqlite3 import connect
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.data import find_shared_rows, list_columns, read_artifact, read_columns
from mlops_ladder.maturity.sandbox import Copy, last_line
from mlops_ladder.maturity.trials.project import ask_project

MIN_ROWS_FOR_SHARE = 100  # with fewer, the share of missing values is not checked
MIN_ROWS_FOR_LEAK = 50  # with fewer, the project does not look for leakage
PIPELINE_TIMEOUT_S = 420  # of a pipeline that finds no fault and runs to its end
SPOILED = "data/spoiled of a trial"
DESCRIPTIONS = {
    "lost": "dropped",
    "gap": "emptied in one row",
    "far": "given a value out of range",
    "flood": "emptied beyond what is allowed",
    "stranger": "given an unknown category",
    "twin": "given one id twice",
}
PARTS = ("train", "validation", "holdout")

Fault = tuple[str, str, Any]  # kind, column, value


def list_forbidden(name: str, column: dict[str, Any]) -> Iterator[Fault]:
    """Yield the faults of a column that its contract forbids."""
    kind, role = column.get("kind"), column.get("role")
    if role == "id":
        yield "twin", name, None
        return
    if role in ("feature", "time"):
        yield "lost", name, None
        if not column.get("nullable"):
            yield "gap", name, None
        elif column.get("missing", 1) < 1:
            yield "flood", name, (1 + column["missing"]) / 2
    if kind in ("number", "integer", "boolean", "time"):
        yield f"word for a {'number' if kind == 'integer' else kind}", name, "nonsense"
    # A rule that is not enforced is only counted.  The classes of a target are always enforced.
    if kind in ("number", "integer") and column.get("range") and column.get("enforce"):
        low, high = column["range"]
        yield "far", name, ceil(2 * high - low) + 1
    is_closed = column.get("enforce") or role == "target"
    if kind in ("category", "text") and column.get("categories") and is_closed:
        yield "stranger", name, max(column["categories"], key=len) + "z"


def plan_rounds(copy: Copy) -> Iterator[list[Fault]]:
    """Yield every kind of fault once, in as few trainings as possible: one fault a column."""
    columns, targets = read_columns(copy.repository), list_columns(copy.repository, "target")
    names = list_columns(copy.repository, "feature", "time", "group", "id", "target")
    faults = [fault for name in names for fault in list_forbidden(name, columns[name])]
    copy.random.shuffle(faults)
    faults.sort(key=lambda fault: fault[1] in targets)
    todo = {kind for kind, _, _ in faults}
    while todo:
        chosen: dict[str, Fault] = {}
        for kind in sorted(todo, key=lambda kind: sum(fault[0] == kind for fault in faults)):
            free = [fault for fault in faults if fault[0] == kind and fault[1] not in chosen]
            if free:
                chosen[free[0][1]] = free[0]
        todo -= {fault[0] for fault in chosen.values()}
        yield list(chosen.values())


def write_spoiled(copy: Copy, faults: list[Fault]) -> tuple[int, dict[str, str]]:
    """Write the configured rows with these faults; return their number and where they are read."""
    plan = json.dumps({"seed": copy.random.randrange(10**6), "faults": faults})
    (copy.root / "data").mkdir(exist_ok=True)
    rows = ask_project(copy, "rows", "write_spoiled_rows", SPOILED, plan)
    if rows is None:
        raise Unknown("problem.py: training reads other rows than [data] path has")
    return rows, copy.settings(DATA__PATH=SPOILED)


def break_every_rule(copy: Copy) -> Iterator[str]:
    """Break every rule of the contract: training refuses each by the name of its column."""
    rounds = list(plan_rounds(copy))
    for faults in rounds:
        rows, place = write_spoiled(copy, faults)
        done = copy.run("ladder", "train", **place)
        if not done.returncode and trains_without_data(copy):
            raise Unknown("problem.py: training does not read [data] path")
        is_refused = done.returncode and "Traceback" not in done.stderr
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
        for kind, name, _ in faults:
            if kind == "flood" and rows < MIN_ROWS_FOR_SHARE:
                continue
            if not is_refused or not any(line.startswith(f"{name}: ") for line in lines):
                state = DESCRIPTIONS.get(kind, f"given a {kind}")
                yield f"contract.toml: {name} was {state}, and training does not refuse it"
        if has_trained(copy):
            yield f"training: refuses broken rows only after training: {last_line(done)}"
    if not rounds:
        raise Unknown("contract.toml: forbids nothing that could be tried")


def has_trained(copy: Copy) -> bool:
    """Return whether a model was saved, or a run was recorded."""
    if (copy.root / "models/model.joblib").exists():
        return True
    if not (copy.root / "mlflow.db").exists():
        return False
    with closing(connect(copy.root / "mlflow.db")) as store:
        tables = store.execute("select count(*) from sqlite_master where name = 'runs'")
        return bool(tables.fetchone()[0] and store.execute("select 1 from runs").fetchone())


def trains_without_data(copy: Copy) -> bool:
    """Return whether training works without a file at [data] path."""
    return not copy.run("ladder", "train", **copy.settings(DATA__PATH="no such file")).returncode


def check_order_of_split(copy: Copy) -> Iterator[str]:
    """Read the ids that a pipeline run has saved, and look up their times in the data."""
    copy.need("pipeline-smoke")
    yield from find_shared_rows(copy.repository)
    runs = [run for run in copy.repository.runs if "prefect.flow_run_id" in run["tags"]]
    path = copy.root.parent / "split.csv"
    path.write_text(read_artifact(runs[0], "split/*.csv"), encoding="utf-8")
    order = ask_project(copy, "rows", "describe_split", str(path))
    if order["astray"]:
        yield f"split: {order['astray']} rows are in the data or in the split, and not in both"
    places = {name: place for place, name in enumerate(PARTS)}
    spans = sorted(order["spans"], key=lambda span: places.get(span[0], len(PARTS)))
    for (earlier, _, end), (later, begin, _) in zip(spans, spans[1:], strict=False):
        if begin < end:
            yield f"split: {later} begins at {begin}, before {earlier} ends at {end}"


def add_copy_of_target(copy: Copy) -> Iterator[str]:
    """Add a column with the answer: the pipeline reports it before training."""
    target = list_columns(copy.repository, "target")[0]
    kind = read_columns(copy.repository)[target]["kind"]
    name = f"leak_{copy.random.randrange(10**6)}"
    copy.append("contract.toml", f'\n[columns.{name}]\nkind = "{kind}"\nrole = "feature"\n')
    rows, place = write_spoiled(copy, [("copied", target, name)])
    if rows < MIN_ROWS_FOR_LEAK:
        raise Unknown(f"fewer than {MIN_ROWS_FOR_LEAK} rows: too few to find a copy of the target")
    environment = place | copy.settings(TUNING__TRIALS="1")
    done = copy.run("ladder", "pipeline", **environment, timeout=PIPELINE_TIMEOUT_S)
    if not done.returncode or f"{name}:" not in done.stdout + done.stderr:
        yield f"{name}: a copy of {target} among the features, and the pipeline does not report it"
    elif has_trained(copy):
        yield f"{name}: a copy of {target} is reported only after training"
