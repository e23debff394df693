"""Tried and planted: a rollout that ends well, one that does not, and an experiment."""

import json
import time
from collections.abc import Iterator
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.sandbox import Copy, last
from mlops_ladder.maturity.service import asked, Service, serving
from mlops_ladder.maturity.serving import read_rollouts
from mlops_ladder.maturity.trials.project import answer

TRIES = 15
KEYS = 120  # at a half, each arm has 40 of them with a probability of 0.9998
WANTED = {
    "ENABLED": "true",
    "MINUTES": "0",
    "SHARES": "[0.5]",
    "UNITS": "40",
    "LATENCY": "1000",  # a busy machine is no bad model
    "SHIFT": "1e12",  # one row, asked again and again, has no spread
}
RECORD = """hypothesis = "It is tried"
owner = "maturity"
candidate = "{number}"
metric = "failures"
better = "lower"
smallest_effect = 0.01
horizon = 5000
"""


def begun(copy: Copy) -> str:
    """The version of which a rollout goes on beside the champion of `make rehearse`."""

    def make() -> str:
        copy.need("rehearse")
        answer(copy, "judged", "propose", "better")
        found = read_rollouts(copy.repository)
        if [it["action"] for it in found] != ["start"]:
            raise Unknown("no better model can be had from these rows, so none is rolled out")
        return str(found[0]["version"])

    own = f"{copy.package.name.upper()}_ROLLOUT__"
    copy.environment.update({own + key: value for key, value in WANTED.items()})
    found: str = copy.kept("begun", make)
    return found


def restore(copy: Copy) -> None:
    """Take the settings of the trial back."""
    own = f"{copy.package.name.upper()}_ROLLOUT__"
    for key in WANTED:
        copy.environment.pop(own + key, None)


def asking(service: Service, row: Any) -> dict[str, tuple[int, str]]:
    """The status and the model of one answer to each key."""
    to, found = service.connect(), {}
    for number in range(KEYS):
        key = f"client {number}"
        status, said = asked(to, "/predict", row, **{"X-Key": key})
        found[key] = (status, said.get("model_version", "") if isinstance(said, dict) else "")
    return found


def rolled(copy: Copy, service: Service) -> tuple[list[str], set[int]]:
    """Ask and step until the rollout has ended: what was decided, and all statuses."""
    statuses: set[int] = set()
    row = service.example()
    for _ in range(TRIES):
        statuses |= {status for status, _ in asking(service, row).values()}
        time.sleep(1.5)  # until it is written
        copy.must("make", "rollout", "STEP=yes")
        actions = [it["action"] for it in read_rollouts(copy.repository)]
        if actions[-1] in ("promote", "abort"):
            break
    statuses |= {status for status, _ in asking(service, row).values()}
    return actions, statuses


def served(copy: Copy) -> str:
    """The version that the service is told to serve."""
    text = (copy.root / "models/serving/champion.json").read_text("utf-8")
    return str(json.loads(text)["version"])


@trial("serving.canary", "a good model reaches all clients by steps, and no request fails")
def good(copy: Copy) -> Iterator[str]:
    """Ask from many keys, have it step, and see who serves."""
    try:
        number = begun(copy)
        with serving(copy) as service:
            actions, statuses = rolled(copy, service)
    finally:
        restore(copy)
    if actions != ["start", "advance", "promote"] or served(copy) != number:
        yield f"make rollout: {', '.join(actions)}; v{served(copy)} serves, v{number} is right"
    if statuses != {200}:
        yield f"/predict: {sorted(statuses)} during a rollout"


@fault("serving.canary", "a degraded model is aborted, the champion serves, and no request fails")
def degraded(copy: Copy) -> Iterator[str]:
    """Damage the candidate's model, ask, and have it step."""
    try:
        number, before = begun(copy), served(copy)
        for path in copy.root.glob(f"models/serving/{number}/model.*"):
            path.write_bytes(b"no model")
        with serving(copy) as service:
            actions, statuses = rolled(copy, service)
    finally:
        restore(copy)
    if actions != ["start", "abort"] or served(copy) != before:
        yield f"make rollout: {', '.join(actions)} of a broken model; v{served(copy)} serves"
    if statuses != {200}:
        yield f"/predict: {sorted(statuses)} beside a broken candidate"


def experiment(copy: Copy) -> None:
    """Begin an experiment with the version that was to be rolled out."""
    number = begun(copy)
    copy.must("make", "rollout", "ABORT=yes")
    (copy.root / "experiments/trial.toml").write_text(RECORD.format(number=number), "utf-8")
    copy.must("make", "experiment", "NAME=trial", "START=yes")


@trial("serving.abtest", "the same key gets the same model, and both arms are asked")
def sticky(copy: Copy) -> Iterator[str]:
    """Ask from many keys, from each twice, the second time after a restart."""
    try:
        experiment(copy)
        with serving(copy) as service:
            first = rounds(service)
        with serving(copy) as service:
            second = rounds(service)
    finally:
        restore(copy)
    if moved := [key for key, name in first.items() if second.get(key) != name]:
        yield f"/predict: {len(moved)} of {KEYS} keys got another model, as {moved[0]}"
    if len(set(first.values())) != 2:
        yield f"/predict: {set(first.values())} answered {KEYS} keys, two models are right"


def rounds(service: Service) -> dict[str, str]:
    """The model of each key, once the service knows of both."""
    row, found = service.example(), {}
    for _ in range(TRIES):
        found = {key: name for key, (_, name) in asking(service, row).items()}
        if len(set(found.values())) > 1:
            break
        time.sleep(0.3)
    return found


@fault("serving.abtest", "who stops early gets neither an outcome nor a new champion")
def early(copy: Copy) -> Iterator[str]:
    """Ask for the outcome, and decide for the candidate, before anybody was asked."""
    try:
        experiment(copy)
        before = served(copy)
        said = copy.must("make", "experiment", "NAME=trial")
        done = copy.run("make", "experiment", "NAME=trial", "DECIDE=candidate")
    finally:
        restore(copy)
    if "No outcome yet" not in said:
        yield "make experiment: tells an outcome before the horizon"
    if done.returncode == 0 or served(copy) != before:
        yield f"make experiment: promotes before the horizon: {last(done)}"
