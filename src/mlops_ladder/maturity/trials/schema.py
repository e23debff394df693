"""Tried and planted: the contract of the data, and the split."""

import json
from collections.abc import Iterator
from contextlib import closing
from math import ceil
from sqlite3 import connect
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.data import read_artifact, list_columns, read_columns, find_shared_rows
from mlops_ladder.maturity.sandbox import Copy, last
from mlops_ladder.maturity.trials.data import data_path
from mlops_ladder.maturity.trials.project import answer

FEWEST = 100  # rows of which a share of missing values is judged
FEWEST_TO_LEAK = 50  # rows of which the project judges what a column tells
LONG = 420  # seconds for a pipeline that reports nothing and goes on
SPOILED = "data/spoiled of a trial"
WORDS = {
    "lost": "dropped",
    "gap": "emptied in one row",
    "far": "given a value out of range",
    "flood": "emptied beyond what is allowed",
    "stranger": "given an unknown category",
    "twin": "given one id twice",
}

Fault = tuple[str, str, Any]  # what, in which column, with which value


def tellable(name: str, column: dict[str, Any]) -> Iterator[Fault]:
    """The faults of a column that its contract forbids."""
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
    # What is not enforced is an expectation: it is marked and counted.  A class always is.
    if kind in ("number", "integer") and column.get("range") and column.get("enforce"):
        low, high = column["range"]
        yield "far", name, ceil(2 * high - low) + 1
    closed = column.get("enforce") or role == "target"
    if kind in ("category", "text") and column.get("categories") and closed:
        yield "stranger", name, max(column["categories"], key=len) + "z"


def rounds(copy: Copy) -> Iterator[list[Fault]]:
    """Every kind of fault once, in as few trainings as its columns allow: one a column."""
    known = read_columns(copy.repository)
    roles = ("feature", "time", "group", "id", "target")
    found = [
        it
        for role in roles
        for name in list_columns(copy.repository, role)
        for it in tellable(name, known[name])
    ]
    targets = list_columns(copy.repository, "target")
    copy.random.shuffle(found)
    found.sort(key=lambda it: it[1] in targets)
    todo = {what for what, _, _ in found}
    while todo:
        chosen: dict[str, Fault] = {}
        for what in sorted(todo, key=lambda what: sum(it[0] == what for it in found)):
            free = [it for it in found if it[0] == what and it[1] not in chosen]
            if free:
                chosen[free[0][1]] = free[0]
        todo -= {it[0] for it in chosen.values()}
        yield list(chosen.values())


def spoil(copy: Copy, faults: list[Fault]) -> tuple[int, dict[str, Any]]:
    """Write the configured rows with these faults; how many, and where they are read."""
    plan = json.dumps({"seed": copy.random.randrange(10**6), "faults": faults})
    (copy.root / "data").mkdir(exist_ok=True)
    rows = answer(copy, "rows", "spoil", SPOILED, plan)
    if rows is None:
        raise Unknown("problem.py: training reads other rows than [data] path has")
    return rows, data_path(copy, SPOILED)


@fault("data.schema", "rows that break the contract are refused before training, each rule named")
def broken(copy: Copy) -> Iterator[str]:
    """A lost column, a wrong kind, range, flood of nothing, new category, and an id twice."""
    tried = 0
    for faults in rounds(copy):
        tried += 1
        rows, place = spoil(copy, faults)
        done = copy.cli("train", **place)
        if not done.returncode and read_otherwise(copy):
            raise Unknown("problem.py: training does not read [data] path")
        refused = done.returncode and "Traceback" not in done.stderr
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines()]
        for what, name, _ in (it for it in faults if rows >= FEWEST or it[0] != "flood"):
            if not refused or not any(line.startswith(f"{name}: ") for line in lines):
                was = WORDS.get(what, f"given a {what}")
                yield f"contract.toml: {name} was {was}, and training does not refuse it"
        if trained(copy):
            yield f"training: refuses rows that break the contract after training: {last(done)}"
    if not tried:
        raise Unknown("contract.toml: forbids nothing that could be tried")


def trained(copy: Copy) -> bool:
    """Has anything been saved as a model, or recorded as a run?"""
    if (copy.root / "models/model.joblib").exists():
        return True
    if not (copy.root / "mlflow.db").exists():
        return False
    with closing(connect(copy.root / "mlflow.db")) as store:
        tables = store.execute("select count(*) from sqlite_master where name = 'runs'")
        return bool(tables.fetchone()[0] and store.execute("select 1 from runs").fetchone())


def read_otherwise(copy: Copy) -> bool:
    """Does training work where [data] path leads nowhere?"""
    return not copy.cli("train", **data_path(copy, "data/no such file")).returncode


@trial("data.split", "the parts of a pipeline run are disjoint, whole, and in the order of time")
def parts(copy: Copy) -> Iterator[str]:
    """Read the ids that a run has saved, and look up their times in the data."""
    copy.need("rehearse")
    yield from find_shared_rows(copy.repository)
    runs = [run for run in copy.repository.runs if "prefect.flow_run_id" in run["tags"]]
    path = copy.root.parent / "split.csv"
    path.write_text(read_artifact(runs[0], "split/*.csv"), encoding="utf-8")
    found = answer(copy, "rows", "order", str(path))
    if found["astray"]:
        yield f"split: {found['astray']} rows are in the data or in the split, and not in both"
    named = {"train": 0, "validation": 1, "holdout": 2}
    spans = sorted(found["spans"], key=lambda span: named.get(span[0], 3))
    for (earlier, _, end), (later, begin, _) in zip(spans, spans[1:], strict=False):
        if begin < end:
            yield f"split: {later} begins at {begin}, before {earlier} ends at {end}"


@fault("data.split", "a copy of the target among the features is reported before training")
def leaked(copy: Copy) -> Iterator[str]:
    """A column more, in the data and in the contract, that holds the answer."""
    target = list_columns(copy.repository, "target")[0]
    known, name = read_columns(copy.repository)[target], f"leak_{copy.random.randrange(10**6)}"
    with (copy.root / "contract.toml").open("a", encoding="utf-8") as file:
        file.write(f'\n[columns.{name}]\nkind = "{known["kind"]}"\nrole = "feature"\n')
    rows, place = spoil(copy, [("copied", target, name)])
    if rows < FEWEST_TO_LEAK:
        raise Unknown(f"fewer than {FEWEST_TO_LEAK} rows: a copy of the target is not told apart")
    short = {f"{copy.package.name.upper()}_TUNING__TRIALS": "1"}
    done = copy.cli("pipeline", **place | short, timeout=LONG)
    if not done.returncode or f"{name}:" not in done.stdout + done.stderr:
        yield f"{name}: a copy of {target} among the features, and the pipeline does not report it"
    elif trained(copy):
        yield f"{name}: a copy of {target} is reported only after training"
