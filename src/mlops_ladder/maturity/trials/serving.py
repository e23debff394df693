"""Trials and faults of the service: broken rows, the prediction log, workers."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from http.client import HTTPConnection
from threading import Event
from typing import Any

from mlops_ladder.maturity.sandbox import Copy
from mlops_ladder.maturity.service import exchange_json, run_service, Service
from mlops_ladder.maturity.serving import DATABASE, query_predictions
from mlops_ladder.maturity.trials.project import example_row

CONNECTIONS = 8
REQUESTS = 400  # answered before the service is ended; others are still open
REQUESTS_OF_WORKERS = 20
COUNT_DELAY_S = 2  # until the counts of every worker are visible
COUNTED = re.compile(r'^serving_requests_total\{.*status="200".*\} (\S+)$', re.MULTILINE)

Facts = dict[str, Any]


def send_broken_rows(copy: Copy) -> Iterator[str]:
    """Send rows that break the contract: each is refused, and its field is named."""
    copy.need("pipeline-smoke")
    with run_service(copy) as service:
        row = example_row(service)
        one, other = copy.random.choice([*row]), copy.random.choice([*row])
        lacking = {key: row[key] for key in row if key != other}
        for fault, name, body in (
            ("an input that is a list", one, row | {one: []}),
            ("an input that is missing", other, lacking),
            ("an unknown field", "no_such_field", row | {"no_such_field": 1}),
        ):
            status, reply = service.ask("/predict", body)
            if status != 422:
                yield f"/predict: {status or reply} for {fault} ({name}), 422 is right"
            elif name not in json.dumps(reply, ensure_ascii=False):
                yield f"/predict: 422 for {fault}, and does not name {name}"


def ask_until_end(
    service: Service, row: Facts, stop: Event, answered: list[str], number: int
) -> None:
    """Ask over one connection until the service is gone; add the ids of answered requests."""
    connection: HTTPConnection = service.connect()
    for place in range(100 * REQUESTS):
        name = f"asked-{number}-{place}"
        status, reply = exchange_json(connection, "/predict", row, **{"X-Request-ID": name})
        if status != 200 or stop.is_set():
            return
        answered.append(reply.get("request_id", name))


def end_under_load(service: Service, row: Facts) -> list[str]:
    """End a service under load; return the ids of all requests that were answered."""
    answered: list[str] = []
    stop = Event()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        ask = partial(ask_until_end, service, row, stop, answered)
        streams = [pool.submit(ask, number) for number in range(CONNECTIONS)]
        try:
            while len(answered) < REQUESTS and any(not stream.done() for stream in streams):
                wait(streams, timeout=0.02)
            service.end()
        finally:
            wait(streams, timeout=5)
            stop.set()
    return answered


def end_after_few(service: Service) -> list[str]:
    """End a service as soon as it has answered three requests; return their ids."""
    row = service.example()
    replies = [service.ask("/predict", row) for _ in range(3)]
    service.end()
    return [reply["request_id"] for status, reply in replies if status == 200]


def log_under_load(copy: Copy) -> Iterator[str]:
    """Ask over several connections, end the service meanwhile, and count the rows of the log."""
    copy.need("pipeline-smoke")
    with run_service(copy) as service:
        many = end_under_load(service, service.example())
    with run_service(copy) as service:
        few = end_after_few(service)
    if len(many) < REQUESTS or not few:
        yield f"/predict: answered {len(many)} of {REQUESTS} requests under load, then {len(few)}"
        return
    rows = [
        name for (name,) in query_predictions(copy.repository, "select request_id from predictions")
    ]
    if lost := {*many, *few} - set(rows):
        yield f"{DATABASE}: {len(lost)} of {len(many + few)} answered requests are not in it"
    if len(rows) != len(set(rows)):
        yield f"{DATABASE}: {len(rows) - len(set(rows))} requests are in it twice"


def ask_several_workers(copy: Copy) -> Iterator[str]:
    """Send requests to `make serve WORKERS=2`, each over a new connection."""
    copy.need("pipeline-smoke")
    with copy.with_environment(WORKERS="2"), run_service(copy) as service:
        row = service.example()
        statuses = [service.ask("/predict", row)[0] for _ in range(REQUESTS_OF_WORKERS)]
        time.sleep(COUNT_DELAY_S)
        connection = HTTPConnection("127.0.0.1", service.port, timeout=30)
        connection.request("GET", "/metrics")
        count = COUNTED.search(connection.getresponse().read().decode())
    if wrong := sorted({status for status in statuses if status != 200}):
        yield f"/predict: {wrong} of two workers"
    counted = float(count[1]) if count else 0
    if counted != statuses.count(200):
        yield f"/metrics: counts {counted:.0f} of {statuses.count(200)} requests of two workers"
