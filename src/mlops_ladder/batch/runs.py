"""The log of batches: answers as rows of the prediction log, and a row for each run.

A batch is logged after its answers are written, in one transaction, so that a kill leaves either
all of its answers in the log or none.
"""

import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, UTC
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, get_type_hints, NamedTuple
from uuid import uuid4

import orjson
import pandas as pd
import sqlalchemy as sql

from mlops_ladder import ProjectError
from mlops_ladder.batch.scoring import Job, Scored
from mlops_ladder.data.contract import Contract
from mlops_ladder.export.runtime import by_class_name, frame_to_rows
from mlops_ladder.registry.versions import get_author
from mlops_ladder.serving.store import open_database, raise_as_project_error, TABLE
from mlops_ladder.settings import Settings

ROWS = 1_000  # of a request in the log
RECORDS = 200  # requests that are in memory at a time
TYPES: dict[Any, Any] = {
    str: sql.Text,
    int: sql.Integer,
    float: sql.Float,
    datetime | None: sql.DateTime,
}
TYPES[datetime] = sql.DateTime(timezone=True)


class Run(NamedTuple):
    """A batch: who scored which rows when, where its answers are, and how many there are.

    `error` is empty if it succeeded.  `sha256` is that of the file that was read, if it was one.
    A batch of a period has the rows whose time is its start or later, and before its end.
    """

    batch: str
    time: datetime
    who: str
    source: str
    sink: str
    model_version: str
    rows: int = 0
    rejected: int = 0
    seconds: float = 0
    error: str = ""
    sha256: str = ""
    period_start: datetime | None = None
    period_end: datetime | None = None


COLUMNS = (
    sql.Column(name, TYPES[kind], primary_key=name == "batch")
    for name, kind in get_type_hints(Run).items()
)
RUNS = sql.Table("batches", sql.MetaData(), *COLUMNS)


class BatchLog:
    """Logs one batch.  Its answers name the request and the row that the log has them under."""

    def __init__(self, engine: sql.Engine, run: Run, contract: Contract, spool: BinaryIO) -> None:
        self.run = run
        self._engine, self._contract, self._spool = engine, contract, spool
        self._requests, self._started = 0, time.perf_counter()

    def record(self, parts: Iterable[Scored]) -> Iterator[Scored]:
        """Yield the parts; their answers have further columns, `request_id` and `row`."""
        for part in parts:
            names: list[str] = []
            places: list[int] = []
            for first in range(0, len(part.answers), ROWS):
                piece = slice(first, first + ROWS)
                request = part.inputs[piece], part.answers[piece]
                names += [self._spool_request(*request)] * len(request[0])
                places += range(1, len(request[0]) + 1)
            yield replace(part, answers=part.answers.assign(request_id=names, row=places))

    def _spool_request(self, inputs: pd.DataFrame, answers: pd.DataFrame) -> str:
        """Keep a request until the batch is finished; return its id."""
        self._requests += 1
        name = f"{self.run.batch}.{self._requests}"
        rows = orjson.dumps(to_logged_rows(inputs, self._contract), default=pd.Timestamp.isoformat)
        texts = {"inputs": rows.decode(), "output": describe_answers(answers).decode()}
        row = {"request_id": name, "rows": len(inputs), **texts}
        self._spool.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        return name

    def finish(self, rows: int, rejected: int, **more: Any) -> None:
        """Write answers and run into the log: all of it, or nothing and raise ProjectError.

        `more` is the period of the run, or the sha256 of the file.
        """
        seconds = time.perf_counter() - self._started
        run = self.run._replace(rows=rows, rejected=rejected, seconds=round(seconds, 3), **more)
        facts = {"time": run.time, "model_version": run.model_version}
        facts |= {"latency_ms": round(seconds * 1000 / max(self._requests, 1), 3)}
        self._spool.seek(0)
        with raise_as_project_error("the batch is answered, but not logged", "; run it again"):
            with self._engine.begin() as connection:
                while lines := list(islice(self._spool, RECORDS)):
                    requests = [facts | orjson.loads(line) for line in lines]
                    connection.execute(sql.insert(TABLE), requests)
                connection.execute(sql.insert(RUNS), run._asdict())

    def fail(self, error: BaseException) -> None:
        """Note that the batch failed; if the database does not take that, there is no note."""
        failed = self.run._replace(error=f"{type(error).__name__}: {error}"[:500])
        with suppress(sql.exc.SQLAlchemyError), self._engine.begin() as connection:
            connection.execute(sql.insert(RUNS), failed._asdict())


@contextmanager
def open_batch_log(job: Job) -> Iterator[BatchLog]:
    """Log a batch, a hook: `record` its parts, write the answers, then `finish`.

    A batch that raises is noted as failed.  Raises ProjectError if the database cannot be reached.
    """
    contract: Contract = job.saved["contract"]
    if taken := {"request_id", "row"} & {*contract.names("id", "time")}:
        reason = "the answers of a batch have a column of this name; rename it"
        raise ProjectError(f"{', '.join(sorted(taken))}: {reason} in the data and in contract.toml")
    now = datetime.now(UTC)
    name = f"batch-{now:%Y%m%dT%H%M%S}-{uuid4().hex[:8]}"
    run = Run(name, now, get_author(), job.source, job.out, job.saved["version"])
    with raise_as_project_error("the batch cannot be logged"):
        engine = open_database(job.settings.serving.prediction_log_url, TABLE, RUNS)
    with tempfile.TemporaryFile() as spool:
        log = BatchLog(engine, run, contract, spool)
        try:
            yield log
        except BaseException as error:
            log.fail(error)
            raise
        finally:
            engine.dispose()


def read_runs(settings: Settings, source: str = "") -> list[Run]:
    """Return the batches in the log, in their order; those of a source, or all."""
    url = sql.make_url(settings.serving.prediction_log_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        return []
    engine = sql.create_engine(url, poolclass=sql.NullPool)
    query = sql.select(RUNS).where(RUNS.c.source == source if source else sql.true())
    with raise_as_project_error("the batches cannot be read"), engine.connect() as connection:
        if not sql.inspect(connection).has_table(RUNS.name):
            return []
        return [Run(*row) for row in connection.execute(query.order_by(RUNS.c.time))]


def to_logged_rows(inputs: pd.DataFrame, contract: Contract) -> list[dict[str, Any]]:
    """Return cast rows as the service logs its requests: true, false, null, and whole numbers."""
    kinds = {str(name): contract.columns[str(name)].kind for name in inputs}
    types = {name: "boolean" for name, kind in kinds.items() if kind == "boolean"}
    whole = [name for name, kind in kinds.items() if kind == "integer"]
    types |= {name: "Int64" for name in whole if (inputs[name].dropna() % 1 == 0).all()}
    return frame_to_rows(inputs.astype(types))


def describe_answers(answers: pd.DataFrame) -> bytes:
    """Return the answers as the log of the service has them, as JSON."""
    lines = [dict[str, Any](prediction=value) for value in answers["prediction"].tolist()]
    shares = answers.filter(regex="^probability_")
    if shares.shape[1]:
        names = [str(name).removeprefix("probability_") for name in shares]
        for line, share in zip(lines, by_class_name(names, shares.to_numpy()), strict=True):
            line["probability"] = share
    for line, names in zip(lines, answers.get("outside", [""] * len(lines)), strict=True):
        if names:
            line["outside"] = names.split("; ")
    return orjson.dumps(lines)
