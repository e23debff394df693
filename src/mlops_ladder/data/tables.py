"""Tables of databases: read in blocks, and written in one transaction.  By SQLAlchemy.

A table is named `postgresql://user@host/base#schema.table`, or by a query: `…#select …`.  The URL
may be in a variable of the environment instead, with its password: `sql://NAME#table`.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import sqlalchemy as sql
from sqlalchemy.dialects.postgresql import TIMESTAMP

from mlops_ladder import ProjectError
from mlops_ladder.data.formats import Format, make_frame, make_table, Rows
from mlops_ladder.data.reading import read_file
from mlops_ladder.data.remote import get_snapshot_folder, mask_secrets, refuse_credentials
from mlops_ladder.settings import Data

BLOCK = 50_000  # rows that are asked for at a time
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
PACKAGES = {"psycopg": "psycopg[binary]", "MySQLdb": "mysqlclient"}
TABLE = re.compile(r"(?:([\w$]+)\.)?([\w$]+)")
QUERY = re.compile(r"\s*(?:select|with)\b", re.I)
VARIABLE = re.compile(r"sql://\$?(\w+)")


@dataclass(frozen=True)
class Table:
    """A table, or a query, of a database."""

    source: str
    url: sql.URL
    schema: str | None
    name: str
    query: str
    times: tuple[str, datetime, datetime] | None = None  # a column, and the ends of a period

    def __str__(self) -> str:
        return self.source

    @property
    def format(self) -> Format:
        """Return how the rows are read."""
        return Format("a table", self.read_rows)

    def read_rows(self, _file: Any, _data: Any, _text: Any, size: int | None) -> Rows:
        """Yield the rows in blocks, by a cursor of the server; in the order of the primary key."""
        if self.url.get_backend_name() == "sqlite" and not Path(self.url.database or "").is_file():
            raise ProjectError(f"{self}: no such file in {Path.cwd()}")
        with self.connect("cannot be read") as db:
            most = size or BLOCK
            options: Any = {"no_parameters": bool(self.query), "max_row_buffer": most}
            db = db.execution_options(stream_results=True, **options)
            whole: Any = None if self.query else self._select_all(db)
            result = db.exec_driver_sql(str(whole or self.query), whole and whole.params)
            blocks = (make_table(list(result.keys()), rows) for rows in result.partitions(most))
            if size:
                yield from map(make_frame, blocks)
            elif parts := list(blocks):  # a column without values has the kind of other blocks
                yield make_frame(pa.concat_tables(parts, promote_options="permissive"))

    def _select_all(self, db: sql.Connection) -> sql.Compiled:
        """Return the query of all rows, or of those in `times` and those without a time.

        PostgreSQL chooses by a column of times without an offset; else these are all rows.  Raises
        ProjectError if there is no such table.
        """
        table = find_table(db, self.name, self.schema)
        if table is None:
            names = ", ".join(sql.inspect(db).get_table_names(self.schema)[:20])
            raise ProjectError(f"{self}: no such table; there are: {names or 'none'}")
        rows = sql.select(table).order_by(*table.primary_key)
        name, start, end = self.times or ("", None, None)
        column: Any = table.c.get(name, sql.null())
        if isinstance(column.type, TIMESTAMP) and not column.type.timezone:
            rows = rows.where(column.is_(None) | ((column >= start) & (column < end)))
        return rows.compile(db)

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
        package = PACKAGES.get(str(error.name), error.name)
        fault = f"{url.drivername}://: {error.name} is not installed"
        raise ProjectError(f"{fault}; add it: uv add '{package}'") from None
    if engine.dialect.name == "sqlite":  # its driver begins no transaction before DDL
        sql.event.listen(engine, "connect", prepare_sqlite)
        sql.event.listen(engine, "begin", lambda db: db.exec_driver_sql("begin"))
    return engine


def prepare_sqlite(connection: Any, _: Any) -> None:
    """Leave transactions to SQLAlchemy, and the file to its readers until the commit."""
    connection.isolation_level = None
    connection.execute("pragma cache_spill = off")


def parse_table(source: str) -> Table:
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
    return Table(source, url, schema, table, what if is_query else "")


def save_table(source: str, folder: Path) -> None:
    """Write the rows, as they are now, to a Parquet file in this folder."""
    name = get_snapshot_folder(source).name.rpartition("-")[0]
    rows = pd.concat(read_file(parse_table(source), Data(path=source)))
    rows.to_parquet(folder / f"{name}.parquet", index=False)


def find_table(db: sql.Connection, name: str, schema: str | None) -> sql.Table | None:
    """Return a table or view as it is in the database; None if there is none."""
    if not sql.inspect(db).has_table(name, schema):
        return None
    return sql.Table(name, sql.MetaData(), schema=schema, autoload_with=db)


@contextmanager
def open_table(source: str, keys: list[str]) -> Iterator["TableWriter"]:
    """Open a table to write to; without `commit`, it stays as it was.

    Rows replace those with the same keys; without keys, they replace all rows.  Raises ProjectError
    if there is another table of this name, or if the database fails.
    """
    table = parse_table(source)
    if table.query:
        raise ProjectError(f"{source}: a query; name the table to write to: #table")
    with table.connect("cannot be written; it is as it was") as db:
        yield TableWriter(db, table, keys)


class TableWriter:
    """Answers and rejected rows: they are collected beside the table, and moved in at once."""

    def __init__(self, db: sql.Connection, table: Table, keys: list[str]) -> None:
        self._db, self._table, self._keys = db, table, keys
        self._target = self._find_own(table.name, {"prediction", "model_version"})
        self._beside = self._find_own(f"{table.name}_rejected", {"row", "reason"})
        self._staged = f"{table.name}_{uuid4().hex[:8]}"
        self._rejected: list[pd.DataFrame] = []

    def _find_own(self, name: str, marks: set[str]) -> sql.Table | None:
        """Return a table that an earlier batch made.  Raise ProjectError if it is another."""
        table = find_table(self._db, name, self._table.schema)
        if table is not None and (missing := sorted(marks - set(table.c.keys()))):
            fault = f"table {name} is of something else: it has no column {missing[0]}"
            raise ProjectError(f"{self._table}: {fault}; write to another table")
        return table

    def write(self, frame: pd.DataFrame) -> None:
        """Collect these answers.  Raise ProjectError for a missing key, or for a new column."""
        types = {} if self._target is None else {each.name: each.type for each in self._target.c}
        if missing := [key for key in self._keys if key not in frame or frame[key].isna().any()]:
            fault = f"{missing[0]} is missing, and rows of this table are found by it"
            raise ProjectError(f"{self._table}: {fault}; add it to each row")
        if types and (new := [str(name) for name in frame if name not in types]):
            way_out = "add it by ALTER TABLE, or write to another table"
            raise ProjectError(f"{self._table}: has no column {new[0]}; {way_out}")
        self._append(frame, self._staged, types)

    def _append(self, frame: pd.DataFrame, name: str, types: Any = None) -> None:
        """Add rows to a table, and create it first if it is not there."""
        options: Any = {"schema": self._table.schema, "dtype": types, "chunksize": BLOCK}
        frame.to_sql(name, self._db, if_exists="append", index=False, **options)

    def reject(self, frame: pd.DataFrame) -> None:
        """Collect these rejected rows."""
        self._rejected.append(frame)

    def commit(self) -> None:
        """Move all into the tables, in one transaction.  Raise ProjectError for equal keys."""
        db, target, keys = self._db, self._target, self._keys
        new = find_table(db, self._staged, self._table.schema)
        if new is None:
            return
        self._refuse_equal_keys([new.c[key] for key in keys])
        names = db.dialect.identifier_preparer
        if target is None:
            name = names.quote(self._table.name)
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
        equal = sql.select(*keys).group_by(*keys).having(sql.text("count(*) > 1"))
        if keys and (row := self._db.execute(equal).first()):
            pairs = [f"{key} = {value}" for key, value in zip(self._keys, row, strict=True)]
            fault = f"{', '.join(pairs)} is in several rows, and the table holds one for each"
            raise ProjectError(f"{self._table}: {fault}; keep one of them")

    def _store_rejected(self) -> None:
        """Replace the rejected rows of the batch before."""
        if self._beside is not None:
            self._db.execute(sql.delete(self._beside))
        if self._rejected:
            self._append(pd.concat(self._rejected), f"{self._table.name}_rejected")


def list_tables(source: str) -> list[Table]:
    """Return the table or query of a source."""
    return [parse_table(source)]


OPEN, SAVE = list_tables, save_table
