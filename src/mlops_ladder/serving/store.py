"""The tables of predictions and of both arms of a rollout: who answered which unit, and what.

The table of arms holds no inputs, and answers in the shadow stand in it alone: nobody takes them
for served ones.  The only file of the service that imports SQLAlchemy.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from datetime import datetime, UTC
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sql
from sqlalchemy.schema import CreateIndex, CreateTable

from mlops_ladder import ProjectError
from mlops_ladder.plugins import get_hooks
from mlops_ladder.serving.events import Record

LOG = logging.getLogger(__name__)
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
NEVER = datetime.min.replace(tzinfo=UTC)
ARMS = sql.Table(
    "arms",
    sql.MetaData(),
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("rollout", sql.String(128), nullable=False, index=True),
    sql.Column("step", sql.Integer, nullable=False),
    sql.Column("request_id", sql.String(64), nullable=False),
    sql.Column("time", sql.DateTime(timezone=True), nullable=False),
    sql.Column("unit", sql.String(16), nullable=False),
    sql.Column("arm", sql.String(16), nullable=False),
    sql.Column("shadow", sql.Boolean, nullable=False),
    sql.Column("failed", sql.Boolean, nullable=False),
    sql.Column("output", sql.Text, nullable=False),
    sql.Column("rows", sql.Integer, nullable=False),
    sql.Column("latency_ms", sql.Float, nullable=False),
)
BATCH = 5_000


class Store:
    """A database to which several processes may write, one SQLite file too.

    Raises SQLAlchemy's errors where it cannot be reached, or does not take what it is given, and
    ValueError for a URL of which a driver would print a part of the password.
    """

    def __init__(self, url: str, table: sql.Table = TABLE) -> None:
        self._url, self._table = url, table
        if url.count("@") > 1 and not url.startswith("sqlite"):
            raise ValueError("the log's URL has more than one @; write one in a password as %40")
        self._open()

    def _open(self) -> None:
        self._engine = sql.create_engine(self._url, pool_pre_ping=True)
        if self._engine.dialect.name == "sqlite":
            sql.event.listen(self._engine, "connect", shared)
        with self._engine.begin() as connection:
            connection.execute(CreateTable(self._table, if_not_exists=True))
            for index in self._table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))
        self._file = self._inode()

    def _inode(self) -> tuple[int, int, bool] | None:
        """Which file SQLite writes to, and is there something in it?  None of another database."""
        try:
            found = os.stat(self._engine.url.database or "")
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size > 0

    def write(self, records: Sequence[Record]) -> None:
        """Add these rows: all of them, or none.

        A file that was removed or replaced is opened anew, and so is a database that has refused.
        """
        try:
            if self._inode() != self._file:
                LOG.warning("the log's file is another one, or the database failed: opened anew")
                self.close()
                self._open()
            with self._engine.begin() as connection:
                connection.execute(sql.insert(self._table), records)
            if self._inode() != self._file:
                raise OSError("the log's file was removed while it was written")
        except Exception:
            self._file = (-1, -1, False)
            raise

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()


def shared(connection: Any, _: Any) -> None:
    """Let readers and other writers of a SQLite file wait for each other, not fail."""
    for setting in ("busy_timeout = 10000", "journal_mode = wal", "synchronous = normal"):
        connection.execute(f"pragma {setting}")


def pairs(request_id: str, inputs: str, output: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each row and what was answered, in their order.  ProjectError where they are damaged."""
    try:
        return list(zip(orjson.loads(inputs), orjson.loads(output), strict=True))
    except (ValueError, TypeError) as error:
        told = f"request {request_id} is damaged ({error})"
        way_out = "to delete it: docs/runbooks/deletion.md, A request"
        raise ProjectError(f"the prediction log: {told}; {way_out}") from error


def clear_linked(db: sql.Connection, before: datetime = NEVER, names: Sequence[str] = ()) -> None:
    """Delete from the tables beside the log what belongs to these requests, or is from before."""
    present = sql.inspect(db).get_table_names()
    for delete in get_hooks().build_linked_deletion(before=before, names=names):
        if delete.table.name in present:
            db.execute(delete)


def deletion(before: datetime, names: Sequence[str]) -> sql.Delete:
    """Deletes what is from before that time, and these requests; failed ones stand only here."""
    return sql.delete(ARMS).where((ARMS.c.time < before) | ARMS.c.request_id.in_(names))


def arms(url: str, rollout: str, step: int | None = None) -> Iterator[dict[str, Any]]:
    """What both arms did in a rollout, or in one step of it, in their order.

    Raises ProjectError where the database cannot be read; its URL may hold a password.
    """
    place = sql.make_url(url)
    if place.get_backend_name() == "sqlite" and not Path(place.database or "").is_file():
        return
    engine = sql.create_engine(place)
    query = sql.select(ARMS).where(ARMS.c.rollout == rollout).order_by(ARMS.c.id)
    if step is not None:
        query = query.where(ARMS.c.step == step)
    try:
        if sql.inspect(engine).has_table(ARMS.name):
            with engine.connect() as connection:
                rows = connection.execution_options(yield_per=BATCH).execute(query)
                yield from (row._asdict() for row in rows)
    except sql.exc.SQLAlchemyError as error:
        told = str(error).partition("\n")[0]
        raise ProjectError(
            f"serving.prediction_log_url: the database cannot be read: {told}"
        ) from error
    finally:
        engine.dispose()
