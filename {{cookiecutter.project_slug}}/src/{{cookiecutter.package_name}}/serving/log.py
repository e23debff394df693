"""The prediction log: what was asked and answered, written without letting a request wait.

Requests put themselves into a queue; one thread writes them to the database.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from ..settings import Settings
from .events import Served

LOG = logging.getLogger(__name__)
PAUSE = 0.2  # seconds between two writes: a process that is killed loses no more than this
START = 1.0  # seconds before the first: libraries are loaded, and the first answer does not wait
BATCH = 500
PATIENCE = 10  # seconds that a database that is down may hold up the end of the process


class Store(Protocol):
    """Where requests are written to."""

    def write(self, events: Sequence[Served]) -> None:
        """Keep these requests: all of them, or none and raise."""

    def close(self) -> None:
        """Write no more."""


@dataclass
class Tally:
    """How many requests, and how many rows they had."""

    requests: int = 0
    rows: int = 0

    def add(self, events: Sequence[Served]) -> None:
        """Count these too."""
        self.requests += len(events)
        self.rows += sum(len(event.rows) for event in events)


class PredictionLog:
    """An observer that writes each answered request, in order, to what `opening` gives.

    At most `capacity` predictions wait; what comes on top is dropped and counted.  While the
    database is down they wait.  `close` writes what waits.
    """

    name = "log"

    def __init__(self, opening: Callable[[], Store], capacity: int) -> None:
        self._store = cache(opening)
        self._capacity = capacity
        self._queue: deque[Served] = deque()
        self._batch: list[Served] = []
        self._closing = threading.Event()
        # Each is changed by one thread only: the first two by that of the requests.
        self._taken, self._dropped = Tally(), 0
        self._written, self._failed = Tally(), 0
        self._thread = threading.Thread(target=self._run, name="prediction log", daemon=True)
        self._thread.start()

    def __call__(self, event: Served) -> None:
        """Put an answered request into the queue, or drop it where that is full."""
        if event.status != 200:
            return
        if self._taken.rows - self._written.rows + len(event.rows) > self._capacity:
            self._dropped += 1
            seldom(self._dropped, "full: %s requests are not in it", self._dropped)
            return
        self._taken.add([event])
        self._queue.append(event)

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
        self._closing.set()
        self._thread.join()
        if left := self.counts()["waiting"]:
            LOG.error("lost: %s answered requests could not be written", left)

    def _run(self) -> None:
        pause = START
        while not self._closing.wait(pause):
            self._write()
            pause = PAUSE
        until = time.monotonic() + PATIENCE
        while not self._write() and time.monotonic() < until:
            time.sleep(PAUSE)
        if self._store.cache_info().currsize:
            self._store().close()

    def _write(self) -> bool:
        """Write all that waits, a batch at a time; False where that failed."""
        try:
            store = self._store()
            while self._batch or self._queue:
                while self._queue and len(self._batch) < BATCH:
                    self._batch.append(self._queue.popleft())
                store.write(self._batch)
                self._written.add(self._batch)
                self._batch.clear()
        except Exception as error:  # pylint: disable=broad-exception-caught  # any driver's own
            self._failed += 1
            seldom(
                self._failed, "not written, to be tried again: %s", str(error).partition("\n")[0]
            )
            return False
        return True


def seldom(count: int, message: str, *values: object) -> None:
    """Warn at the first, second, fourth, eighth … time, so that a long trouble fills no disk."""
    if count.bit_count() == 1:
        LOG.warning(message, *values)


def opened(settings: Settings) -> PredictionLog:
    """The prediction log that these settings name."""

    def store() -> Store:
        # pylint: disable-next=import-outside-toplevel  # 0.3 s that the first answer need not wait
        from .store import Store as Database

        return Database(settings.serving.log)

    return PredictionLog(store, settings.serving.log_capacity)
