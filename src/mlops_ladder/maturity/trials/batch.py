"""Trials and faults of predictions for a file."""

import json
from collections.abc import Iterator
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.data import list_columns, read_columns
from mlops_ladder.maturity.sandbox import Copy, last_line
from mlops_ladder.maturity.trials.project import ask_project, read_rows

MAX_ROWS = 200
ROWS = "rows.sample"
OUT = "predictions.csv"


def need_model(copy: Copy) -> None:
    """Make the model with which `make predict` predicts: from level 2 on the champion."""
    copy.need("pipeline-smoke" if "pipeline-smoke" in copy.original.targets else "train")


def write_sample(copy: Copy, *faults: tuple[str, str, Any]) -> int:
    """Write some rows of the user's data, with these faults, to ROWS; return how many."""
    plan = {"seed": copy.random.randrange(2**32), "faults": faults, "most": MAX_ROWS}
    rows = ask_project(copy, "rows", "write_spoiled_rows", ROWS, json.dumps(plan))
    if rows is None:
        raise Unknown("problem.py: training reads other rows than [data] path has")
    return int(rows)


def predict_file(copy: Copy) -> Iterator[str]:
    """Predict for some rows: each has a prediction, all by one version of the model."""
    need_model(copy)
    count = write_sample(copy)
    done = copy.run("make", "predict", f"DATA={ROWS}", f"OUT={OUT}")
    if done.returncode or not (copy.root / OUT).exists():
        yield f"make predict: {last_line(done)}"
        return
    rows = read_rows(copy, OUT)
    if len(rows) != count:
        yield f"make predict: {len(rows)} predictions for {count} rows"
    for name in ("prediction", "model_version"):
        if lacking := sum(not row.get(name) for row in rows):
            yield f"make predict: {lacking} of {len(rows)} predictions have no {name}"
    if len({row.get("model_version") for row in rows}) > 1:
        yield "make predict: its predictions name more than one model"


def predict_wrong_rows(copy: Copy) -> Iterator[str]:
    """Drop a random column, then write a word for a number: both are refused by name."""
    need_model(copy)
    inputs = list_columns(copy.original, "feature", "time")
    kinds = read_columns(copy.original)
    typed = [name for name in inputs if kinds[name].get("kind") not in ("category", "text")]
    typed = [name for name in typed if kinds[name].get("nullable")] or typed  # else it is missing
    for state, names, fault in (("missing", inputs, "lost"), ("wrong", typed, "word")):
        if not names:
            continue
        name = copy.random.choice(names)
        write_sample(copy, (fault, name, "nothing of the kind"))
        done = copy.run("ladder", "predict", "--data", ROWS, "--out", OUT)
        if done.returncode == 0:
            yield f"make predict: predicts with {name} {state}"
        elif name not in done.stdout + done.stderr:
            yield f"make predict: refuses {name} {state}, and does not name it: {last_line(done)}"
