"""Tried and planted: runs, scores, baseline, search, repetition, features."""

import json
import math
from collections.abc import Iterator

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.model import (
    compare_scores,
    compare_with_best_trial,
    compare_with_baseline,
    find_missing_facts,
    name_run,
)
from mlops_ladder.maturity.repository import Repository
from mlops_ladder.maturity.sandbox import Copy, Failed, last
from mlops_ladder.maturity.trials.project import answer, scores

MANY = 500  # rows of which the answers are compared
UNSEEDED = """

seeded_model = build_model


def build_model(contract, settings):
    model = seeded_model(contract, settings)
    names = [it for it in model.get_params() if it.rsplit("__")[-1] in ("random_state", "seed")]
    return model.set_params(**dict.fromkeys(names))
"""
CHANCE = """

ordered_data = read_data


def read_data(settings):
    import random

    from .contract import read_contract

    frame = ordered_data(settings)
    target, place = read_contract().target, frame.columns.get_loc(read_contract().target)
    some = [it for it in range(len(frame)) if random.SystemRandom().random() < 0.3]
    mixed = random.SystemRandom().sample(some, len(some))
    frame.iloc[some, place] = frame[target].iloc[mixed].to_numpy()
    return frame
"""


@trial("tracking.runs", "a training is recorded whole, and its model loads by URI and scores")
def recorded(copy: Copy) -> Iterator[str]:
    """Train, and read the run; the tree was not changed, and the run says so."""
    try:
        found = copy.need("train")
    except Failed as reason:
        yield str(reason)
        return
    yield from find_missing_facts(found)
    run = found.runs[0]
    if run["tags"].get("git.dirty") != "false":
        said = run["tags"].get("git.dirty")
        yield f"{name_run(run)}: says git.dirty={said} of a tree that is committed"
    for model in run["models"][-1:]:
        yield from scores(copy, f"models:/{model}")


@fault("tracking.runs", "a run of a changed tree says so, also one by `mlflow run`")
def changed(copy: Copy) -> Iterator[str]:
    """Change a file, and train as an MLflow Project."""
    with (copy.root / "config.toml").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    path = f"{copy.root}/.venv/bin:{copy.environment['PATH']}"
    more = {"PATH": path, "MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"}
    command = (str(copy.root / ".venv/bin/mlflow"), "run", ".", "--env-manager", "local")
    done = copy.run(*command, **more)
    if done.returncode:
        yield f"mlflow run .: {last(done)}"
        return
    run = copy.repository.runs[0]
    if run["tags"].get("git.dirty") != "true":
        yield f"{name_run(run)}: says git.dirty={run['tags'].get('git.dirty')} of a changed tree"


@trial("model.eval", "the scores, computed again from the stored predictions, are those logged")
def recomputed(copy: Copy) -> Iterator[str]:
    """Train, and compute them."""
    yield from compare_scores(copy.need("train"))


@fault("model.eval", "a model of shuffled answers scores no better than chance")
def shuffled(copy: Copy) -> Iterator[str]:
    """Twice, where need be: by chance alone one interval in forty lies above the baseline."""
    for _ in range(2):
        found = answer(copy, "trained", "shuffled", str(copy.random.randrange(2**32)))
        if None in (found["low"], found["high"], found["baseline"]):
            raise Unknown(f"{found['metric']}: is not defined on these rows, or has no interval")
        above = found["baseline"] - found["high"], found["low"] - found["baseline"]
        if not above[0 if found["lower"] else 1] > 0:
            return
    yield (
        f"{found['metric']} of a model of shuffled answers is {found['value']:.4g}"
        f" ({found['low']:.4g} to {found['high']:.4g}), the baseline's {found['baseline']:.4g}:"
        " it is scored on rows that it has seen, or knows the answer otherwise"
    )


