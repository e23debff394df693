"""Outcomes: the truth about logged predictions, once it is known, in the database of the log.

A file of outcomes is checked as a whole, and then stored as a whole or not at all.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, UTC
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import orjson
import pandas as pd
import sqlalchemy as sql
import typer
from pydantic import TypeAdapter, ValidationError
from sqlalchemy.schema import CreateTable

from mlops_ladder import ProjectError, raise_for_faults
from mlops_ladder.data.casting import cast_columns, CASTS, make_violation, validate_and_cast
from mlops_ladder.data.columns import make_row_type
from mlops_ladder.data.contract import Violation, Column, Contract, read_contract
from mlops_ladder.data.reading import read_table
from mlops_ladder.data.validation import find_contract_violations
from mlops_ladder.monitoring.archive import Archive, to_logged_contract
from mlops_ladder.serving.store import TABLE
from mlops_ladder.settings import load_settings, Settings

REQUEST, ROW, KNOWN_AT, INFLUENCED = "request_id", "row", "known_at", "influenced"
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
SAME_REQUEST = (TABLE.c.id == OUTCOMES.c.prediction) & (TABLE.c.request_id == OUTCOMES.c.request_id)
SAME_KEY = OUTCOMES.c.request_id == sql.bindparam("of_request")
SAME_KEY &= OUTCOMES.c.row == sql.bindparam("of_row")
Key = tuple[str, int]
Requests = Mapping[str, tuple[int, int]]  # by request id: its number in the log, and its rows
NOT_LOGGED = (0, 0)
WAY_OUT = (
    "Correct the file, and take it again.  Where an outcome itself was put right later:"
    " make outcomes FILE=… CORRECT=yes"
)


def name_key(request_id: str, row: int) -> dict[str, str | int]:
    """Return the parameters of `SAME_KEY`."""
    return {"of_request": request_id, "of_row": row}


def build_outcome_deletion(*_: Any) -> sql.Delete:
    """Return the statement that deletes outcomes whose request left the log; a hook."""
    return sql.delete(OUTCOMES).where(~sql.exists().where(SAME_REQUEST))


class Outcome(NamedTuple):
    """The outcome of a row of a request, which counts from 1, and the logged prediction.

    `value` is JSON.  `file` is the data file that has the row, or empty.
    """

    request_id: str
    row: int
    value: str
    known_at: datetime
    influenced: bool
    prediction: int
    file: str = ""


@dataclass(frozen=True)
class ImportCounts:
    """How many outcomes were new, known already, and corrected."""

    new: int
    known: int
    corrected: int


class Outcomes(Archive):
    """The prediction log with the outcomes; raises the errors of an archive.

    What is deleted from the log takes its outcomes along.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        with self._engine.begin() as connection:
            connection.execute(CreateTable(OUTCOMES, if_not_exists=True))
            for index in (*OUTCOMES.indexes, INDEX):
                index.create(connection, checkfirst=True)
            connection.execute(build_outcome_deletion())

    def find_requests(self, names: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return number in the log and rows of the newest request of each of these ids."""
        table = TABLE.c
        query = sql.select(table.request_id, table.id, table.rows).order_by(table.id)
        lines = self._read_in(query, table.request_id, names)
        return {name: (number, rows) for name, number, rows in lines}

    def read_outcomes(self, names: Iterable[str]) -> dict[Key, Outcome]:
        """Return the outcomes of the requests of these ids."""
        query = sql.select(*(OUTCOMES.c[name] for name in Outcome._fields))
        outcomes = (Outcome(*row) for row in self._read_in(query, OUTCOMES.c.request_id, names))
        return {(outcome.request_id, outcome.row): outcome for outcome in outcomes}

    def store_outcomes(self, new: Iterable[Outcome], corrected: Iterable[Outcome] = ()) -> None:
        """Add and change these outcomes: all of them, or none.

        Raises ProjectError if another process adds one of them at the same time.
        """
        try:
            with self._engine.begin() as connection:
                if rows := [outcome._asdict() for outcome in new]:
                    connection.execute(sql.insert(OUTCOMES), rows)
                if rows := [outcome._asdict() | name_key(*outcome[:2]) for outcome in corrected]:
                    connection.execute(sql.update(OUTCOMES).where(SAME_KEY), rows)
        except sql.exc.IntegrityError as error:
            reason = "somebody else takes the same outcomes now; nothing was taken, try it again"
            raise ProjectError(reason) from error

    def mark_used(self, keys: Iterable[Key], file: str) -> None:
        """Record that this data file has these rows: all of them, or none."""
        with self._engine.begin() as connection:
            rows = [name_key(*key) for key in keys]
            connection.execute(sql.update(OUTCOMES).where(SAME_KEY).values(file=file), rows)

    def list_used_files(self) -> list[str]:
        """Return the data files that have rows with an outcome."""
        query = sql.select(OUTCOMES.c.file).where(OUTCOMES.c.file != "").distinct()
        return sorted(name for (name,) in self._read(query))

    def find_labelled(
        self, condition: Any, max_rows: int | None = None, version: str = ""
    ) -> list[Outcome]:
        """Return the outcomes that meet a condition, sorted by prediction and row.

        Without influenced ones; at most `max_rows`, those that became known last; of the model of
        this version, or of any.
        """
        table, log = OUTCOMES.c, TABLE.c
        query = (
            sql.select(*(table[name] for name in Outcome._fields))
            .join_from(OUTCOMES, TABLE, SAME_REQUEST)
            .where(condition & ~table.influenced)
            .where(log.model_version == version if version else sql.true())
            .order_by(table.known_at.desc(), table.id.desc())
            .limit(max_rows)
        )
        outcomes = (Outcome(*row) for row in self._read(query))
        return sorted(outcomes, key=lambda outcome: (outcome.prediction, outcome.row))

    def count_logged_rows(self, version: str) -> int:
        """Return how many rows this model was asked."""
        query = sql.select(sql.func.sum(TABLE.c.rows)).where(TABLE.c.model_version == version)
        return int(next(iter(self._read(query)))[0] or 0)


def build_outcome_contract(contract: Contract) -> Contract:
    """Return the contract of a file of outcomes.

    Raises ProjectError if the target has the name of another column.
    """
    if contract.target in (REQUEST, ROW, KNOWN_AT, INFLUENCED):
        reason = "the target has a name that outcomes need; rename the column"
        raise ProjectError(f"{contract.target}: {reason}")
    target = contract.columns[contract.target].model_copy(update={"nullable": False})
    return Contract(
        columns={
            REQUEST: Column(kind="text", role="feature"),
            ROW: Column(kind="integer", role="feature", nullable=True),
            contract.target: target,
            KNOWN_AT: Column(kind="time", role="feature", nullable=True, timezone="UTC"),
            INFLUENCED: Column(kind="boolean", role="feature", nullable=True),
        }
    )


def import_outcomes(
    frame: pd.DataFrame, archive: Outcomes, contract: Contract, now: datetime, correct: bool = False
) -> ImportCounts:
    """Store new outcomes, and with `correct` also those that have another value by now.

    Args:
        frame: `request_id` and the target; `row` for requests of several rows; `known_at` and
            `influenced` if that is known.
        archive: The prediction log.
        contract: The contract of the data.
        now: When outcomes without `known_at` became known.
        correct: Whether another value than before is a correction.

    Raises:
        ProjectError: Lists everything that is wrong; then nothing is stored.
    """
    expected = build_outcome_contract(contract)
    optional = [name for name in (ROW, KNOWN_AT, INFLUENCED) if name not in frame.columns]
    frame = frame.assign(**dict.fromkeys(optional))
    rows, wrong = cast_columns(frame, expected, list(expected.columns))
    breaches = find_contract_violations(rows, expected)
    refuse_outcomes([*wrong, *(breach for breach in breaches if breach.is_refused)])
    requests, before = archive.find_requests(rows[REQUEST]), archive.read_outcomes(rows[REQUEST])
    rows = complete_outcomes(rows, requests, contract.target, now)
    wrong = [*find_misplaced(rows, requests, now), *find_conflicts(rows, before, correct)]
    refuse_outcomes(wrong)
    outcomes = (Outcome(*row) for row in rows[[*Outcome._fields[:-1]]].itertuples(index=False))
    by_key = {(outcome.request_id, outcome.row): outcome for outcome in outcomes}
    new = [item for key, item in by_key.items() if key not in before]
    changed = [item for key, item in by_key.items() if before.get(key, item).value != item.value]
    archive.store_outcomes(new, changed)
    return ImportCounts(len(new), len(by_key) - len(new) - len(changed), len(changed))


def refuse_outcomes(wrong: list[Violation]) -> None:
    """Raise ProjectError that lists what is wrong, with the way out."""
    raise_for_faults("no outcome was taken", [*wrong, WAY_OUT] if wrong else [])


def complete_outcomes(
    rows: pd.DataFrame, requests: Requests, target: str, now: datetime
) -> pd.DataFrame:
    """Return the rows as outcomes; those without `known_at` became known `now`.

    `row` is 0 if a request had several and none is named.
    """
    logged = [requests.get(name, NOT_LOGGED) for name in rows[REQUEST]]
    single = pd.Series([int(count == 1) for _, count in logged], rows.index)
    times = pd.to_datetime(rows[KNOWN_AT], utc=True)
    columns = {
        REQUEST: rows[REQUEST],
        ROW: rows[ROW].fillna(single).astype(int),
        "value": [json.dumps(value, ensure_ascii=False) for value in rows[target].tolist()],
        KNOWN_AT: [now if pd.isna(time) else time.to_pydatetime() for time in times],
        INFLUENCED: rows[INFLUENCED].fillna(0).astype(bool),
        "prediction": [number for number, _ in logged],
    }
    return pd.DataFrame(columns, index=rows.index)


def find_misplaced(rows: pd.DataFrame, requests: Requests, now: datetime) -> Iterator[Violation]:
    """Yield what is about no logged row, or not known yet."""
    names, place = rows[REQUEST], rows[ROW]
    count = names.map(lambda name: requests.get(name, NOT_LOGGED)[1])
    yield from list_breach(names, count == 0, "are no request of the prediction log")
    is_open = count.gt(1) & place.eq(0)
    yield from list_breach(names, is_open, f"had several rows; say which: column {ROW}, from 1")
    is_outside = count.gt(0) & ~is_open & ~place.between(1, count)
    yield from list_breach(place, is_outside, "are no row of their request, which count from 1")
    times, rule = rows[KNOWN_AT], f"are later than now, {now:%F %R}"
    yield from list_breach(times.astype(str), times > now, rule)


def find_conflicts(
    rows: pd.DataFrame, before: Mapping[Key, Outcome], correct: bool
) -> Iterator[Violation]:
    """Yield what contradicts another row of the file, or an outcome from before.

    Args:
        rows: The rows as outcomes.
        before: The outcomes that are stored.
        correct: Whether another value than before is a correction.
    """
    values = rows["value"]
    first = rows.groupby([REQUEST, ROW])["value"].transform("first")
    yield from list_breach(values, first != values, "say something else than a row before")
    stored = [before.get(key) for key in zip(rows[REQUEST], rows[ROW], strict=True)]
    old, files = ([getattr(one, name, None) for one in stored] for name in ("value", "file"))
    is_other = pd.Series(old, rows.index, "object").fillna(values) != values
    if not correct:
        yield from list_breach(values, is_other, "say something else than what was taken before")
    is_used = np.array(files, dtype="object").astype(bool)
    in_data = "are in the data already; correct them there"
    yield from list_breach(values, is_other & is_used, in_data)


def list_breach(values: pd.Series, wrong: Any, rule: str) -> Iterator[Violation]:
    """Yield the breach of a rule, if there is one."""
    if wrong.any():
        yield make_violation(values, np.asarray(wrong, dtype=bool), rule)


@dataclass(frozen=True)
class LabelledRows:
    """Logged rows with the target, cast by the contract, and the predictions for them.

    `keys` name request and row.
    """

    rows: pd.DataFrame
    predictions: pd.DataFrame
    keys: list[Key]


def read_labelled_rows(
    archive: Outcomes, outcomes: list[Outcome], contract: Contract, by_model: bool = True
) -> LabelledRows:
    """Read the rows of these outcomes that the service would accept by this contract.

    The outcomes are sorted by prediction and row.  `by_model` leaves out those of the fallback.
    """
    as_logged, inputs = to_logged_contract(contract), contract.inputs()
    fits, kept = build_row_test(as_logged, inputs), []
    for outcome, row, answer in join_requests(archive, outcomes):
        if not (by_model and answer.get("fallback")) and fits(row):
            kept.append((outcome, row, answer))
    column = contract.columns[contract.target]
    logged = pd.DataFrame([row for _, row, _ in kept], columns=inputs)
    rows = validate_and_cast(logged, as_logged, inputs)
    truth = pd.Series([json.loads(outcome.value) for outcome, _, _ in kept], dtype="object")
    rows[contract.target] = CASTS[column.kind](truth, column)
    answers = pd.Series([answer["prediction"] for _, _, answer in kept], dtype="object")
    shares = [answer.get("probability", {}) for _, _, answer in kept]
    probabilities = pd.DataFrame(shares, dtype="float64").add_prefix("probability_")
    predictions = CASTS[column.kind](answers, column).to_frame("prediction").join(probabilities)
    keys = [(outcome.request_id, outcome.row) for outcome, _, _ in kept]
    return LabelledRows(rows, predictions, keys)


def join_requests(
    archive: Outcomes, outcomes: list[Outcome]
) -> Iterator[tuple[Outcome, dict[str, Any], dict[str, Any]]]:
    """Yield each outcome with the inputs of its row and the answer."""
    numbers = sorted({outcome.prediction for outcome in outcomes})
    groups = groupby(outcomes, key=lambda outcome: outcome.prediction)
    requests = archive.read_requests(numbers)
    for (_, _, inputs, output), (_, group) in zip(requests, groups, strict=True):
        rows, answers = orjson.loads(inputs), orjson.loads(output)
        for outcome in group:
            yield outcome, rows[outcome.row - 1], answers[outcome.row - 1]


def build_row_test(contract: Contract, inputs: list[str]) -> Callable[[dict[str, Any]], bool]:
    """Return a function that tells whether the service would accept a row by this contract."""
    row_model = TypeAdapter(make_row_type(contract))

    def fits(row: dict[str, Any]) -> bool:
        try:
            row_model.validate_json(orjson.dumps({key: row[key] for key in inputs if key in row}))
        except ValidationError:
            return False
        return True

    return fits


def main(
    file: Annotated[str, typer.Argument(help="CSV or Parquet: request_id, target; row, known_at")],
    correct: Annotated[bool, typer.Option("--correct", help="replace an earlier outcome")] = False,
) -> None:
    """Import a file of outcomes; the same file again changes nothing."""
    settings, contract = load_settings(), read_contract()
    if not Path(file).is_file():
        raise ProjectError(f"{file}: no such file in {Path.cwd()}; make outcomes FILE=…")
    frame = read_table(file, settings.data, build_outcome_contract(contract))
    with Outcomes(settings.serving.prediction_log_url) as archive:
        counts = import_outcomes(frame, archive, contract, datetime.now(UTC), correct)
    text = f"{counts.new:,} outcomes taken, {counts.known:,} known before"
    print(f"{text}, {counts.corrected:,} put right\nNext: make quality")


def find_known_outcomes(settings: Settings, since: datetime) -> dict[str, list[Any]]:
    """Return the truth of the rows of each request that became known since this time; a hook.

    None for a row that is not known; without what a prediction has influenced.
    """
    try:
        with Outcomes(settings.serving.prediction_log_url) as archive:
            outcomes = archive.find_labelled(OUTCOMES.c.known_at >= since)
    except ProjectError:  # there is no log yet
        return {}
    truths: dict[str, list[Any]] = {}
    for outcome in outcomes:
        rows = truths.setdefault(outcome.request_id, [])
        rows.extend([None] * (outcome.row - len(rows)))
        rows[outcome.row - 1] = json.loads(outcome.value)
    return truths
