"""The prediction log: a row for each request that was answered.  The only file that uses SQLAlchemy.

Requests do not wait for it: they put what is to be written into a queue, and one thread writes.
"""

import logging
import threading
import time
from collections import deque
from typing import Any

import orjson
import sqlalchemy as sql
from sqlalchemy.exc import SQLAlchemyError

from ..settings import Settings
from .events import Served

LOG = logging.getLogger(__name__)
PAUSE = 0.2  # seconds between two writes: a process that is killed loses no more than this
BATCH = 500
PATIENCE = 10  # seconds that a database that is down may hold up the end of the process

TABLE = sql.Table(
    "predictions",
    sql.MetaData(),
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("request_id", sql.String(64), nullable=False),
    sql.Column("time", sql.DateTime(timezone=True), nullable=False, index=True),
    sql.Column("model_version", sql.String(64), nullable=False),
    sql.Column("inputs", sql.Text, nullable=False),
    sql.Column("output", sql.Text, nullable=False),
    sql.Column("rows", sql.Integer, nullable=False),
    sql.Column("latency_ms", sql.Float, nullable=False),
)


def connect(url: str) -> sql.Engine:
    """The database of a log; several processes may write to one SQLite file."""
    engine = sql.create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":

        @sql.event.listens_for(engine, "connect")
        def shared(connection: Any, _: Any) -> None:
            connection.execute("pragma busy_timeout = 10000")
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")

    return engine


def written(event: Served) -> dict[str, Any]:
    """A request as a row of the table."""
    return {
        "request_id": event.request_id,
        "time": event.time,
        "model_version": event.model_version,
        "inputs": orjson.dumps(event.rows).decode(),
        "output": orjson.dumps(event.answers).decode(),
        "rows": len(event.rows),
        "latency_ms": round(event.seconds * 1000, 3),
    }


class PredictionLog:
    """An observer of the service that writes each answered request, in order, to a database.

    At most `capacity` predictions wait; what comes on top is dropped and counted.  While the
    database is down they wait.  `close` writes what waits.
    """

    name = "log"

    def __init__(self, engine: sql.Engine, capacity: int) -> None:
        self._engine = engine
        self._capacity = capacity
        self._queue: deque[Served] = deque()
        self._closing = threading.Event()
        # Each number is changed by one thread only: the first three by the service's.
        self._taken = self._taken_rows = self._dropped = 0
        self._written = self._written_rows = self._failed = 0
        self._thread = threading.Thread(target=self._write, name="prediction log", daemon=True)
        self._thread.start()

    def __call__(self, event: Served) -> None:
        if event.status != 200:
            return
        if self._taken_rows - self._written_rows + len(event.rows) > self._capacity:
            self._dropped += 1
            if self._dropped.bit_count() == 1:  # told at 1, 2, 4, 8, …: not at each request
                LOG.warning("full: %s requests were not logged", self._dropped)
            return
        self._queue.append(event)
        self._taken += 1
        self._taken_rows += len(event.rows)

    def counts(self) -> dict[str, int]:
        """Requests that are written, wait and were dropped; and writes that failed."""
        return {
            "written": self._written,
            "waiting": self._taken - self._written,
            "dropped": self._dropped,
            "failed": self._failed,
        }

    def close(self) -> None:
        """Write what waits, and stop.  Says so where the database does not take it."""
        self._closing.set()
        self._thread.join()
        if left := self._taken - self._written:
            LOG.error("%s requests were answered but could not be logged", left)
        self._engine.dispose()

    def _write(self) -> None:
        while not self._closing.wait(PAUSE):
            self._flush()
        until = time.monotonic() + PATIENCE
        while not self._flush() and time.monotonic() < until:
            time.sleep(PAUSE)

    def _flush(self) -> bool:
        """Write all that waits, a batch at a time; False where the database did not take it."""
        while batch := [self._queue[place] for place in range(min(BATCH, len(self._queue)))]:
            try:
                TABLE.metadata.create_all(self._engine)
                with self._engine.begin() as connection:
                    connection.execute(sql.insert(TABLE), [written(event) for event in batch])
            except SQLAlchemyError as error:
                self._failed += 1
                if self._failed.bit_count() == 1:
                    LOG.warning("not written, tried again: %s", str(error).splitlines()[0])
                return False
            for event in batch:
                self._queue.popleft()
                self._written_rows += len(event.rows)
            self._written += len(batch)
        return True


def opened(settings: Settings) -> PredictionLog:
    """The prediction log of these settings."""
    return PredictionLog(connect(settings.serving.log), settings.serving.log_capacity)
