"""Outcomes: what became of logged predictions, once that is known, in the database of the log.

A file of outcomes is checked as a whole, and then kept as a whole or not at all.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, UTC
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import sqlalchemy as sql
import typer
from sqlalchemy.schema import CreateTable

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import cast_columns, make_violation
from mlops_ladder.data.contract import Column, Contract, read_contract, Violation
from mlops_ladder.data.reading import read_table
from mlops_ladder.data.validation import find_contract_violations
from mlops_ladder.monitoring.archive import Archive, IDS
from mlops_ladder.serving.store import TABLE
from mlops_ladder.settings import load_settings, Settings

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
WAY_OUT = (
    "Correct the file, and take it again.  Where an outcome itself was put right later:"
    " make outcomes FILE=… CORRECT=yes"
)


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


def described(contract: Contract) -> Contract:
    """The contract of a file of outcomes.  ProjectError where the target has one of our names."""
    if contract.target in (REQUEST, ROW, KNOWN, INFLUENCED):
        told = f"{contract.target}: the target has a name that outcomes need; rename the column"
        raise ProjectError(told)
    target = contract.columns[contract.target].model_copy(update={"nullable": False})
    return Contract(
        columns={
            REQUEST: Column(kind="text", role="feature"),
            ROW: Column(kind="integer", role="feature", nullable=True),
            contract.target: target,
            KNOWN: Column(kind="time", role="feature", nullable=True, timezone="UTC"),
            INFLUENCED: Column(kind="boolean", role="feature", nullable=True),
        }
    )


def take(
    frame: pd.DataFrame, archive: Outcomes, contract: Contract, now: datetime, correct: bool = False
) -> Taken:
    """Keep these outcomes: those that are new, and with `correct` those that say something else.

    `frame` has `request_id`, the target and, where a request had several rows, `row`; `known_at`
    and `influenced` where that is known.  ProjectError that lists all that is wrong; then nothing
    is kept.
    """
    known = described(contract)
    optional = [name for name in (ROW, KNOWN, INFLUENCED) if name in frame.columns]
    rows, wrong = cast_columns(frame, known, [REQUEST, contract.target, *optional])
    refuse([*wrong, *(it for it in find_contract_violations(rows, known) if it.is_refused)])
    asked, before = archive.asked(rows[REQUEST]), archive.known(rows[REQUEST])
    rows = completed(rows, asked, contract.target, now)
    refuse([*misplaced(rows, asked, now), *conflicts(rows, before, correct)])
    them = (Outcome(*it) for it in rows[[*Outcome._fields[:-1]]].itertuples(index=False))
    new = {(it.request_id, it.row): it for it in them}
    fresh = [it for key, it in new.items() if key not in before]
    other = [it for key, it in new.items() if key in before and before[key].value != it.value]
    archive.keep(fresh, other)
    return Taken(len(fresh), len(new) - len(fresh) - len(other), len(other))


def refuse(wrong: list[Violation]) -> None:
    """Raises ProjectError that lists every breach, where there are any."""
    if wrong:
        told = "\n  ".join(map(str, wrong))
        raise ProjectError(f"no outcome was taken\n  {told}\n  {WAY_OUT}")


def completed(rows: pd.DataFrame, asked: Asked, target: str, now: datetime) -> pd.DataFrame:
    """The rows as outcomes have them; `row` 0 where it is not said of which of several rows."""
    number, single = (rows[REQUEST].map(lambda it, at=at: asked.get(it, NONE)[at]) for at in (0, 1))
    place = rows[ROW].fillna(single == 1) if ROW in rows else single == 1
    at = pd.to_datetime(rows[KNOWN], utc=True) if KNOWN in rows else pd.Series(pd.NaT, rows.index)
    touched = rows[INFLUENCED].fillna(0) if INFLUENCED in rows else pd.Series(0, rows.index)
    return pd.DataFrame(
        {
            REQUEST: rows[REQUEST],
            ROW: place.astype(int),
            "value": [as_json(it) for it in rows[target]],
            KNOWN: [now if pd.isna(it) else it.to_pydatetime() for it in at],
            INFLUENCED: touched.astype(bool),
            "prediction": number,
        },
        index=rows.index,
    )


def as_json(value: Any) -> str:
    """One value of the target as text that gives it back."""
    return json.dumps(getattr(value, "item", lambda: value)(), ensure_ascii=False)


def misplaced(rows: pd.DataFrame, asked: Asked, now: datetime) -> Iterator[Violation]:
    """What is about no logged row, or not known yet."""
    most = rows[REQUEST].map(lambda it: asked.get(it, NONE)[1])
    place = rows[ROW]
    yield from found(rows[REQUEST], most == 0, "are no request of the prediction log")
    several = most.gt(1) & place.eq(0)
    yield from found(rows[REQUEST], several, f"had several rows; say which: column {ROW}, from 1")
    outside = most.gt(0) & ~several & ~place.between(1, most)
    yield from found(place, outside, "are no row of their request, which count from 1")
    yield from found(rows[KNOWN].astype(str), rows[KNOWN] > now, f"are later than now, {now:%F %R}")


def conflicts(
    rows: pd.DataFrame, before: Mapping[Key, Outcome], correct: bool
) -> Iterator[Violation]:
    """What says something else than another row, or than what was taken before."""
    keys = list(zip(rows[REQUEST], rows[ROW], strict=True))
    first = rows.groupby([REQUEST, ROW])["value"].transform("first")
    yield from found(rows["value"], first != rows["value"], "say something else than a row before")
    then = pd.Series([before.get(key) for key in keys], rows.index, dtype=object)
    values = zip(then, rows["value"], strict=True)
    other = pd.Series([old is not None and old.value != new for old, new in values], rows.index)
    in_data = pd.Series([bool(old is not None and old.file) for old in then], rows.index)
    if not correct:
        yield from found(rows["value"], other, "say something else than what was taken before")
    yield from found(rows["value"], other & in_data, "are in the data already; correct them there")


def found(values: pd.Series, wrong: pd.Series, rule: str) -> Iterator[Violation]:
    """The breach of a rule, where there is one."""
    if wrong.any():
        yield make_violation(values, np.asarray(wrong, dtype=bool), rule)


def main(
    file: Annotated[
        str, typer.Argument(help="CSV or Parquet: request_id, the target; row, known_at")
    ],
    correct: Annotated[
        bool, typer.Option("--correct", help="what says something else is right")
    ] = False,
) -> None:
    """Take a file of outcomes; the same file again changes nothing."""
    settings, contract = load_settings(), read_contract()
    if not Path(file).is_file():
        raise ProjectError(f"{file}: no such file in {Path.cwd()}; make outcomes FILE=…")
    frame = read_table(file, settings.data, described(contract))
    with Outcomes(settings.serving.prediction_log_url) as archive:
        taken = take(frame, archive, contract, datetime.now(UTC), correct)
    print(f"{taken.new:,} outcomes taken, {taken.known:,} known before", end=", ")
    print(f"{taken.corrected:,} put right\nNext: make quality")


def known_since(settings: Settings, since: datetime) -> dict[str, list[Any]]:
    """What was true of the rows of each request, as far as it became known since this time.

    None for a row that is not known; without what a prediction has influenced.
    """
    try:
        with Outcomes(settings.serving.prediction_log_url) as archive:
            labelled = archive.labelled(OUTCOMES.c.known_at >= since)
    except ProjectError:  # there is no log yet: nobody was asked
        return {}
    truths: dict[str, list[Any]] = {}
    for it in labelled:
        rows = truths.setdefault(it.request_id, [])
        rows.extend([None] * (it.row - len(rows)))
        rows[it.row - 1] = json.loads(it.value)
    return truths
