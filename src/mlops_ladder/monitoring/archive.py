"""The archive: the prediction log, read and cleared; its newest rows; and each verdict on drift.

Beside `serving/store.py`, which writes the log, the only file that imports SQLAlchemy.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, UTC
from itertools import islice
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import numpy as np
import orjson
import pandas as pd
import sqlalchemy as sql

from mlops_ladder import project, ProjectError
from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.contract import Contract
from mlops_ladder.serving.store import delete_linked, pair_rows, TABLE

BATCH = 5_000  # rows that are in memory at a time
IDS = 1_000  # in one query: every database takes as many parameters
DRIFT = sql.Table(
    "drift",
    sql.MetaData(),
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("time", sql.DateTime(timezone=True), nullable=False, index=True),
    sql.Column("model_version", sql.String(64), nullable=False),
    sql.Column("rows", sql.Integer, nullable=False),
    sql.Column("column", sql.Text, nullable=False),
    sql.Column("p", sql.Float, nullable=False),
    sql.Column("effect", sql.Float, nullable=False),
    sql.Column("drifted", sql.Boolean, nullable=False),
)
Belongs = Callable[[dict[str, Any]], bool]
CHUNK = 20_000  # rows that become a data frame at a time: plain Python objects take ten times more
Line = tuple[str, datetime, dict[str, Any], dict[str, Any]]


class NoLog(ProjectError):
    """Nothing was logged yet."""


@dataclass(frozen=True)
class Change:
    """A logged request of which some rows go: its number and id, which rows, and what stays.

    Rows count from 1.
    """

    number: int
    request_id: str
    gone: list[int]
    inputs: list[Any]
    output: list[Any]


class Archive:
    """The database of the prediction log.

    Raises NoLog where it is not there, or holds no log, and ProjectError where it cannot be read;
    the URL may hold a password and is not shown.
    """

    def __init__(self, url: str) -> None:
        place = sql.make_url(url)
        file = Path(place.database or "") if place.get_backend_name() == "sqlite" else None
        if file and not file.is_file():
            name = f"{project.get_project().prefix}SERVING__PREDICTION_LOG_URL"
            other = f"or set {name} to that of a service elsewhere"
            raise NoLog(f"{file}: no prediction log is here; run `make serve` and ask it, {other}")
        self._engine = sql.create_engine(url)
        try:
            known = sql.inspect(self._engine).has_table(TABLE.name)
        except sql.exc.SQLAlchemyError as error:
            told = str(error).partition("\n")[0]
            raise ProjectError(
                f"serving.prediction_log_url: the database cannot be read: {told}"
            ) from error
        if not known:
            raise NoLog(
                "serving.prediction_log_url: the database holds no prediction log; is it the one?"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._engine.dispose()

    def newest(self, version: str, since: datetime, most: int) -> np.ndarray:
        """Id and number of rows of the newest requests to a model, or to any: (requests, 2).

        Whole requests since that time, the oldest first, as many as hold `most` rows.
        """
        table, found, total = TABLE.c, [], 0
        query = sql.select(table.id, table.rows).order_by(table.id.desc())
        wanted = table.time >= since
        if version:
            wanted &= table.model_version == version
        for number, rows in self._read(query.where(wanted)):
            if total >= most:
                break
            found.append((number, rows))
            total += rows
        return np.array(found[::-1], dtype="int64").reshape(-1, 2)

    def requests(self, numbers: Sequence[int]) -> Iterator[Sequence[Any]]:
        """The request id, time, inputs and output of the requests of these ids, in their order."""
        table = TABLE.c
        query = sql.select(table.request_id, table.time, table.inputs, table.output)
        for first in range(0, len(numbers), IDS):
            wanted = table.id.in_(numbers[first : first + IDS])
            yield from self._read(query.where(wanted).order_by(table.id))

    def request(self, request_id: str) -> Any:
        """The newest request of this id: a row of the log.  ProjectError where there is none."""
        query = sql.select(TABLE).where(TABLE.c.request_id == request_id)
        found = list(self._read(query.order_by(TABLE.c.id.desc()).limit(1)))
        if not found:
            told = "no such request in the prediction log; an answer's header X-Request-ID names it"
            raise ProjectError(f"{request_id}: {told}")
        return found[0]

    def traffic(self, since: datetime) -> Iterator[Sequence[Any]]:
        """The time, model version, rows and milliseconds of each request to any model."""
        table = TABLE.c
        query = sql.select(table.time, table.model_version, table.rows, table.latency_ms)
        return self._read(query.where(table.time >= since).order_by(table.id))

    def add(self, verdicts: Iterable[dict[str, Any]], table: sql.Table = DRIFT) -> None:
        """Keep these verdicts: on drift, or on what another table is about."""
        with self._engine.begin() as connection:
            table.create(connection, checkfirst=True)
            if rows := list(verdicts):
                connection.execute(sql.insert(table), rows)

    def verdicts(self, since: datetime, table: sql.Table = DRIFT) -> list[dict[str, Any]]:
        """The verdicts since that time, in their order: on drift, or those of another table."""
        if not sql.inspect(self._engine).has_table(table.name):
            return []
        query = sql.select(table).where(table.c.time >= since).order_by(table.c.id)
        return [row._asdict() for row in self._read(query)]

    def changes(self, belongs: Belongs) -> list[Change]:
        """What has to change in the log so that no row of which this is true is left in it."""
        found = []
        columns = TABLE.c.id, TABLE.c.request_id, TABLE.c.inputs, TABLE.c.output
        for number, name, inputs, output in self._read(sql.select(*columns).order_by(TABLE.c.id)):
            lines = pair_rows(name, inputs, output)
            gone = [place for place, (row, _) in enumerate(lines, start=1) if belongs(row)]
            if gone:
                kept = [it for place, it in enumerate(lines, start=1) if place not in gone]
                rows, said = [row for row, _ in kept], [answer for _, answer in kept]
                found.append(Change(number, name, gone, rows, said))
        return found

    def change(self, changes: Sequence[Change]) -> None:
        """Do this to the log: all of it, or nothing and raise.  A request without rows goes.

        One with fewer rows has another id: what is said of its third row is about another one now.
        """
        with self._cleared() as connection:
            for it in changes:
                values = {
                    "request_id": uuid4().hex,
                    "inputs": orjson.dumps(it.inputs).decode(),
                    "output": orjson.dumps(it.output).decode(),
                    "rows": len(it.inputs),
                }
                this = TABLE.c.id == it.number
                changed = sql.update(TABLE).where(this).values(values)
                connection.execute(changed if it.inputs else sql.delete(TABLE).where(this))
            names = [it.request_id for it in changes]
            for first in range(0, len(names), IDS):
                delete_linked(connection, names=names[first : first + IDS])

    def expire(self, before: datetime) -> tuple[int, int]:
        """Delete the requests from before that time; how many, and how many are left."""
        with self._cleared() as connection:
            gone = connection.execute(sql.delete(TABLE).where(TABLE.c.time < before)).rowcount
            delete_linked(connection, before)
            left = connection.scalar(sql.select(sql.func.count()).select_from(TABLE))
        return gone, int(left or 0)

    @contextmanager
    def _cleared(self) -> Iterator[sql.Connection]:
        """A transaction after which the database gives the room back: no page holds what was there.

        Raises ProjectError where the database does not do it.
        """
        lite = self._engine.dialect.name == "sqlite"
        try:
            with self._engine.begin() as connection:
                yield connection
            with self._engine.connect() as connection:
                alone = connection.execution_options(isolation_level="AUTOCOMMIT")
                alone.exec_driver_sql("vacuum")
                if lite:
                    alone.exec_driver_sql("pragma wal_checkpoint(truncate)")
        except sql.exc.SQLAlchemyError as error:
            told = str(error).partition("\n")[0]
            raise ProjectError(
                f"serving.prediction_log_url: cannot be cleared: {told}; run it again"
            ) from error

    def _read(self, query: Any) -> Iterator[Any]:
        with self._engine.connect() as connection:
            yield from connection.execution_options(yield_per=BATCH).execute(query)


@dataclass(frozen=True)
class Window:
    """Logged rows of one model, the oldest first.

    `total` were logged; `rows` has the inputs of those that are looked at, each as its kind, and
    `said` their `request_id`, `time`, `prediction`, `score` and the whole `answer`.
    """

    total: int
    rows: pd.DataFrame
    said: pd.DataFrame


@dataclass(frozen=True)
class Extent:
    """How far back a window goes: so many hours and rows, whichever ends first.

    Of more than `most` rows an even part is drawn, by `seed`.
    """

    hours: float
    rows: int
    most: int
    seed: int = 0


def window(
    archive: Archive, version: str, contract: Contract, extent: Extent, now: datetime | None = None
) -> Window:
    """The newest logged rows of this model, without those that a stand-in has answered.

    Memory holds the rows that are looked at, not the log.  Raises ProjectError where there are no
    rows, or where they are not of the contract.
    """
    since = (now or datetime.now(UTC)) - timedelta(hours=extent.hours)
    found = archive.newest(version, since, extent.rows)
    total = int(found[:, 1].sum())
    if not total:
        told = f"model {version} has answered no row in the last {extent.hours:g} hours"
        raise NoLog(f"the prediction log: {told}; run `make serve` and ask it")
    known = logged(contract)
    lines = chosen(archive, found, min(1.0, extent.most / total), extent.seed)
    parts = []
    while chunk := list(islice(lines, CHUNK)):
        parts.append((framed(chunk, known), answered(chunk)))
    if not parts:
        raise ProjectError(f"the prediction log: a stand-in has answered all {total} newest rows")
    return Window(total, *(pd.concat(side, ignore_index=True) for side in zip(*parts, strict=True)))


def chosen(archive: Archive, found: np.ndarray, share: float, seed: int) -> Iterator[Line]:
    """Request, time, row and answer of a share of the rows, of those that a model has answered.

    Drawn are rows, not requests: one may hold as many as thousands of others.
    """
    ends = found[:, 1].cumsum()
    take = np.random.default_rng(seed).random(ends[-1]) < share
    some = np.logical_or.reduceat(take, ends - found[:, 1])
    wanted = [
        (number, take[end - rows : end])
        for (number, rows), end in zip(found[some].tolist(), ends[some].tolist(), strict=True)
    ]
    requests = archive.requests([number for number, _ in wanted])
    for request, (_, part) in zip(requests, wanted, strict=True):
        yield from answered_lines(request, part)


def answered_lines(request: Any, part: np.ndarray) -> Iterator[Line]:
    """The rows of a request that are wanted, without those that a stand-in has answered."""
    name, time, inputs, output = request
    for (row, answer), taken in zip(pair_rows(name, inputs, output), part, strict=True):
        if taken and not answer.get("fallback"):
            yield name, time, row, answer


def logged(contract: Contract) -> Contract:
    """The contract of rows as they are logged: there a time is ISO 8601, whatever it was."""
    columns = {
        name: column.model_copy(update={"format": None})
        for name, column in contract.columns.items()
    }
    return contract.model_copy(update={"columns": columns})


def framed(chunk: list[Line], contract: Contract) -> pd.DataFrame:
    """The inputs of these rows, each as its kind."""
    names = contract.inputs()
    return validate_and_cast(
        pd.DataFrame([line[2] for line in chunk], columns=names), contract, names
    )


def answered(chunk: list[Line]) -> pd.DataFrame:
    """What was answered: `prediction`, `score` (NaN where there are no probabilities), `answer`."""
    shares = [line[3].get("probability", {}).values() for line in chunk]
    scores = [max(values, default=np.nan) for values in shares]
    columns = {
        "request_id": [line[0] for line in chunk],
        "time": pd.to_datetime(pd.Series([line[1] for line in chunk]), utc=True),
        "prediction": [line[3]["prediction"] for line in chunk],
        "score": pd.Series(scores, dtype="float64"),
        "answer": pd.Series([line[3] for line in chunk], dtype="object"),
    }
    return pd.DataFrame(columns)
