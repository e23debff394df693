"""The prediction log: what was asked and answered, written without letting a request wait.

Requests put themselves as JSON into a queue; one thread writes them to the database.
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

from mlops_ladder.serving.events import Record, Served
from mlops_ladder.settings import Settings

LOG = logging.getLogger(__name__)
PAUSE = 0.2  # seconds between two writes: a process that is killed loses no more than this
START = 1.0  # seconds before the first: libraries are loaded, and the first answer does not wait
BATCH = 500
PATIENCE = 5  # seconds that a database that is down may hold up the end; `close` takes twice that


class Store(Protocol):
    """Where requests are written to."""

    def write(self, records: Sequence[Record]) -> None:
        """Keep these requests: all of them, or none and raise."""

    def close(self) -> None:
        """Write no more."""


@dataclass
class Tally:
    """How many requests, and how many rows they had."""

    requests: int = 0
    rows: int = 0

    def add(self, records: Sequence[Record]) -> None:
        """Count these too."""
        self.requests += len(records)
        self.rows += sum(record["rows"] for record in records)


class PredictionLog:
    """An observer that writes each answered request, in order, to what `opening` gives.

    At most `capacity` predictions wait; what comes on top is dropped and counted.  While the
    database is down they wait; a batch of which it did not say that it is written, though it is,
    is written again.  `close` writes what waits.
    """

    name = "log"

    def __init__(self, opening: Callable[[], Store], capacity: int) -> None:
        self._store = cache(opening)
        self._capacity = capacity
        self._queue: deque[Record] = deque()
        self._closing, self._hurry = False, threading.Event()
        # Each is changed by one thread only: the first two by that of the requests.
        self._taken, self._dropped = Tally(), 0
        self._written, self._failed = Tally(), 0
        self._thread = threading.Thread(target=self._run, name="prediction log", daemon=True)
        self._thread.start()

    def __call__(self, event: Served) -> None:
        """Put an answered request into the queue, or drop it where that is full."""
        if event.status == 200:
            self.put(event, recorded)

    def put(self, event: Served, record_of: Callable[[Served], Record]) -> None:
        """Put what is recorded of a request into the queue, or drop it where that is full."""
        before = self._taken.rows - self._written.rows
        after = before + len(event.rows)
        if after > self._capacity:
            self._dropped += 1
            seldom(self._dropped, "full: %s requests are not in it", self._dropped)
            return
        record = record_of(event)
        self._taken.add([record])
        self._queue.append(record)
        if before <= self._capacity / 2 < after:  # once: a database that is down is not hurried
            self._hurry.set()

    def counts(self) -> dict[str, int]:
        """Requests that are written, wait and were dropped; and writes that failed."""
        return {
            "written": self._written.requests,
            "waiting": self._taken.requests - self._written.requests,
            "dropped": self._dropped,
            "failed": self._failed,
        }

    def close(self) -> None:
        """Write what waits, and stop.  Says so where the database does not take it."""
        self._closing = True
        self._hurry.set()
        self._thread.join(2 * PATIENCE)  # a database may also say nothing at all
        if left := self.counts()["waiting"]:
            LOG.error("lost: %s answered requests could not be written", left)

    def _run(self) -> None:
        self._hurry.wait(START)
        while not self._closing:
            self._hurry.clear()
            self._write()
            self._hurry.wait(PAUSE)
        until = time.monotonic() + PATIENCE
        while not self._write() and time.monotonic() < until:
            time.sleep(PAUSE)
        if self._store.cache_info().currsize:
            self._store().close()

    def _write(self) -> bool:
        """Write all that waits, a batch at a time; False where that failed."""
        try:
            store = self._store()
            while self._queue:
                batch = [self._queue[place] for place in range(min(len(self._queue), BATCH))]
                store.write(batch)
                self._written.add(batch)
                for _ in batch:
                    self._queue.popleft()
        except Exception as error:  # pylint: disable=broad-exception-caught  # any driver's own
            self._failed += 1
            why = str(error).partition("\n")[0]
            seldom(self._failed, "not written, to be tried again: %s", why)
            return False
        return True


def recorded(event: Served) -> Record:
    """A request as a row of the log: as texts, which cost the garbage collector nothing."""
    return {
        "request_id": event.request_id,
        "time": event.time,
        "model_version": event.model_version,
        "inputs": orjson.dumps(event.rows).decode(),
        "output": orjson.dumps(event.answers).decode(),
        "rows": len(event.rows),
        "latency_ms": round(event.seconds * 1000, 3),
    }


def seldom(count: int, message: str, *values: object) -> None:
    """Warn at the first, second, fourth, eighth … time, so that a long trouble fills no disk."""
    if count.bit_count() == 1:
        LOG.warning(message, *values)


def opened(settings: Settings, table: str = "TABLE") -> PredictionLog:
    """The prediction log that these settings name, or another table of `store.py` beside it."""

    def store() -> Store:
        # pylint: disable-next=import-outside-toplevel  # 0.3 s that the first answer need not wait
        from mlops_ladder.serving import store as tables

        return tables.Store(settings.serving.prediction_log_url, getattr(tables, table))

    return PredictionLog(store, settings.serving.prediction_log_queue_size)