@trial(
    "model.baseline", "model and baseline are recorded of the same data, and the model is better"
)
def beaten(copy: Copy) -> Iterator[str]:
    """Train, and compare the two runs."""
    found = copy.need("train")
    yield from compare_with_baseline(found)
    run, roles = found.runs[0], found.records["all"]
    base = next((it for it in roles if it["tags"].get("role") == "baseline"), None)
    if base is None:
        yield "no run of a baseline is recorded beside the model's"
    elif base["tags"].get("data.sha256") != run["tags"].get("data.sha256"):
        yield f"{name_run(base)}, the baseline: is of other data than {name_run(run)}"
    elif (name := run["params"].get("metric", "")) not in base["metrics"]:
        yield f"{name_run(base)}, the baseline: has no {name}"


@trial("feature.shared", "what is served answers rows of the data as the registered model does")
def same(copy: Copy) -> Iterator[str]:
    """Ask both the same rows, those of the service as JSON."""
    copy.need("rehearse")
    found = answer(copy, "served", "parity", str(copy.random.randrange(2**32)), str(MANY))
    for batch, served, row in found["first"]:
        yield (
            f"{found['mismatches']} of {found['rows']} rows are answered otherwise when served:"
            f" {served}, by the registered model {batch}:"
            f" {json.dumps(row, ensure_ascii=False)[:200]}"
        )


@fault("feature.shared", "another unit of one input, when served, fails the project's comparison")
def other_unit(copy: Copy) -> Iterator[str]:
    """Change inputs one by one between the service and its model, until the export says so."""
    found = answer(copy, "served", "units", str(copy.random.randrange(2**32)))
    if "unknown" in found:
        raise Unknown(f"no exported model to plant it in: {found['unknown']}")
    if "missed" in found:
        yield f"export.py: compares, and misses another unit of {', '.join(found['missed'][:5])}"


@trial("model.repro", "two trainings and the champion agree")
def repeats(copy: Copy) -> Iterator[str]:
    """Have the pipeline's model trained twice more."""
    copy.need("rehearse")
    done = copy.run("make", "repro")
    if done.returncode:
        yield f"make repro: {done.stderr.strip() or last(done)}"


@fault("model.repro", "a seed that is removed is reported")
def unseeded(copy: Copy) -> Iterator[str]:
    """Take every seed from the model."""
    if not answer(copy, "trained", "seeds"):
        raise Unknown("the model has no parameter that is a seed")
    yield from unreported(copy, UNSEEDED, "the model has no seed")


@fault("model.repro", "chance in the data is reported")
def random_rows(copy: Copy) -> Iterator[str]:
    """Have each reading of the data mix up other answers."""
    yield from unreported(copy, CHANCE, "each training learns from other answers")


def unreported(copy: Copy, code: str, what: str) -> Iterator[str]:
    """Add code to problem.py, and see whether `make repro` says so."""
    with (copy.package / "problem.py").open("a", encoding="utf-8") as file:
        file.write(code)
    if copy.run("make", "repro").returncode == 0:
        yield f"make repro: ends with 0, though {what}"


@trial("model.tune", "the model has the parameters that were best on the validation rows")
def searched(copy: Copy) -> Iterator[str]:
    """Compare it with the trials, and score the best of them again on the validation rows."""
    found = copy.need("rehearse")
    yield from compare_with_best_trial(found)
    yield from scored(copy, found)


def scored(copy: Copy, found: Repository) -> Iterator[str]:
    """Is the score of the search that of the validation rows?"""
    run = found.runs[0]
    search = next((it for it in found.records["all"] if it["tags"].get("role") == "tuning"), None)
    name = f"validation.{run['params']['metric']}"
    if search is None or name not in search["metrics"]:
        raise Unknown("the search is not recorded here")
    params, said = run["tags"]["model.parameters"], search["metrics"][name]
    once_more = answer(copy, "trained", "validated", params)
    if not math.isclose(said, once_more["validation"], rel_tol=1e-4, abs_tol=1e-6):
        held = math.isclose(said, once_more["holdout"], rel_tol=1e-4, abs_tol=1e-6)
        whose = "; that is the score of the rows held out" if held else ""
        right = f"{once_more['validation']:.4g}{whose}"
        yield f"{name_run(search)}: {name} is {said:.4g}, computed again {right}"
