"""The model: runs, scores, baseline, search, repetition, features."""

import json
import math
from collections.abc import Iterator
from csv import DictReader
from datetime import datetime
from io import StringIO
from typing import Any

from mlops_ladder.maturity import record, sign, Unknown, use
from mlops_ladder.maturity.code import without_library
from mlops_ladder.maturity.data import artifact, own_runs
from mlops_ladder.maturity.repository import Repository

TAGS = ("git.commit", "git.dirty", "data.sha256", "env.lock_sha256", "seed")
LOWER = ("mae", "rmse")  # as the project names them: the lower the better

Facts = dict[str, Any]


def newest(repository: Repository) -> Facts:
    """The newest finished run of a model."""
    return repository.runs[0]


def short(run: Facts) -> str:
    """A run as findings name it."""
    return f"run {run['id'][:8]}"


@sign("tracking.runs", "training is recorded by MLflow, and can be run as an MLflow Project")
def recorded(repository: Repository) -> Iterator[str]:
    """Something that is not a test imports a tracker; MLproject has entry points."""
    yield from without_library(repository, "tracking.runs")
    project = repository.parsed("MLproject") if "MLproject" in repository.files else None
    if repository.ours and not (isinstance(project, dict) and project.get("entry_points")):
        yield "MLproject: has no entry points"


@record(
    "tracking.runs",
    "the newest run has parameters, metrics, five tags and a model that says its inputs",
)
def complete(repository: Repository) -> Iterator[str]:
    """Look at what MLflow holds of the newest run."""
    run = newest(repository)
    for kind in ("params", "metrics"):
        if not run[kind]:
            yield f"{short(run)}: has no {kind}"
    for tag in TAGS:
        if not run["tags"].get(tag):
            yield f"{short(run)}: lacks the tag {tag}"
    known = repository.records["newest"]
    if not known.get("inputs") or not known.get("example"):
        yield f"{short(run)}: its model has no signature, or no input example"


@use("tracking.runs")
def tracked(repository: Repository) -> list[datetime]:
    """Runs of a committed tree whose commit git knows."""
    known = set(repository.git("rev-list", "--all").split())
    clean = {"git.dirty": "false"}
    return own_runs(
        repository,
        lambda run: clean.items() <= run["tags"].items() and run["tags"]["git.commit"] in known,
    )


@record(
    "model.eval",
    "the scores of the newest run, computed again from its predictions, are those logged",
)
def again(repository: Repository) -> Iterator[str]:
    """Recompute what needs only truth and prediction, and look for intervals."""
    run = newest(repository)
    metric = run["params"].get("metric", "")
    if not {f"{metric}.low", f"{metric}.high"} <= run["metrics"].keys():
        yield f"{short(run)}: {metric or 'its metric'} has no interval"
    rows = list(DictReader(StringIO(artifact(run, "predictions.csv"))))
    if not rows:
        yield f"{short(run)}: no predictions"
    for name, found in recomputed(rows).items():
        logged = run["metrics"].get(name, math.nan)
        if name in run["metrics"] and not math.isclose(found, logged, rel_tol=1e-6, abs_tol=1e-9):
            yield f"{short(run)}: {name} is {found:.6g}, logged was {logged:.6g}"


def recomputed(rows: list[dict[str, str]]) -> dict[str, float]:
    """Accuracy of classes, or the mean absolute and squared errors of numbers."""
    pairs = [(row["truth"], row["prediction"]) for row in rows]
    try:
        errors = [float(truth) - float(said) for truth, said in pairs]
    except ValueError:
        errors = []
    found = {"accuracy": sum(truth == said for truth, said in pairs) / max(len(pairs), 1)}
    if errors:
        squares = sum(it * it for it in errors) / len(errors)
        found["mae"] = sum(map(abs, errors)) / len(errors)
        found["rmse"] = math.sqrt(squares)
    return found


@use("model.eval")
def evaluated(repository: Repository) -> list[datetime]:
    """Runs whose metric has an interval."""
    return own_runs(repository, lambda run: f"{run['params'].get('metric')}.low" in run["metrics"])


@record("model.baseline", "the newest model beats its baseline")
def better(repository: Repository) -> Iterator[str]:
    """Compare the metric that decides with the baseline's, of the same run."""
    run = newest(repository)
    metric = run["params"].get("metric", "")
    found, base = (run["metrics"].get(name) for name in (metric, f"baseline.{metric}"))
    if found is None or base is None:
        yield f"{short(run)}: {metric or 'its metric'} stands beside no baseline"
    elif not (found < base if metric in LOWER else found > base):
        yield f"{short(run)}: {metric} {found:.4g} does not beat the baseline's {base:.4g}"


@use("model.baseline")
def compared(repository: Repository) -> list[datetime]:
    """Runs that hold the baseline's score."""
    return own_runs(
        repository, lambda run: f"baseline.{run['params'].get('metric')}" in run["metrics"]
    )


@sign("model.tune", "a search is written down: what may vary, and how often")
def space(repository: Repository) -> Iterator[str]:
    """Something imports a library of searches."""
    yield from without_library(repository, "model.tune")


@record("model.tune", "the newest model of the pipeline has the parameters of its best trial")
def best(repository: Repository) -> Iterator[str]:
    """Compare the run with its nested trials, which are scored on validation rows."""
    run = next((it for it in repository.runs if "model.parameters" in it["tags"]), None)
    if run is None:
        raise Unknown("no run with a search is recorded here: make pipeline")
    known, metric = json.loads(run["tags"]["model.parameters"]), run["params"]["metric"]
    wanted = {"role": "trial", "prefect.flow_run_id": run["tags"].get("prefect.flow_run_id")}
    scored = [
        it
        for it in reversed(repository.records["all"])  # of equal trials the first one is the best
        if wanted.items() <= it["tags"].items() and f"validation.{metric}" in it["metrics"]
    ]
    if not scored:
        raise Unknown(f"{short(run)}: its trials are not recorded here")
    sign_of = -1 if metric in LOWER else 1
    top = max(scored, key=lambda it: sign_of * float(it["metrics"][f"validation.{metric}"]))
    for key, right in top["params"].items():
        name = key.removeprefix("model.")
        if not alike(right, known.get(name)):
            yield f"{short(run)}: {name} is {known.get(name)}, that of the best trial {right}"


def alike(said: str | None, value: object) -> bool:
    """Is a parameter that MLflow holds as text this value?"""
    try:
        return math.isclose(float(str(said)), float(str(value)))
    except ValueError:
        return said == str(value)


@use("model.tune")
def searched(repository: Repository) -> list[datetime]:
    """Runs with parameters of a search."""
    return own_runs(repository, lambda run: "model.parameters" in run["tags"])
