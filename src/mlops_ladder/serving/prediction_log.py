"""The prediction log: requests and answers, written without letting a request wait.

Requests go into a queue as JSON; one thread writes them to the database.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import orjson

from mlops_ladder.serving.events import PredictionEvent, Record
from mlops_ladder.settings import Settings

LOG = logging.getLogger(__name__)
PAUSE = 0.2  # seconds between two writes: a process that is killed loses no more than this
START = 1.0  # seconds before the first: libraries are loaded, and the first answer does not wait
BATCH = 500
STOP_TIMEOUT_S = 5  # seconds that a dead database may delay the end; `close` waits twice that


class Database(Protocol):
    """A place to which requests are written."""

    def write(self, records: Sequence[Record]) -> None:
        """Write these requests: all of them, or none and raise."""

    def close(self) -> None:
        """Release the database."""


@dataclass
class Counts:
    """A number of requests, and the number of their rows."""

    requests: int = 0
    rows: int = 0

    def add(self, records: Sequence[Record]) -> None:
        """Count these too."""
        self.requests += len(records)
        self.rows += sum(record["rows"] for record in records)


class PredictionLog:
    """An observer that writes each answered request, in order, to a database.

    The queue holds at most `capacity` predictions; beyond that, new ones are dropped and counted.
    While the database is down, they wait.  Delivery is at least once: if the database has written
    a batch without saying so, the batch is written again.  `close` writes the rest.
    """

    name = "log"

    def __init__(self, connect: Callable[[], Database], capacity: int) -> None:
        self._database = cache(connect)
        self._capacity = capacity
        self._queue: deque[Record] = deque()
        self._is_closing, self._wake = False, threading.Event()
        # One thread changes each: that of the requests the first two.
        self._queued, self._dropped = Counts(), 0
        self._written, self._failed = Counts(), 0
        self._thread = threading.Thread(target=self._run, name="prediction log", daemon=True)
        self._thread.start()

    def __call__(self, event: PredictionEvent) -> None:
        """Queue an answered request, or drop it if the queue is full."""
        if event.status == 200:
            self.put(event, describe_request)

    def put(self, event: PredictionEvent, describe: Callable[[PredictionEvent], Record]) -> None:
        """Queue the description of a request, or drop it if the queue is full."""
        before = self._queued.rows - self._written.rows
        after = before + len(event.rows)
        if after > self._capacity:
            self._dropped += 1
            warn_at_powers_of_two(self._dropped, "full: %s requests are not in it", self._dropped)
            return
        record = describe(event)
        self._queued.add([record])
        self._queue.append(record)
        if before <= self._capacity / 2 < after:  # only once: no more load on a dead database
            self._wake.set()

    def counts(self) -> dict[str, int]:
        """Return the requests that are written, wait or were dropped, and the failed writes."""
        return {
            "written": self._written.requests,
            "waiting": self._queued.requests - self._written.requests,
            "dropped": self._dropped,
            "failed": self._failed,
        }

    def close(self) -> None:
        """Write the queue, and stop.  Log an error if the database does not take it."""
        self._is_closing = True
        self._wake.set()
        self._thread.join(2 * STOP_TIMEOUT_S)  # a database may never answer
        if count := self.counts()["waiting"]:
            LOG.error("lost: %s answered requests could not be written", count)

    def _run(self) -> None:
        self._wake.wait(START)
        while not self._is_closing:
            self._wake.clear()
            self._write()
            self._wake.wait(PAUSE)
        until = time.monotonic() + STOP_TIMEOUT_S
        while not self._write() and time.monotonic() < until:
            time.sleep(PAUSE)
        if self._database.cache_info().currsize:
            self._database().close()

    def _write(self) -> bool:
        """Write the queue, a batch at a time; return False if that failed."""
        try:
            database = self._database()
            while self._queue:
                batch = [self._queue[place] for place in range(min(len(self._queue), BATCH))]
                database.write(batch)
                self._written.add(batch)
                for _ in batch:
                    self._queue.popleft()
        except Exception as error:  # pylint: disable=broad-exception-caught  # of any driver
            self._failed += 1
            reason = str(error).partition("\n")[0]
            warn_at_powers_of_two(self._failed, "not written, to be tried again: %s", reason)
            return False
        return True


def describe_output(event: PredictionEvent) -> Record:
    """Return a request as a row of a log, without its inputs."""
    return {
        "request_id": event.request_id,
        "time": event.time,
        "output": orjson.dumps(event.answers).decode(),
        "rows": len(event.rows),
        "latency_ms": round(event.seconds * 1000, 3),
    }


def describe_request(event: PredictionEvent) -> Record:
    """Return a request as a row of the prediction log: texts cost the garbage collector nothing."""
    inputs = orjson.dumps(event.rows).decode()
    return describe_output(event) | {"model_version": event.model_version, "inputs": inputs}


def warn_at_powers_of_two(count: int, message: str, *values: object) -> None:
    """Warn at the first, second, fourth, eighth … time, so that a long outage fills no disk."""
    if count.bit_count() == 1:
        LOG.warning(message, *values)


def create_prediction_log(settings: Settings, table: str = "TABLE") -> PredictionLog:
    """Return the prediction log of these settings, or a log into another table of `store.py`."""

    def connect() -> Database:
        # pylint: disable-next=import-outside-toplevel  # slow: no answer waits for it
        from mlops_ladder.serving import store

        return store.Store(settings.serving.prediction_log_url, getattr(store, table))

    return PredictionLog(connect, settings.serving.prediction_log_queue_size)
