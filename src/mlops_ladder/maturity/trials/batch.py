"""Tried and planted: predictions for a file."""

import csv
import json
from collections.abc import Iterator
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.data import read_columns
from mlops_ladder.maturity.sandbox import Copy, last
from mlops_ladder.maturity.trials.project import answer

MOST = 200  # rows
ROWS = "rows.sample"
OUT = "predictions.csv"

Facts = dict[str, Any]


def ready(copy: Copy) -> None:
    """Have the model here that `make predict` answers with: from level 2 on the champion."""
    copy.need("rehearse" if "rehearse" in copy.original.targets else "train")


def inputs(copy: Copy) -> dict[str, Facts]:
    """The columns that the model sees."""
    known = read_columns(copy.original)
    return {name: it for name, it in known.items() if it.get("role") in ("feature", "time")}


def sampled(copy: Copy, *faults: tuple[str, str, Any]) -> int:
    """How many rows of the user's data stand in ROWS now, with these faults."""
    plan = {"seed": copy.random.randrange(2**32), "faults": faults, "most": MOST}
    rows = answer(copy, "rows", "spoil", ROWS, json.dumps(plan))
    if rows is None:
        raise Unknown("problem.py: training reads other rows than [data] path has")
    return int(rows)


@trial("serving.batch", "a file in, a file out: each row predicted, with the version of the model")
def batch(copy: Copy) -> Iterator[str]:
    """Predict for some rows, and read what is written."""
    ready(copy)
    asked_for = sampled(copy)
    done = copy.run("make", "predict", f"DATA={ROWS}", f"OUT={OUT}")
    if done.returncode or not (copy.root / OUT).exists():
        yield f"make predict: {last(done)}"
        return
    with (copy.root / OUT).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) != asked_for:
        yield f"make predict: {len(rows)} predictions for {asked_for} rows"
    for name in ("prediction", "model_version"):
        if lacking := sum(not row.get(name) for row in rows):
            yield f"make predict: {lacking} of {len(rows)} predictions have no {name}"
    if len({row.get("model_version") for row in rows}) > 1:
        yield "make predict: its predictions name more than one model"


@fault("serving.batch", "a wrong type, and a missing column, are refused by name")
def refused(copy: Copy) -> Iterator[str]:
    """Plant each in some rows, in a column taken at random."""
    ready(copy)
    known = inputs(copy)
    typed = [name for name, it in known.items() if it.get("kind") not in ("category", "text")]
    typed = [name for name in typed if known[name].get("nullable")] or typed  # else it is missing
    for kind, names, what in (("missing", [*known], "lost"), ("wrong", typed, "word")):
        if not names:
            continue
        name = copy.random.choice(names)
        sampled(copy, (what, name, "nothing of the kind"))
        done = copy.cli("predict", "--data", ROWS, "--out", OUT)
        if done.returncode == 0:
            yield f"make predict: predicts with {name} {kind}"
        elif name not in done.stdout + done.stderr:
            yield f"make predict: refuses {name} {kind}, and does not name it: {last(done)}"
