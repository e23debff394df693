"""The archive: the prediction log as it is read and cleared, and the stored verdicts of reports.

Beside `serving/store.py`, which writes the log, the only file that imports SQLAlchemy.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, UTC
from itertools import compress, islice
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import numpy as np
import orjson
import pandas as pd
import sqlalchemy as sql

from mlops_ladder import project, ProjectError
from mlops_ladder.data import datafile
from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.contract import Contract
from mlops_ladder.data.validation import find_contract_violations
from mlops_ladder.serving.store import delete_linked, pair_rows, raise_as_project_error, TABLE
from mlops_ladder.settings import Data

BATCH = 5_000  # rows that are in memory at a time
MAX_PARAMETERS = 1_000  # of one query: every database takes as many
CHUNK = 20_000  # rows that become a data frame at a time: plain Python objects take ten times more
LoggedRow = tuple[str, datetime, dict[str, Any], dict[str, Any]]  # request, time, inputs, answer


def make_verdict_table(name: str, *columns: sql.Column[Any]) -> sql.Table:
    """Return a table of verdicts: each has the time, the model, the number of rows, and these."""
    return sql.Table(
        name,
        sql.MetaData(),
        sql.Column("id", sql.Integer, primary_key=True),
        sql.Column("time", sql.DateTime(timezone=True), nullable=False, index=True),
        sql.Column("model_version", sql.String(64), nullable=False),
        sql.Column("rows", sql.Integer, nullable=False),
        *columns,
    )


DRIFT = make_verdict_table(
    "drift",
    sql.Column("column", sql.Text, nullable=False),
    sql.Column("p", sql.Float, nullable=False),
    sql.Column("effect", sql.Float, nullable=False),
    sql.Column("drifted", sql.Boolean, nullable=False),
)


class NoLog(ProjectError):
    """Nothing was logged yet."""


@dataclass(frozen=True)
class Change:
    """A logged request that loses rows: its number and id, which rows, and the rows that stay.

    Rows count from 1.  Each that stays is a pair of inputs and answer.
    """

    number: int
    request_id: str
    gone: list[int]
    kept: list[tuple[Any, Any]]


class Archive:
    """The database of the prediction log.

    Raises NoLog if it does not exist or holds no log, and ProjectError if it cannot be read.  The
    messages do not show the URL, which may hold a password.
    """

    def __init__(self, url: str) -> None:
        place = sql.make_url(url)
        file = Path(place.database or "") if place.get_backend_name() == "sqlite" else None
        if file and not file.is_file():
            name = f"{project.get_project().prefix}SERVING__PREDICTION_LOG_URL"
            other = f"or set {name} to that of a service elsewhere"
            raise NoLog(f"{file}: no prediction log is here; run `make serve` and ask it, {other}")
        self._engine = sql.create_engine(url)
        with raise_as_project_error("the database cannot be read"):
            has_log = sql.inspect(self._engine).has_table(TABLE.name)
        if not has_log:
            reason = "the database holds no prediction log; is it the one?"
            raise NoLog(f"serving.prediction_log_url: {reason}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._engine.dispose()

    def find_newest(self, version: str, since: datetime, max_rows: int) -> np.ndarray:
        """Return id and row count of the newest requests: an array (requests, 2), oldest first.

        Args:
            version: The model that answered; "" for any.
            since: The time of the oldest request.
            max_rows: Whole requests are taken until they hold so many rows.
        """
        table, newest, total = TABLE.c, [], 0
        query = sql.select(table.id, table.rows).where(table.time >= since)
        query = query.where(table.model_version == version) if version else query
        for number, rows in self._read(query.order_by(table.id.desc())):
            if total >= max_rows:
                break
            newest.append((number, rows))
            total += rows
        return np.array(newest[::-1], dtype="int64").reshape(-1, 2)

    def read_requests(self, numbers: Sequence[int]) -> Iterator[Sequence[Any]]:
        """Yield id, time, inputs and output of the requests with these numbers, in their order."""
        table = TABLE.c
        query = sql.select(table.request_id, table.time, table.inputs, table.output)
        return self._read_in(query.order_by(table.id), table.id, numbers)

    def read_request(self, request_id: str) -> Any:
        """Return the newest request of this id in the log.  Raise ProjectError without one."""
        query = sql.select(TABLE).where(TABLE.c.request_id == request_id)
        requests = list(self._read(query.order_by(TABLE.c.id.desc()).limit(1)))
        if not requests:
            reason = "no such request in the prediction log; X-Request-ID of an answer names it"
            raise ProjectError(f"{request_id}: {reason}")
        return requests[0]

    def read_traffic(self, since: datetime) -> pd.DataFrame:
        """Return `time`, `version`, `rows` and `ms` of each request to any model since then.

        Raises ProjectError if there is none.
        """
        table = TABLE.c
        query = sql.select(table.time, table.model_version, table.rows, table.latency_ms)
        requests = self._read(query.where(table.time >= since).order_by(table.id))
        traffic = pd.DataFrame(requests, columns=["time", "version", "rows", "ms"])
        if traffic.empty:
            reason = f"no request since {since:%Y-%m-%d %H:%M} UTC"
            raise ProjectError(f"the prediction log: {reason}; run `make serve` and ask it")
        return traffic.assign(time=pd.to_datetime(traffic["time"], utc=True))

    def add_verdicts(self, verdicts: Iterable[dict[str, Any]], table: sql.Table = DRIFT) -> None:
        """Store these verdicts in a table, by its columns: on drift, or another one."""
        names = table.c.keys()[1:]
        with self._engine.begin() as connection:
            table.create(connection, checkfirst=True)
            if rows := [{name: verdict[name] for name in names} for verdict in verdicts]:
                connection.execute(sql.insert(table), rows)

    def read_verdicts(self, since: datetime, table: sql.Table = DRIFT) -> list[dict[str, Any]]:
        """Return the stored verdicts since that time, in their order."""
        if not sql.inspect(self._engine).has_table(table.name):
            return []
        query = sql.select(table).where(table.c.time >= since).order_by(table.c.id)
        return [row._asdict() for row in self._read(query)]

    def find_changes(self, belongs: Callable[[dict[str, Any]], bool]) -> list[Change]:
        """Return the changes after which no row for which `belongs` is true is left in the log."""
        changes = []
        columns = TABLE.c.id, TABLE.c.request_id, TABLE.c.inputs, TABLE.c.output
        for number, name, inputs, output in self._read(sql.select(*columns).order_by(TABLE.c.id)):
            lines = pair_rows(name, inputs, output)
            is_gone = [belongs(row) for row, _ in lines]
            if any(is_gone):
                gone = [place for place, mark in enumerate(is_gone, start=1) if mark]
                kept = [line for line, mark in zip(lines, is_gone, strict=True) if not mark]
                changes.append(Change(number, name, gone, kept))
        return changes

    def apply_changes(self, changes: Sequence[Change]) -> None:
        """Apply all changes to the log, or none and raise.  A request without rows is deleted.

        A request with fewer rows gets another id: "its third row" would be another one now.
        """
        with self._vacuum_after() as connection:
            for change in changes:
                inputs, output = (
                    orjson.dumps([line[side] for line in change.kept]).decode() for side in (0, 1)
                )
                values = {"inputs": inputs, "output": output, "rows": len(change.kept)}
                update = sql.update(TABLE).values(values | {"request_id": uuid4().hex})
                statement = update if change.kept else sql.delete(TABLE)
                connection.execute(statement.where(TABLE.c.id == change.number))
            for names in split_values(change.request_id for change in changes):
                delete_linked(connection, names=names)

    def delete_before(self, time: datetime) -> tuple[int, int]:
        """Delete the requests from before that time.  Return how many, and how many are left."""
        with self._vacuum_after() as connection:
            gone = connection.execute(sql.delete(TABLE).where(TABLE.c.time < time)).rowcount
            delete_linked(connection, time)
            left = connection.scalar(sql.select(sql.func.count()).select_from(TABLE))
        return gone, int(left or 0)

    @contextmanager
    def _vacuum_after(self) -> Iterator[sql.Connection]:
        """Open a transaction, then vacuum: no page of the file still holds what was deleted."""
        with raise_as_project_error("cannot be cleared", "; run it again"):
            with self._engine.begin() as connection:
                yield connection
            with self._engine.connect() as connection:
                autocommit = connection.execution_options(isolation_level="AUTOCOMMIT")
                autocommit.exec_driver_sql("vacuum")
                if self._engine.dialect.name == "sqlite":
                    autocommit.exec_driver_sql("pragma wal_checkpoint(truncate)")

    def _read(self, query: Any) -> Iterator[Any]:
        with self._engine.connect() as connection:
            yield from connection.execution_options(yield_per=BATCH).execute(query)

    def _read_in(self, query: Any, column: Any, values: Iterable[Any]) -> Iterator[Any]:
        """Yield the rows in which the column has one of these values, some values at a time."""
        for part in split_values(dict.fromkeys(values)):
            yield from self._read(query.where(column.in_(part)))


def split_values(values: Iterable[Any]) -> Iterator[list[Any]]:
    """Yield the values in parts that one query may have as parameters."""
    remaining = iter(values)
    while part := list(islice(remaining, MAX_PARAMETERS)):
        yield part


@dataclass(frozen=True)
class Window:
    """Logged rows of one model, the oldest first.

    `total` rows were logged.  `rows` has the inputs of those that were read, cast by the contract.
    `answers` has their `request_id`, `time`, `prediction`, `score` and the whole `answer`.
    """

    total: int
    rows: pd.DataFrame
    answers: pd.DataFrame


@dataclass(frozen=True)
class Extent:
    """The size of a window: it ends after so many hours, or earlier after so many rows.

    Of more than `max_rows` rows a sample is drawn, by `seed`.
    """

    hours: float
    rows: int
    max_rows: int
    seed: int = 0


def read_window(
    archive: Archive, version: str, contract: Contract, extent: Extent, now: datetime | None = None
) -> Window:
    """Read the newest logged rows of a model, without those that the fallback answered.

    Memory holds the rows that are read, not the log.

    Args:
        archive: The prediction log.
        version: The model that answered.
        contract: The contract of the rows.
        extent: How far the window goes back.
        now: The end of the window.

    Raises:
        NoLog: The model answered no row in that time.
        ProjectError: The fallback answered all rows, or rows break the contract.
    """
    since = (now or datetime.now(UTC)) - timedelta(hours=extent.hours)
    requests = archive.find_newest(version, since, extent.rows)
    total = int(requests[:, 1].sum())
    if not total:
        reason = f"model {version} has answered no row in the last {extent.hours:g} hours"
        raise NoLog(f"the prediction log: {reason}; run `make serve` and ask it")
    as_logged = to_logged_contract(contract)
    lines = sample_rows(archive, requests, extent)
    parts = []
    while chunk := list(islice(lines, CHUNK)):
        parts.append((build_inputs(chunk, as_logged), build_answers(chunk)))
    if not parts:
        raise ProjectError(f"the prediction log: a stand-in has answered all {total} newest rows")
    return Window(total, *(pd.concat(side, ignore_index=True) for side in zip(*parts, strict=True)))


def sample_rows(archive: Archive, requests: np.ndarray, extent: Extent) -> Iterator[LoggedRow]:
    """Yield the rows of these requests, or a random share of them, without those of the fallback.

    Rows are drawn, not requests: one request may hold as many rows as thousands of others.

    Args:
        archive: The prediction log.
        requests: Id and number of rows of each request, an array (requests, 2).
        extent: About how many rows are drawn, and by which seed.
    """
    ends = requests[:, 1].cumsum()
    is_drawn = np.random.default_rng(extent.seed).random(ends[-1]) < extent.max_rows / ends[-1]
    has_drawn = np.logical_or.reduceat(is_drawn, ends - requests[:, 1])
    lines = archive.read_requests(requests[has_drawn, 0].tolist())
    masks = np.split(is_drawn, ends[:-1])
    for mask, (name, time, inputs, output) in zip(compress(masks, has_drawn), lines, strict=True):
        for (row, answer), is_taken in zip(pair_rows(name, inputs, output), mask, strict=True):
            if is_taken and not answer.get("fallback"):
                yield name, time, row, answer


def to_logged_contract(contract: Contract) -> Contract:
    """Return the contract of rows as they are logged: every time is in ISO 8601."""
    columns = contract.columns.items()
    logged = {name: column.model_copy(update={"format": None}) for name, column in columns}
    return contract.model_copy(update={"columns": logged})


def complete_rows(
    rows: pd.DataFrame,
    labels: list[tuple[str, int]],
    paths: list[Path],
    data: Data,
    contract: Contract,
) -> pd.DataFrame:
    """Return logged rows as rows of the data: with ids and groups of their own, and checked.

    Args:
        rows: The rows with their target, cast by the contract of logged rows.
        labels: The name of each row, and its number among the new ones.
        paths: The files after whose largest id the numbers go on.
        data: How the data are written.
        contract: The contract of the data.

    Raises:
        ProjectError: The rows break the contract.
    """
    rows = rows.copy()
    datafile.add_ids(rows, labels, paths, data, contract)
    names = contract.names("feature", "time", "target", "id", "group")
    return validate_and_cast(rows, to_logged_contract(contract), names, [find_contract_violations])


def build_inputs(chunk: list[LoggedRow], contract: Contract) -> pd.DataFrame:
    """Return the inputs of these rows, cast by the contract of logged rows."""
    names = contract.inputs()
    rows = pd.DataFrame([line[2] for line in chunk], columns=names)
    return validate_and_cast(rows, contract, names)


def build_answers(chunk: list[LoggedRow]) -> pd.DataFrame:
    """Return `request_id`, `time`, `prediction`, `score` and `answer` of each row.

    The score is NaN if there are no probabilities.
    """
    names, times, _, answers = zip(*chunk, strict=True)
    shares = [answer.get("probability", {}).values() for answer in answers]
    columns = {
        "request_id": names,
        "time": pd.to_datetime(pd.Series(times), utc=True),
        "prediction": [answer["prediction"] for answer in answers],
        "score": [max(values, default=np.nan) for values in shares],
        "answer": pd.Series(answers, dtype="object"),
    }
    return pd.DataFrame(columns)
