"""Tried and planted: batch, API, the log of predictions."""

import csv
import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from threading import Event
from typing import Any

from .. import Unknown, fault, trial
from ..data import columns
from ..sandbox import Copy, last
from ..service import Service, asked, serving
from ..serving import DATABASE, logged, predicted
from .project import answer

ROWS = "rows.sample"
OUT = "predictions.csv"
CONNECTIONS = 8
REQUESTS = 400  # answered before the service is told to end; more are under way then
PERSONAL = "planted_personal"
PERSON = "Ada Lovelace, 12 St James's Square"

Facts = dict[str, Any]


def inputs(copy: Copy) -> dict[str, Facts]:
    """The columns that the model sees."""
    known = columns(copy.original)
    return {name: it for name, it in known.items() if it.get("role") in ("feature", "time")}


def sampled(copy: Copy, kind: str, column: str = "") -> int:
    """How many rows of the user's data stand in ROWS now: as they are, or with a fault."""
    return int(
        answer(copy, "trained", "sample", kind, column, str(copy.random.randrange(2**32)), ROWS)
    )


@trial("serving.batch", "a file in, a file out: each row predicted, with the version of the model")
def batch(copy: Copy) -> Iterator[str]:
    """Predict for some rows, and read what is written."""
    copy.need("train")
    asked_for = sampled(copy, "whole")
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
    copy.need("train")
    known = inputs(copy)
    typed = [name for name, it in known.items() if it.get("kind") not in ("category", "text")]
    for kind, names in (("missing", [*known]), ("wrong", typed)):
        if not names:
            continue
        name = copy.random.choice(names)
        sampled(copy, kind, name)
        done = copy.cli("predict", "--data", ROWS, "--out", OUT)
        if done.returncode == 0:
            yield f"make predict: predicts with {name} {kind}"
        elif name not in done.stdout + done.stderr:
            yield f"make predict: refuses {name} {kind}, and does not name it: {last(done)}"


@fault("serving.api", "without a model /ready is 503, and the service lives")
def no_model(copy: Copy) -> Iterator[str]:
    """Start it where no model was ever trained."""
    with serving(copy) as service:
        for path, wanted in (("/health", 200), ("/ready", 503), ("/health", 200)):
            status, said = service.ask(path)
            if status != wanted:
                yield f"{path}: {status or said} without a model, {wanted} is right"
        if not service.lives:
            yield "make serve: ends without a model"


@trial("serving.api", "the example of its own description is answered")
def answers(copy: Copy) -> Iterator[str]:
    """Start it with a champion, and ask."""
    copy.need("rehearse")
    with serving(copy) as service:
        status, ready = service.ask("/ready")
        if status != 200:
            yield f"/ready: {status or ready}, though a champion is published"
            return
        status, said = service.ask("/predict", service.example())
        if status != 200 or "prediction" not in said:
            yield f"/predict: {status} for the example of /openapi.json: {said}"
        elif said.get("model_version") != ready.get("model_version"):
            yield f"/predict: names model {said.get('model_version')}, /ready names another"


def bad(copy: Copy, row: Facts) -> Iterator[tuple[str, str, Facts]]:
    """Rows that break the contract, each with what is wrong and the field."""
    name = copy.random.choice([*row])
    yield "an input that is a list", name, row | {name: []}
    name = copy.random.choice([*row])
    yield "an input that is missing", name, {key: row[key] for key in row if key != name}
    yield "a field that is none", "no_such_field", row | {"no_such_field": 1}


@fault("serving.api", "a payload that breaks the contract is 422, and the field is named")
def unfit(copy: Copy) -> Iterator[str]:
    """Send rows that break it."""
    copy.need("rehearse")
    with serving(copy) as service:
        row = service.example()
        if not isinstance(row, dict):
            yield "/openapi.json: has no example of a row"
            return
        for what, name, body in bad(copy, row):
            status, said = service.ask("/predict", body)
            if status != 422:
                yield f"/predict: {status or said} for {what} ({name}), 422 is right"
            elif name not in json.dumps(said, ensure_ascii=False):
                yield f"/predict: 422 for {what}, and does not name {name}"


def stream(service: Service, row: Facts, stop: Event, seen: list[str], number: int) -> None:
    """Ask over one connection until the service is gone; the ids of what was answered are seen."""
    to: http.client.HTTPConnection = service.connect()
    for place in range(100 * REQUESTS):
        name = f"asked-{number}-{place}"
        status, said = asked(to, "/predict", row, **{"X-Request-ID": name})
        if status != 200 or stop.is_set():
            return
        seen.append(said.get("request_id", name))


def loaded(service: Service, row: Facts) -> list[str]:
    """The ids of all requests that were answered, by a service that is ended under load."""
    seen: list[str] = []
    stop = Event()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        ask = partial(stream, service, row, stop, seen)
        streams = [pool.submit(ask, number) for number in range(CONNECTIONS)]
        try:
            while len(seen) < REQUESTS and any(not it.done() for it in streams):
                wait(streams, timeout=0.02)
            service.end()
        finally:
            wait(streams, timeout=5)
            stop.set()
    return seen


@trial("monitor.predlog", "each answered request is a row of the log, under load and to the end")
def complete(copy: Copy) -> Iterator[str]:
    """Ask over several connections, end the service meanwhile, and count."""
    copy.need("rehearse")
    with serving(copy) as service:
        seen = loaded(service, service.example())
    if len(seen) < REQUESTS:
        yield f"/predict: answered {len(seen)} of {REQUESTS} requests under load"
        return
    rows = [name for (name,) in predicted(copy.repository, "select request_id from predictions")]
    if lost := set(seen) - set(rows):
        yield f"{DATABASE}: {len(lost)} of {len(seen)} answered requests are not in it"
    if len(rows) != len(set(rows)):
        yield f"{DATABASE}: {len(rows) - len(set(rows))} requests are in it twice"


@fault("monitor.predlog", "a personal value that is sent is not kept")
def personal(copy: Copy) -> Iterator[str]:
    """Call a new column personal in the contract, and send a person with a row."""
    copy.need("rehearse")
    column = f'\n[columns.{PERSONAL}]\nkind = "text"\nrole = "personal"\n'
    with (copy.root / "contract.toml").open("a", encoding="utf-8") as file:
        file.write(column)
    with serving(copy) as service:
        row = service.example()
        if not isinstance(row, dict):
            raise Unknown("/openapi.json: has no example of a row")
        service.ask("/predict", row)
        service.ask("/predict", row | {PERSONAL: PERSON})
    yield from logged(copy.repository)
    for path in sorted(copy.root.glob(f"{DATABASE}*")):
        if PERSON.encode() in path.read_bytes():
            yield f"{path.name}: holds a value that was sent as {PERSONAL}"
