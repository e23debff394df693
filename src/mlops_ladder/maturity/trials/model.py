"""Trials and faults of the model: runs, scores, baseline, search, repetition, features."""

import json
import math
from collections.abc import Iterator

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.data import list_columns
from mlops_ladder.maturity.model import find_missing_facts, name_run
from mlops_ladder.maturity.sandbox import Copy, Failed, last_line
from mlops_ladder.maturity.trials.project import ask_project

MAX_ROWS = 500  # whose answers are compared
FEATURES_TIMEOUT_S = 900  # five models learn for each feature


def load_and_score(copy: Copy, uri: str) -> Iterator[str]:
    """Load a model with MLflow: it answers each row of its input example."""
    try:
        counts = ask_project(copy, "training", "load_model", uri)
    except Unknown as reason:
        yield f"{uri}: does not load and score: {reason}"
        return
    if not counts["rows"] or counts["rows"] != counts["answers"]:
        yield f"{uri}: gives {counts['answers']} answers to {counts['rows']} rows of its example"


def record_training(copy: Copy) -> Iterator[str]:
    """Train: the run is complete and says that the tree is unchanged, and its model loads."""
    try:
        repository = copy.need("train")
    except Failed as reason:
        yield str(reason)
        return
    yield from find_missing_facts(repository)
    yield from check_dirty(copy, "false")
    for model in repository.runs[0]["models"][-1:]:
        yield from load_and_score(copy, f"models:/{model}")


def check_dirty(copy: Copy, right: str) -> Iterator[str]:
    """Yield a problem if the newest run has another tag git.dirty."""
    run = copy.repository.runs[0]
    if (dirty := run["tags"].get("git.dirty")) != right:
        yield f"{name_run(run)}: says git.dirty={dirty}, {right} is right"


def train_changed_tree(copy: Copy) -> Iterator[str]:
    """Change a file, and train as an MLflow Project: the run says so."""
    copy.append("config.toml", "# changed\n")
    path = f"{copy.root}/.venv/bin:{copy.environment['PATH']}"
    environment = {"PATH": path, "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    done = copy.run("mlflow", "run", ".", "--env-manager", "local", **environment)
    if done.returncode:
        yield f"mlflow run .: {last_line(done)}"
    else:
        yield from check_dirty(copy, "true")


def shuffle_answers(copy: Copy) -> Iterator[str]:
    """Train on shuffled answers; twice if need be: by chance one interval in forty lies above."""
    for _ in range(2):
        seed = str(copy.random.randrange(2**32))
        scores = ask_project(copy, "training", "score_shuffled_answers", seed)
        if None in (scores["low"], scores["high"], scores["baseline"]):
            raise Unknown(f"{scores['metric']}: is not defined on these rows, or has no interval")
        above = scores["baseline"] - scores["high"], scores["low"] - scores["baseline"]
        if not above[0 if scores["lower"] else 1] > 0:
            return
    yield (
        f"{scores['metric']} of a model of shuffled answers is {scores['value']:.4g}"
        f" ({scores['low']:.4g} to {scores['high']:.4g}), the baseline's {scores['baseline']:.4g}:"
        " it is scored on rows that it has seen, or knows the answer otherwise"
    )


def compare_with_baseline(copy: Copy) -> Iterator[str]:
    """Compare the runs of model and baseline: both are of the same data."""
    run, runs = copy.repository.runs[0], copy.repository.records["all"]
    base = next((other for other in runs if other["tags"].get("role") == "baseline"), None)
    if base is None:
        yield "no run of a baseline is recorded beside the model's"
    elif base["tags"].get("data.sha256") != run["tags"].get("data.sha256"):
        yield f"{name_run(base)}, the baseline: is of other data than {name_run(run)}"
    elif (name := run["params"].get("metric", "")) not in base["metrics"]:
        yield f"{name_run(base)}, the baseline: has no {name}"


def compare_served_answers(copy: Copy) -> Iterator[str]:
    """Send the same rows to the registered model and, as JSON, to the served one."""
    copy.need("pipeline-smoke")
    seed = str(copy.random.randrange(2**32))
    report = ask_project(copy, "served", "compare_answers", seed, str(MAX_ROWS))
    for batch, served, row in report["first"]:
        yield (
            f"{report['mismatches']} of {report['rows']} rows are answered otherwise when served:"
            f" {served}, by the registered model {batch}:"
            f" {json.dumps(row, ensure_ascii=False)[:200]}"
        )


def change_unit_of_input(copy: Copy) -> Iterator[str]:
    """Change inputs one by one between the service and its model, until the export reports it."""
    answer = ask_project(copy, "served", "change_units", str(copy.random.randrange(2**32)))
    if "unknown" in answer:
        raise Unknown(f"no exported model to plant it in: {answer['unknown']}")
    if "missed" in answer:
        yield f"export.py: compares, and misses another unit of {', '.join(answer['missed'][:5])}"


def need_seeds(copy: Copy) -> None:
    """Raise Unknown if the model has no seeds."""
    if not ask_project(copy, "training", "list_seeds"):
        raise Unknown("the model has no parameter that is a seed")


def score_best_trial(copy: Copy) -> Iterator[str]:
    """Score the best trial of the search again: its score is that of the validation rows."""
    run, runs = copy.repository.runs[0], copy.repository.records["all"]
    search = next((other for other in runs if other["tags"].get("role") == "tuning"), None)
    name = f"validation.{run['params']['metric']}"
    if search is None or name not in search["metrics"]:
        raise Unknown("the search is not recorded here")
    logged = search["metrics"][name]
    scores = ask_project(copy, "training", "score_parameters", run["tags"]["model.parameters"])
    if not math.isclose(logged, scores["validation"], rel_tol=1e-4, abs_tol=1e-6):
        is_holdout = math.isclose(logged, scores["holdout"], rel_tol=1e-4, abs_tol=1e-6)
        reason = "; that is the score of the hold-out" if is_holdout else ""
        right = f"{scores['validation']:.4g}{reason}"
        yield f"{name_run(search)}: {name} is {logged:.4g}, computed again {right}"


def review_features(copy: Copy) -> Iterator[str]:
    """Review the features of the champion: the report names each input."""
    copy.need("pipeline-smoke")
    done = copy.run("make", "features", timeout=FEATURES_TIMEOUT_S)
    pages = list(copy.root.glob("reports/features/v*.md"))
    if done.returncode or not pages:
        yield f"make features: {last_line(done)}"
        return
    text = pages[0].read_text(encoding="utf-8")
    inputs = list_columns(copy.repository, "feature", "time")
    lacking = [name for name in inputs if f"| {name.replace('|', '&#124;')} | " not in text]
    if lacking:
        yield f"{pages[0].name}: says nothing of {', '.join(lacking[:3])}"
