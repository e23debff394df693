"""The tables of predictions, and of the variants of a rollout: the answers of each model by unit.

The table of variants holds no inputs.  Answers in the shadow are in this table only, so that nobody
takes them for served ones.  The only file of the service that imports SQLAlchemy.
"""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
BEGINNING = datetime.min.replace(tzinfo=UTC)
VARIANTS = sql.Table(
    "arms",  # its name in the databases that exist
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
    """A database to which several processes may write, even if it is a SQLite file.

    Raises SQLAlchemy's errors if it cannot be reached or refuses a row.  Raises ValueError for a
    URL with a password that a driver would print in part.
    """

    def __init__(self, url: str, table: sql.Table = TABLE) -> None:
        self._url, self._table = url, table
        self._open()

    def _open(self) -> None:
        self._engine = open_database(self._url, self._table)
        self._file = self._inode()

    def _inode(self) -> tuple[int, int, bool] | None:
        """Return device, inode and whether SQLite's file has content; None for another database."""
        try:
            stat = os.stat(self._engine.url.database or "")
        except OSError:
            return None
        return stat.st_dev, stat.st_ino, stat.st_size > 0

    def write(self, records: Sequence[Record]) -> None:
        """Write these rows: all of them, or none.

        A file that was removed or replaced is opened again, and so is a database that has failed.
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
        """Close all connections."""
        self._engine.dispose()


def open_database(url: str, *tables: sql.Table) -> sql.Engine:
    """Return a database with these tables.

    Raises SQLAlchemy's errors if it cannot be reached, and ValueError for a URL with a password
    that a driver would print in part.
    """
    if url.count("@") > 1 and not url.startswith("sqlite"):
        raise ValueError("the log's URL has more than one @; write one in a password as %40")
    engine = sql.create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        sql.event.listen(engine, "connect", share_sqlite_file)
    with engine.begin() as connection:
        for table in tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))
    return engine


@contextmanager
def raise_as_project_error(reason: str, way_out: str = "") -> Iterator[None]:
    """Raise an error of the database as ProjectError, with the first line of its message."""
    try:
        yield
    except sql.exc.SQLAlchemyError as error:
        first_line = str(error).partition("\n")[0]
        raise ProjectError(
            f"serving.prediction_log_url: {reason}: {first_line}{way_out}"
        ) from error


def share_sqlite_file(connection: Any, _: Any) -> None:
    """Let readers and writers of a SQLite file wait for each other instead of failing."""
    for setting in ("busy_timeout = 10000", "journal_mode = wal", "synchronous = normal"):
        connection.execute(f"pragma {setting}")


def pair_rows(
    request_id: str, inputs: str, output: str
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return each row of a logged request with its answer.  Raise ProjectError if it is damaged."""
    try:
        return list(zip(orjson.loads(inputs), orjson.loads(output), strict=True))
    except (ValueError, TypeError) as error:
        raise ProjectError(
            f"the prediction log: request {request_id} is damaged ({error});"
            " to delete it: docs/runbooks/deletion.md, A request"
        ) from error


def delete_linked(
    db: sql.Connection, before: datetime = BEGINNING, names: Sequence[str] = ()
) -> None:
    """Delete from the tables beside the log the rows of these requests, and older rows."""
    present = sql.inspect(db).get_table_names()
    for delete in get_hooks().build_linked_deletion(before=before, names=names):
        if delete.table.name in present:
            db.execute(delete)


def delete_variants(before: datetime, names: Sequence[str]) -> sql.Delete:
    """Return a statement that deletes older requests, and these; failed ones are only here."""
    return sql.delete(VARIANTS).where((VARIANTS.c.time < before) | VARIANTS.c.request_id.in_(names))


def read_variants(url: str, rollout: str, step: int | None = None) -> Iterator[dict[str, Any]]:
    """Yield the requests of both variants of a rollout, or of one step of it, in their order.

    Raises ProjectError, without the password of the URL, if the database cannot be read.
    """
    address = sql.make_url(url)
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file():
        return
    engine = sql.create_engine(address)
    query = sql.select(VARIANTS).where(VARIANTS.c.rollout == rollout).order_by(VARIANTS.c.id)
    if step is not None:
        query = query.where(VARIANTS.c.step == step)
    try:
        if sql.inspect(engine).has_table(VARIANTS.name):
            with engine.connect() as connection:
                rows = connection.execution_options(yield_per=BATCH).execute(query)
                yield from (row._asdict() for row in rows)
    except sql.exc.SQLAlchemyError as error:
        reason = str(error).partition("\n")[0]
        raise ProjectError(
            f"serving.prediction_log_url: the database cannot be read: {reason}"
        ) from error
    finally:
        engine.dispose()
