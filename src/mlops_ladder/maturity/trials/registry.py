"""Tried and planted: versions, gate, rollback."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.delivery import compare_log_with_registry, trace_champion
from mlops_ladder.maturity.sandbox import Copy, Done, last
from mlops_ladder.maturity.service import asked, Service, serving
from mlops_ladder.maturity.trials.project import answer, scores

PATIENCE = 20  # seconds in which the service follows

Facts = dict[str, Any]


@trial("registry.versions", "the champion leads to its run, commit, data and lock, and scores")
def champion(copy: Copy) -> Iterator[str]:
    """Run the pipeline, follow the champion, and load it."""
    found = copy.need("rehearse")
    yield from trace_champion(found)
    yield from scores(copy, f"models:/{copy.package.name}@champion")


def challenged(copy: Copy) -> Facts:
    """What came of a model better than the pipeline's champion that the gate was asked about."""

    def make() -> Facts:
        copy.need("rehearse")
        said: Facts = answer(copy, "judged", "propose", "better")
        return said

    found: Facts = copy.kept("challenged", make)
    return found


@fault("registry.gate", "a better model is accepted, and a worse one after it is refused")
def judged(copy: Copy) -> Iterator[str]:
    """Propose a model that has seen the rows held out, and then an ordinary one."""
    better = challenged(copy)
    if not better["gain"] > 0:
        raise Unknown(f"no better model can be had from these rows: {better['told']}")
    if better["champion"] != better["version"] or better["champion"] == better["before"]:
        against = "; ".join(it for it in better["reasons"] if it.endswith(": no"))
        yield f"the gate: refuses a better model, {better['told']}: {against}"
        return
    worse = answer(copy, "judged", "propose", "ordinary")
    if worse["champion"] != better["champion"]:
        yield f"the gate: accepts a worse model, {worse['told']}"


@fault("registry.gate", "an alias that is moved by hand is detected")
def moved(copy: Copy) -> Iterator[str]:
    """Move `champion` with MLflow's client."""
    before = challenged(copy)
    done = copy.run("make", "registry")
    if done.returncode:
        yield f"make registry: {last(done)}, though nothing was moved by hand"
        return
    others = sorted({before["before"], before["version"]} - {before["champion"]})
    answer(
        copy,
        "judged",
        "move",
        *(("champion", others[0]) if others else ("previous", before["before"])),
    )
    done = copy.run("make", "registry")
    if done.returncode == 0:
        yield "make registry: ends with 0, though an alias was moved by hand"
    elif "alias" not in done.stdout + done.stderr:
        yield f"make registry: does not name the alias that was moved: {last(done)}"


@trial("registry.gate", "after it has decided, log, registry and aliases agree")
def agree(copy: Copy) -> Iterator[str]:
    """Compare them, after two decisions."""
    challenged(copy)
    yield from compare_log_with_registry(copy.repository)


@trial("registry.rollback", "the service follows a rollback, and no request fails meanwhile")
def followed(copy: Copy) -> Iterator[str]:
    """Serve the second of two champions, ask it without a pause, and roll back."""
    known = challenged(copy)
    if known["champion"] == known["before"]:
        raise Unknown(f"no second champion to roll back from: {known['told']}")
    with serving(copy) as service:
        if (said := served(service)) != known["champion"]:
            yield f"/version: names {said}, the champion is {known['champion']}"
            return
        done, failed = rolled_back(copy, service, known["before"])
        if done.returncode:
            yield f"make rollback: {last(done)}"
        elif (said := served(service)) != known["before"]:
            yield f"/version: names {said} after make rollback, {known['before']} is right"
        if failed:
            yield f"/predict: {len(failed)} requests failed meanwhile: {failed[0]}"
        if not service.lives:
            yield "make serve: ended meanwhile"


def served(service: Service) -> Any:
    """The version that the service says it serves."""
    said = service.ask("/version")[1]
    return said.get("version") if isinstance(said, dict) else said


def rolled_back(copy: Copy, service: Service, wanted: str) -> tuple[Done, list[Any]]:
    """How the rollback ended, and what failed of the requests until the service followed."""
    failed: list[Any] = []
    stop, row = Event(), service.example()

    def ask() -> None:
        to = service.connect()
        while not stop.is_set():
            if (said := asked(to, "/predict", row))[0] != 200:
                failed.append(said)
                to.close()

    with ThreadPoolExecutor() as pool:
        pool.submit(ask)
        try:
            done = copy.run("make", "rollback")
            until = time.monotonic() + PATIENCE
            while served(service) != wanted and time.monotonic() < until:
                time.sleep(0.1)
        finally:
            stop.set()
    return done, failed
