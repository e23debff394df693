"""Outcomes: what became of logged predictions, once that is known, in the database of the log."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sql
from sqlalchemy.schema import CreateTable

from mlops_ladder import ProjectError
from mlops_ladder.monitoring.archive import Archive, IDS
from mlops_ladder.serving.store import TABLE

REQUEST, ROW, KNOWN, INFLUENCED = "request_id", "row", "known_at", "influenced"
OUTCOMES = sql.Table(
    "outcomes",
    sql.MetaData(),
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("request_id", sql.String(64), nullable=False),
    sql.Column("row", sql.Integer, nullable=False),
    sql.Column("value", sql.Text, nullable=False),
    sql.Column("known_at", sql.DateTime(timezone=True), nullable=False, index=True),
    sql.Column("influenced", sql.Boolean, nullable=False),
    sql.Column("prediction", sql.Integer, nullable=False),
    sql.Column("file", sql.Text, nullable=False),
    sql.UniqueConstraint("request_id", "row"),
)
INDEX = sql.Index("predictions_request_id", TABLE.c.request_id)
SAME = (TABLE.c.id == OUTCOMES.c.prediction) & (TABLE.c.request_id == OUTCOMES.c.request_id)
Key = tuple[str, int]
Asked = Mapping[str, tuple[int, int]]
NONE = (0, 0)  # of a request that is not logged


def deletion(*_: Any) -> sql.Delete:
    """Deletes the outcomes of what the log does not hold any more."""
    return sql.delete(OUTCOMES).where(~sql.exists().where(SAME))


class Outcome(NamedTuple):
    """What became of a row of a request, which counts from 1, and of which logged prediction.

    `value` as JSON; `file` of the data in which it is by now, or empty.
    """

    request_id: str
    row: int
    value: str
    known_at: datetime
    influenced: bool
    prediction: int
    file: str = ""


@dataclass(frozen=True)
class Taken:
    """How many outcomes were new, known already, and put right."""

    new: int
    known: int
    corrected: int


class Outcomes(Archive):
    """The prediction log with what became of it.

    What is deleted from the log takes its outcomes along.  Raises ProjectError as an archive does.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        with self._engine.begin() as connection:
            connection.execute(CreateTable(OUTCOMES, if_not_exists=True))
            for index in (*OUTCOMES.indexes, INDEX):
                index.create(connection, checkfirst=True)
            connection.execute(deletion())

    def asked(self, names: Iterable[str]) -> dict[str, tuple[int, int]]:
        """The newest logged request of each of these ids: its number in the log, and its rows."""
        table = TABLE.c
        query = sql.select(table.request_id, table.id, table.rows).order_by(table.id)
        return {name: (at, rows) for name, at, rows in self._of(query, table.request_id, names)}

    def known(self, names: Iterable[str]) -> dict[Key, Outcome]:
        """The outcomes of the requests of these ids."""
        table = OUTCOMES.c
        query = sql.select(*(table[name] for name in Outcome._fields))
        them = (Outcome(*row) for row in self._of(query, table.request_id, names))
        return {(it.request_id, it.row): it for it in them}

    def keep(self, new: Iterable[Outcome], corrected: Iterable[Outcome] = ()) -> None:
        """Add these, and change those: all of it, or nothing.

        Raises ProjectError where somebody else adds one of them at the same time.
        """
        table = OUTCOMES.c
        try:
            with self._engine.begin() as connection:
                if rows := [it._asdict() for it in new]:
                    connection.execute(sql.insert(OUTCOMES), rows)
                for it in corrected:
                    its = (table.request_id == it.request_id) & (table.row == it.row)
                    connection.execute(sql.update(OUTCOMES).where(its).values(**it._asdict()))
        except sql.exc.IntegrityError as error:
            told = "somebody else takes the same outcomes now; nothing was taken, try it again"
            raise ProjectError(told) from error

    def mark(self, keys: Iterable[Key], file: str) -> None:
        """Have it written down that these are in this file of the data: all, or none."""
        table = OUTCOMES.c
        its = (table.request_id == sql.bindparam("name")) & (table.row == sql.bindparam("place"))
        with self._engine.begin() as connection:
            marked = [{"name": name, "place": row} for name, row in keys]
            connection.execute(sql.update(OUTCOMES).where(its).values(file=file), marked)

    def used(self) -> list[str]:
        """The files of the data in which outcomes are."""
        query = sql.select(OUTCOMES.c.file).where(OUTCOMES.c.file != "").distinct()
        return sorted(name for (name,) in self._read(query))

    def labelled(self, wanted: Any, most: int | None = None, version: str = "") -> list[Outcome]:
        """The outcomes that `wanted` says, of a model or of all.

        By prediction and row; the `most` that became known last.  None that somebody influenced.
        """
        table, log = OUTCOMES.c, TABLE.c
        query = (
            sql.select(*(table[name] for name in Outcome._fields))
            .join_from(OUTCOMES, TABLE, SAME)
            .where(wanted & ~table.influenced)
            .where(log.model_version == version if version else sql.true())
            .order_by(table.known_at.desc(), table.id.desc())
            .limit(most)
        )
        them = (Outcome(*row) for row in self._read(query))
        return sorted(them, key=lambda it: (it.prediction, it.row))

    def logged_rows(self, version: str) -> int:
        """How many rows this model was asked."""
        query = sql.select(sql.func.sum(TABLE.c.rows)).where(TABLE.c.model_version == version)
        return int(next(iter(self._read(query)))[0] or 0)

    def _of(self, query: Any, column: Any, names: Iterable[str]) -> Iterator[Any]:
        every = list(dict.fromkeys(names))
        for first in range(0, len(every), IDS):
            yield from self._read(query.where(column.in_(every[first : first + IDS])))
