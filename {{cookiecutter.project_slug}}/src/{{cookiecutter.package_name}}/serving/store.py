"""The table of predictions.  The only file that imports SQLAlchemy."""

from collections.abc import Sequence
from typing import Any

import orjson
import sqlalchemy as sql
from sqlalchemy.schema import CreateIndex, CreateTable

from .events import Served

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


class Store:
    """A database to which several processes may write, one SQLite file too.

    Raises SQLAlchemy's errors where it cannot be reached, or does not take what it is given.
    """

    def __init__(self, url: str) -> None:
        self._engine = sql.create_engine(url, pool_pre_ping=True)
        if self._engine.dialect.name == "sqlite":
            sql.event.listen(self._engine, "connect", shared)
        with self._engine.begin() as connection:
            connection.execute(CreateTable(TABLE, if_not_exists=True))
            for index in TABLE.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))

    def write(self, events: Sequence[Served]) -> None:
        """Add a row for each of these requests: all of them, or none."""
        with self._engine.begin() as connection:
            connection.execute(sql.insert(TABLE), [written(event) for event in events])

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def shared(connection: Any, _: Any) -> None:
    """Let readers and other writers of a SQLite file wait for each other, not fail."""
    for setting in ("busy_timeout = 10000", "journal_mode = wal", "synchronous = normal"):
        connection.execute(f"pragma {setting}")


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
