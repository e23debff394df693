"""Trials and faults of rollouts, and of an experiment."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.sandbox import Copy, last_line
from mlops_ladder.maturity.service import exchange_json, run_service, Service
from mlops_ladder.maturity.serving import read_rollouts
from mlops_ladder.maturity.trials.project import ask_project, read_table

MAX_ROUNDS = 15
KEYS = 120  # at a share of 0.5, each variant gets 40 with a probability of 0.9998
SETTINGS = {
    "ROLLOUT__ENABLED": "true",
    "ROLLOUT__MINUTES": "0",
    "ROLLOUT__SHARES": "[0.5]",
    "ROLLOUT__UNITS": "40",
    "ROLLOUT__LATENCY": "1000",  # a slow machine does not count against the model
    "ROLLOUT__SHIFT": "1e12",  # a single repeated row has no spread
}


@contextmanager
def begun_rollout(copy: Copy) -> Iterator[str]:
    """Begin a rollout beside the champion, once; yield its version, with SETTINGS set."""

    def begin() -> str:
        copy.need("pipeline-smoke")
        ask_project(copy, "gate", "propose_model", "better")
        entries = read_rollouts(copy.repository)
        if [entry["action"] for entry in entries] != ["start"]:
            raise Unknown("no better model can be had from these rows, so none is rolled out")
        return str(entries[0]["version"])

    with copy.with_environment(**copy.settings(**SETTINGS)):
        yield copy.once("begun", begin)


def ask_all_keys(service: Service, row: Any) -> dict[str, tuple[int, str]]:
    """Return the status and the model of one answer to each key."""
    connection, answers = service.connect(), {}
    for number in range(KEYS):
        key = f"client {number}"
        status, reply = exchange_json(connection, "/predict", row, **{"X-Key": key})
        answers[key] = status, reply.get("model_version", "") if isinstance(reply, dict) else ""
    return answers


def step_to_end(copy: Copy, service: Service) -> tuple[list[str], set[int]]:
    """Ask and step until the rollout has ended; return the decisions, and all statuses."""
    statuses: set[int] = set()
    row = service.example()
    for _ in range(MAX_ROUNDS):
        statuses |= {status for status, _ in ask_all_keys(service, row).values()}
        time.sleep(1.5)  # until the log is written
        copy.must("make", "rollout", "STEP=yes")
        actions = [entry["action"] for entry in read_rollouts(copy.repository)]
        if actions[-1] in ("promote", "abort"):
            break
    statuses |= {status for status, _ in ask_all_keys(service, row).values()}
    return actions, statuses


def published_version(copy: Copy) -> str:
    """Return the version that is published for the service."""
    return str(json.loads(copy.text("models/serving/champion.json"))["version"])


def roll_out(copy: Copy) -> Iterator[str]:
    """Ask from many keys, step to the end, and look which model serves."""
    with begun_rollout(copy) as number, run_service(copy) as service:
        actions, statuses = step_to_end(copy, service)
    serves = published_version(copy)
    if actions != ["start", "advance", "promote"] or serves != number:
        yield f"make rollout: {', '.join(actions)}; v{serves} serves, v{number} is right"
    if statuses != {200}:
        yield f"/predict: {sorted(statuses)} during a rollout"


def roll_out_broken_model(copy: Copy) -> Iterator[str]:
    """Damage the candidate's model, ask, and step to the end."""
    with begun_rollout(copy) as number:
        before = published_version(copy)
        for path in copy.root.glob(f"models/serving/{number}/model.*"):
            path.write_bytes(b"no model")
        with run_service(copy) as service:
            actions, statuses = step_to_end(copy, service)
    serves = published_version(copy)
    if actions != ["start", "abort"] or serves != before:
        yield f"make rollout: {', '.join(actions)} of a broken model; v{serves} serves"
    if statuses != {200}:
        yield f"/predict: {sorted(statuses)} beside a broken candidate"


@contextmanager
def begun_experiment(copy: Copy) -> Iterator[None]:
    """Begin an experiment with the version of the rollout."""
    with begun_rollout(copy) as number:
        copy.must("make", "rollout", "ABORT=yes")
        text = read_table()["texts"]["experiment"].format(number=number)
        copy.write("experiments/trial.toml", text)
        copy.must("make", "experiment", "NAME=trial", "START=yes")
        yield


def ask_variants_twice(copy: Copy) -> Iterator[str]:
    """Ask from many keys, from each twice, the second time after a restart."""
    with begun_experiment(copy):
        with run_service(copy) as service:
            first = find_models(service)
        with run_service(copy) as service:
            second = find_models(service)
    if moved := [key for key, name in first.items() if second.get(key) != name]:
        yield f"/predict: {len(moved)} of {KEYS} keys got another model, as {moved[0]}"
    if len(set(first.values())) != 2:
        yield f"/predict: {set(first.values())} answered {KEYS} keys, two models are right"


def find_models(service: Service) -> dict[str, str]:
    """Return the model of each key, once the service knows both variants."""
    row, models = service.example(), {}
    for _ in range(MAX_ROUNDS):
        models = {key: name for key, (_, name) in ask_all_keys(service, row).items()}
        if len(set(models.values())) > 1:
            break
        time.sleep(0.3)
    return models


def decide_early(copy: Copy) -> Iterator[str]:
    """Ask for the outcome, and decide for the candidate, before any request."""
    with begun_experiment(copy):
        before = published_version(copy)
        output = copy.must("make", "experiment", "NAME=trial")
        done = copy.run("make", "experiment", "NAME=trial", "DECIDE=candidate")
    if "No outcome yet" not in output:
        yield "make experiment: tells an outcome before the horizon"
    if done.returncode == 0 or published_version(copy) != before:
        yield f"make experiment: promotes before the horizon: {last_line(done)}"
