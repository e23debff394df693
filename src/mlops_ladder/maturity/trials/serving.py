"""Tried and planted: the service, and its log of predictions."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from threading import Event
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.sandbox import Copy
from mlops_ladder.maturity.service import asked, Service, serving
from mlops_ladder.maturity.serving import DATABASE, find_log_faults, query_predictions

CONNECTIONS = 8
REQUESTS = 400  # answered before the service is told to end; more are under way then
PERSONAL = "planted_personal"
PERSON = "Ada Lovelace, 12 St James's Square"

Facts = dict[str, Any]


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


def briefly(service: Service) -> list[str]:
    """The ids of a few requests to a service that is ended as soon as they are answered."""
    row = service.example()
    replies = [service.ask("/predict", row) for _ in range(3)]
    service.end()
    return [said["request_id"] for status, said in replies if status == 200]


@trial("monitor.predlog", "each answered request is a row of the log, under load and to the end")
def complete(copy: Copy) -> Iterator[str]:
    """Ask over several connections, end the service meanwhile, and count; and ask it briefly."""
    copy.need("rehearse")
    with serving(copy) as service:
        seen = loaded(service, service.example())
    with serving(copy) as service:
        few = briefly(service)
    if len(seen) < REQUESTS or not few:
        yield f"/predict: answered {len(seen)} of {REQUESTS} requests under load, then {len(few)}"
        return
    rows = [
        name for (name,) in query_predictions(copy.repository, "select request_id from predictions")
    ]
    if lost := {*seen, *few} - set(rows):
        yield f"{DATABASE}: {len(lost)} of {len(seen + few)} answered requests are not in it"
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
    yield from find_log_faults(copy.repository)
    for path in sorted(copy.root.glob(f"{DATABASE}*")):
        if PERSON.encode() in path.read_bytes():
            yield f"{path.name}: holds a value that was sent as {PERSONAL}"
