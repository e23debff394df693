"""Tables of databases: read in blocks, and written in one transaction.  By SQLAlchemy.

A table is named `postgresql://user@host/base#schema.table`, or by a query: `…#select …`.  The URL
may be in a variable of the environment instead, with its password: `sql://NAME#table`.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sql

from mlops_ladder import ProjectError
from mlops_ladder.data.formats import Format, make_frame, make_table, Rows
from mlops_ladder.data.remote import get_snapshot_folder, mask_secrets, refuse_credentials

BLOCK = 50_000  # rows that are asked for at a time
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
PACKAGES = {"psycopg": "psycopg[binary]", "MySQLdb": "mysqlclient"}
TABLE = re.compile(r"(?:([\w$]+)\.)?([\w$]+)")
QUERY = re.compile(r"\s*(?:select|with)\b", re.I)
VARIABLE = re.compile(r"sql://\$?(\w+)")


@dataclass(frozen=True)
class Address:
    """A table, or a query, of a database."""

    source: str
    url: sql.URL
    schema: str | None
    table: str
    query: str

    @contextmanager
    def connect(self, fault: str) -> Iterator[sql.Connection]:
        """Open a connection; nothing is committed unless its user does it.

        Raises ProjectError, without the password, for any error of the database.
        """
        try:
            with create_engine(self.url).connect() as connection:
                yield connection
        except sql.exc.SQLAlchemyError as error:
            password = str(self.url.password or "***")
            reason = str(getattr(error, "orig", None) or error).partition("\nDETAIL")[0]
            reason = mask_secrets(reason, password, quote(password, safe=""))
            raise ProjectError(f"{self.source}: {fault}: {reason}") from None


def create_engine(url: sql.URL) -> sql.Engine:
    """Return an engine.  Raise ProjectError with the command that adds a missing driver."""
    try:
        engine = sql.create_engine(url, poolclass=sql.NullPool)
    except ModuleNotFoundError as error:
        fault = f"{url.drivername}://: {error.name} is not installed; add it"
        raise ProjectError(f"{fault}: uv add '{PACKAGES.get(str(error.name), error.name)}'") from None
    if engine.dialect.name == "sqlite":  # its driver begins no transaction before DDL
        sql.event.listen(engine, "connect", lambda db, _: setattr(db, "isolation_level", None))
        sql.event.listen(engine, "begin", lambda db: db.exec_driver_sql("begin"))
    return engine


def parse_address(source: str) -> Address:
    """Return the database and the table or query of a source.

    Raises ProjectError for a credential in it, an unset variable, or no table.
    """
    refuse_credentials(source)
    address, _, what = source.partition("#")
    if variable := VARIABLE.fullmatch(address):
        if not (address := os.environ.get(variable[1], "")):
            fault = f"{source}: the environment has no {variable[1]}"
            raise ProjectError(f"{fault}; set it to the URL of the database")
    try:
        url = sql.make_url(address.removeprefix("sql://"))
        if "@" in str(url.host):
            raise ValueError("an error would show the part of the password that looks like a host")
    except (sql.exc.ArgumentError, ValueError):
        way_out = "write postgresql://user@host/base#table; an @ in a password is %40"
        raise ProjectError(f"{source}: no URL of a database; {way_out}") from None
    url = url.set(drivername=DRIVERS.get(url.drivername, url.drivername))
    named, is_query = TABLE.fullmatch(what), QUERY.match(what)
    if not named and not is_query:
        raise ProjectError(f"{source}: names no table; add one, or a query: #table or '#select …'")
    schema, table = (named[1], named[2]) if named else (None, "")
    return Address(source, url, schema, table, what if is_query else "")


@dataclass(frozen=True)
class TableSource:
    """The rows of a table or query; they are read in blocks, by a cursor of the server."""

    address: Address

    def __str__(self) -> str:
        return self.address.source

    @property
    def format(self) -> Format:
        """Return how the rows are read."""
        return Format("a table", self.read_rows)

    def read_rows(self, _file: Any, _data: Any, _text: Any, size: int | None) -> Rows:
        """Yield the rows, in the order of the primary key, if there is one."""
        blocks = self.read_blocks(size or BLOCK)
        yield from map(make_frame, blocks if size else [join_blocks(list(blocks))])

    def read_blocks(self, size: int) -> Iterator[pa.Table]:
        """Yield blocks of rows.  Raise ProjectError if there are none, or the database fails."""
        url, blocks = self.address.url, 0
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise ProjectError(f"{self}: no such file in {Path.cwd()}")
        with self.address.connect("cannot be read") as db:
            db = db.execution_options(stream_results=True, max_row_buffer=size, no_parameters=True)
            result = db.exec_driver_sql(self.address.query or self.select_all(db))
            for blocks, rows in enumerate(result.partitions(size), 1):
                yield make_table(list(result.keys()), rows)
        if not blocks:
            raise ProjectError(f"{self}: no rows; at least one is needed")

    def select_all(self, db: sql.Connection) -> str:
        """Return the query of all rows.  Raise ProjectError if there is no such table."""
        table = find_table(db, self.address.table, self.address.schema)
        if table is None:
            names = ", ".join(sql.inspect(db).get_table_names(self.address.schema)[:20])
            raise ProjectError(f"{self}: no such table; there are: {names or 'none'}")
        return str(sql.select(table).order_by(*table.primary_key).compile(db))


def join_blocks(blocks: list[pa.Table]) -> pa.Table:
    """Return all rows; a column without values in one block has the kind that others give it."""
    return pa.concat_tables(blocks, promote_options="permissive")


def list_parts(source: str) -> list[TableSource]:
    """Return the table or query of a source."""
    return [TableSource(parse_address(source))]


def save_snapshot(source: str, folder: Path) -> None:
    """Write the rows, as they are now, to a Parquet file in this folder."""
    name = get_snapshot_folder(source).name.rpartition("-")[0]
    try:
        rows = join_blocks(list(list_parts(source)[0].read_blocks(BLOCK)))
    except (ValueError, TypeError) as error:  # Arrow's for values of several kinds
        way_out = "name and cast the columns in a query: '#select …'"
        raise ProjectError(f"{source}: cannot be read: {mask_secrets(error)}; {way_out}") from None
    pq.write_table(rows, folder / f"{name}.parquet")


def find_table(db: sql.Connection, name: str, schema: str | None) -> sql.Table | None:
    """Return a table or view as it is in the database; None if there is none."""
    inspector = sql.inspect(db)
    if not inspector.has_table(name, schema) and name not in inspector.get_view_names(schema):
        return None
    return sql.Table(name, sql.MetaData(), schema=schema, autoload_with=db)


@contextmanager
def open_table(source: str, keys: list[str]) -> Iterator["TableWriter"]:
    """Open a table to write to; without `commit`, it stays as it was.

    Rows replace those with the same keys; without keys, they replace all rows.  Raises ProjectError
    if there is another table of this name, or if the database fails.
    """
    address = parse_address(source)
    if address.query:
        raise ProjectError(f"{source}: a query; name the table to write to: #table")
    with address.connect("cannot be written; it is as it was") as db:
        yield TableWriter(db, address, keys)


class TableWriter:
    """Answers and rejected rows: they are collected beside the table, and moved in at once."""

    def __init__(self, db: sql.Connection, address: Address, keys: list[str]) -> None:
        self._db, self._address, self._keys = db, address, keys
        self._target = self._find_own(address.table, {"prediction", "model_version"})
        self._beside = self._find_own(f"{address.table}_rejected", {"row", "reason"})
        self._staged = f"{address.table}_{os.getpid()}"
        self._begun = False
        self._rejected: list[pd.DataFrame] = []

    def _find_own(self, name: str, marks: set[str]) -> sql.Table | None:
        """Return a table that an earlier batch made.  Raise ProjectError if it is another."""
        table = find_table(self._db, name, self._address.schema)
        if table is not None and (missing := sorted(marks - set(table.c.keys()))):
            fault = f"table {name} is of something else: it has no column {missing[0]}"
            raise ProjectError(f"{self._address.source}: {fault}; write to another table")
        return table

    def write(self, frame: pd.DataFrame) -> None:
        """Collect these answers.  Raise ProjectError for a missing key, or for a new column."""
        types = {} if self._target is None else {each.name: each.type for each in self._target.c}
        if missing := [key for key in self._keys if key not in frame or frame[key].isna().any()]:
            fault = f"{missing[0]} is missing, and rows of this table are found by it"
            raise ProjectError(f"{self._address.source}: {fault}; add it to each row")
        if types and (new := [str(name) for name in frame if name not in types]):
            way_out = "add it by ALTER TABLE, or write to another table"
            raise ProjectError(f"{self._address.source}: has no column {new[0]}; {way_out}")
        self._append(frame, self._staged, "append" if self._begun else "fail", types)
        self._begun = True

    def _append(self, frame: pd.DataFrame, name: str, if_exists: Any, types: Any = None) -> None:
        """Add rows to a table, and create it first if it is not there."""
        options: Any = {"schema": self._address.schema, "dtype": types, "chunksize": BLOCK}
        frame.to_sql(name, self._db, if_exists=if_exists, index=False, **options)

    def reject(self, frame: pd.DataFrame) -> None:
        """Collect these rejected rows."""
        self._rejected.append(frame)

    def commit(self) -> None:
        """Move all into the tables, in one transaction.  Raise ProjectError for equal keys."""
        db, target, keys = self._db, self._target, self._keys
        new = find_table(db, self._staged, self._address.schema)
        if new is None:
            return
        self._refuse_equal_keys([new.c[key] for key in keys])
        names = db.dialect.identifier_preparer
        if target is None:
            name = names.quote(self._address.table)
            db.exec_driver_sql(f"alter table {names.format_table(new)} rename to {name}")
        else:
            if db.dialect.name == "postgresql":  # another batch waits
                name = names.format_table(target)
                db.exec_driver_sql(f"lock table {name} in share row exclusive mode")
            same = [target.c[key] == new.c[key] for key in keys]
            gone = sql.exists().where(*same) if keys else sql.true()
            db.execute(sql.delete(target).where(gone))
            db.execute(sql.insert(target).from_select(list(new.c.keys()), sql.select(new)))
            new.drop(db)
        self._store_rejected()
        db.commit()

    def _refuse_equal_keys(self, keys: list[sql.Column[Any]]) -> None:
        """Raise ProjectError if two rows have the same keys: one would replace the other."""
        equal = (
            sql.select(*keys).group_by(*keys).having(sql.func.count() > 1)
        )  # pylint: disable=E1102
        if keys and (row := self._db.execute(equal).first()):
            pairs = ", ".join(f"{key} = {value}" for key, value in zip(self._keys, row, strict=True))
            fault = f"{pairs} is in several rows, and the table holds one for each"
            raise ProjectError(f"{self._address.source}: {fault}; keep one of them")

    def _store_rejected(self) -> None:
        """Replace the rejected rows of the batch before."""
        if self._beside is not None:
            self._db.execute(sql.delete(self._beside))
        if self._rejected:
            rows = pd.concat(self._rejected)
            self._append(rows, f"{self._address.table}_rejected", "append")
