"""Trials and faults of the gate: its questions, versions, aliases, rollback."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.data import read_artifact
from mlops_ladder.maturity.model import name_run
from mlops_ladder.maturity.sandbox import Copy, Done, last_line
from mlops_ladder.maturity.service import exchange_json, run_service, Service
from mlops_ladder.maturity.trials.project import ask_project

FOLLOW_TIMEOUT_S = 20  # until the service follows a rollback

Facts = dict[str, Any]


def find_report(copy: Copy, name: str) -> Iterator[str]:
    """Run the pipeline: the champion's run holds the result of a question, with a picture."""
    run = copy.need("pipeline-smoke").runs[0]
    folder = Path(run["artifacts"].removeprefix("file://"))
    result = json.loads(read_artifact(run, "questions.json")).get(name)
    if not result:
        yield f"{name_run(run)}: its gate has not asked for {name}"
    elif result["verdict"] != "not enough rows" and not (folder / f"plots/{name}.png").is_file():
        yield f"{name_run(run)}: has no picture of {name}"


def propose_spoiled_model(copy: Copy, name: str, description: str) -> Iterator[str]:
    """Propose a model that has learned the hold-out, some of its rows wrongly: it is refused."""
    copy.need("pipeline-smoke")
    outcome = ask_known(copy, "propose_spoiled_model", name)
    reasons = [reason for reason in outcome["reasons"] if reason.startswith(f"{name}: ")]
    refusals = [reason for reason in reasons if reason.endswith(": no")]
    if outcome["champion"] != outcome["before"] or not refusals:
        model = f"a model that is {description}, {outcome['spoilt']}"
        yield f"the gate: accepts {model}; {outcome['scores']} over all rows"


def ask_known(copy: Copy, *words: str) -> Facts:
    """Return the answer to a question of the gate.  Raise Unknown, with its reason, without one."""
    answer: Facts = ask_project(copy, "gate", *words)
    if "unknown" in answer:
        raise Unknown(answer["unknown"])
    return answer


def propose_inverted_model(copy: Copy) -> Iterator[str]:
    """Declare a direction that the model keeps: it passes, and its opposite is refused."""
    answer = ask_known(copy, "judge_inverted_model")
    if answer["honest"] != ["passed", True]:
        yield f"the gate: {answer['honest'][0]} for a model as it should be: {answer['why']}"
    if answer["turned"] != ["refused", True]:
        yield f"the gate: {answer['turned'][0]} for an inverted model: {answer['declared']}"


def challenge_champion(copy: Copy) -> Facts:
    """Propose a better model than the champion, once; return what the gate decided."""

    def propose() -> Facts:
        copy.need("pipeline-smoke")
        outcome: Facts = ask_project(copy, "gate", "propose_model", "better")
        return outcome

    outcome: Facts = copy.once("challenged", propose)
    return outcome


def propose_better_and_worse(copy: Copy) -> Iterator[str]:
    """Propose a model that has seen the hold-out, and then an ordinary one."""
    better = challenge_champion(copy)
    if not better["gain"] > 0:
        raise Unknown(f"no better model can be had from these rows: {better['scores']}")
    if better["champion"] != better["version"] or better["champion"] == better["before"]:
        refusals = "; ".join(reason for reason in better["reasons"] if reason.endswith(": no"))
        yield f"the gate: refuses a better model, {better['scores']}: {refusals}"
        return
    worse = ask_project(copy, "gate", "propose_model", "ordinary")
    if worse["champion"] != better["champion"]:
        yield f"the gate: accepts a worse model, {worse['scores']}"


def move_alias(copy: Copy) -> None:
    """Move an alias with MLflow's client."""
    outcome = challenge_champion(copy)
    others = sorted({outcome["before"], outcome["version"]} - {outcome["champion"]})
    alias, version = ("champion", others[0]) if others else ("previous", outcome["before"])
    ask_project(copy, "gate", "move_alias", alias, version)


def roll_back(copy: Copy) -> Iterator[str]:
    """Serve the second of two champions, ask it without a pause, and roll back."""
    outcome = challenge_champion(copy)
    if outcome["champion"] == outcome["before"]:
        raise Unknown(f"no second champion to roll back from: {outcome['scores']}")
    with run_service(copy) as service:
        if (version := served_version(service)) != outcome["champion"]:
            yield f"/version: names {version}, the champion is {outcome['champion']}"
            return
        done, failures = roll_back_under_load(copy, service, outcome["before"])
        if done.returncode:
            yield f"make rollback: {last_line(done)}"
        elif (version := served_version(service)) != outcome["before"]:
            yield f"/version: names {version} after make rollback, {outcome['before']} is right"
        if failures:
            yield f"/predict: {len(failures)} requests failed meanwhile: {failures[0]}"
        if not service.lives:
            yield "make serve: ended meanwhile"


def served_version(service: Service) -> Any:
    """Return the version that the service says it serves."""
    reply = service.ask("/version")[1]
    return reply.get("version") if isinstance(reply, dict) else reply


def roll_back_under_load(copy: Copy, service: Service, version: str) -> tuple[Done, list[Any]]:
    """Roll back, and ask until the service follows; return the result, and failed requests."""
    failures: list[Any] = []
    stop, row = Event(), service.example()

    def ask() -> None:
        connection = service.connect()
        while not stop.is_set():
            if (reply := exchange_json(connection, "/predict", row))[0] != 200:
                failures.append(reply)
                connection.close()

    with ThreadPoolExecutor() as pool:
        pool.submit(ask)
        try:
            done = copy.run("make", "rollback")
            until = time.monotonic() + FOLLOW_TIMEOUT_S
            while served_version(service) != version and time.monotonic() < until:
                time.sleep(0.1)
        finally:
            stop.set()
    return done, failures
