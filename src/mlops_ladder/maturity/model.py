"""The model: runs, scores, baseline and search, as MLflow has recorded them."""

import json
import math
from collections.abc import Iterator
from csv import DictReader
from datetime import datetime
from io import StringIO
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.data import list_own_runs, read_artifact
from mlops_ladder.maturity.repository import Repository

TAGS = ("git.commit", "git.dirty", "data.sha256", "env.lock_sha256", "seed")
LOWER_IS_BETTER = ("mae", "rmse")  # the names of the project's metrics

Facts = dict[str, Any]


def name_run(run: Facts) -> str:
    """Return the name of a run for messages."""
    return f"run {run['id'][:8]}"


def find_missing_facts(repository: Repository) -> Iterator[str]:
    """Yield what the newest run lacks: parameters, metrics, tags, signature, example."""
    run, model = repository.runs[0], repository.records["newest"]
    yield from (
        f"{name_run(run)}: has no {kind}" for kind in ("params", "metrics") if not run[kind]
    )
    yield from (f"{name_run(run)}: lacks the tag {tag}" for tag in TAGS if not run["tags"].get(tag))
    if not model.get("inputs") or not model.get("example"):
        yield f"{name_run(run)}: its model has no signature, or no input example"


def list_clean_runs(repository: Repository) -> list[datetime]:
    """Return the times of the runs of a committed tree whose commit git knows."""
    commits = set(repository.git("rev-list", "--all").split())

    def is_clean(run: Facts) -> bool:
        return run["tags"].get("git.dirty") == "false" and run["tags"]["git.commit"] in commits

    return list_own_runs(repository, is_clean)


def compare_scores(repository: Repository) -> Iterator[str]:
    """Yield each score of the newest run that differs from its predictions."""
    run = repository.runs[0]
    metric = run["params"].get("metric", "")
    if not {f"{metric}.low", f"{metric}.high"} <= run["metrics"].keys():
        yield f"{name_run(run)}: {metric or 'its metric'} has no interval"
    rows = list(DictReader(StringIO(read_artifact(run, "predictions.csv"))))
    if not rows:
        yield f"{name_run(run)}: no predictions"
    for name, score in recompute_scores(rows).items():
        logged = run["metrics"].get(name, math.nan)
        if name in run["metrics"] and not math.isclose(score, logged, rel_tol=1e-6, abs_tol=1e-9):
            yield f"{name_run(run)}: {name} is {score:.6g}, logged was {logged:.6g}"


def recompute_scores(rows: list[dict[str, str]]) -> dict[str, float]:
    """Return the accuracy of classes, and the mean absolute and squared errors of numbers."""
    pairs = [(row["truth"], row["prediction"]) for row in rows]
    scores = {"accuracy": sum(truth == answer for truth, answer in pairs) / max(len(pairs), 1)}
    try:
        errors = [float(truth) - float(answer) for truth, answer in pairs]
    except ValueError:
        return scores
    if errors:
        scores["mae"] = sum(map(abs, errors)) / len(errors)
        scores["rmse"] = math.sqrt(sum(error * error for error in errors) / len(errors))
    return scores


def compare_with_baseline(repository: Repository) -> Iterator[str]:
    """Yield a problem if the newest model does not beat the baseline of its run."""
    run = repository.runs[0]
    metric = run["params"].get("metric", "")
    score, base = (run["metrics"].get(name) for name in (metric, f"baseline.{metric}"))
    if score is None or base is None:
        yield f"{name_run(run)}: {metric or 'its metric'} has no baseline beside it"
    elif not (score < base if metric in LOWER_IS_BETTER else score > base):
        yield f"{name_run(run)}: {metric} {score:.4g} does not beat the baseline's {base:.4g}"


def compare_with_best_trial(repository: Repository) -> Iterator[str]:
    """Yield each parameter of the newest tuned model that differs from its best trial."""
    run = next((run for run in repository.runs if "model.parameters" in run["tags"]), None)
    if run is None:
        raise Unknown("no run with a search is recorded here: make pipeline")
    chosen, metric = json.loads(run["tags"]["model.parameters"]), run["params"]["metric"]
    score = f"validation.{metric}"
    tags = {"role": "trial", "prefect.flow_run_id": run["tags"].get("prefect.flow_run_id")}
    trials = [
        trial
        for trial in reversed(repository.records["all"])  # the first of equal trials is the best
        if tags.items() <= trial["tags"].items() and score in trial["metrics"]
    ]
    if not trials:
        raise Unknown(f"{name_run(run)}: its trials are not recorded here")
    choose = min if metric in LOWER_IS_BETTER else max
    best = choose(trials, key=lambda trial: float(trial["metrics"][score]))
    for key, right in best["params"].items():
        name = key.removeprefix("model.")
        if not is_same_value(right, chosen.get(name)):
            yield f"{name_run(run)}: {name} is {chosen.get(name)}, that of the best trial {right}"


def is_same_value(text: str | None, value: object) -> bool:
    """Return whether a parameter that MLflow holds as text is this value."""
    try:
        return math.isclose(float(str(text)), float(str(value)))
    except ValueError:
        return text == str(value)
