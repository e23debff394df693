"""The window: the newest rows that the champion was asked, and what it answered."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, UTC
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import conform
from mlops_ladder.data.contract import Contract
from mlops_ladder.monitoring.archive import Archive, NoLog
from mlops_ladder.serving.store import pairs

CHUNK = 20_000  # rows that become a data frame at a time: plain Python objects take ten times more


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


Line = tuple[str, datetime, dict[str, Any], dict[str, Any]]


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
    for (row, answer), taken in zip(pairs(name, inputs, output), part, strict=True):
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
    return conform(pd.DataFrame([line[2] for line in chunk], columns=names), contract, names)


def answered(chunk: list[Line]) -> pd.DataFrame:
    """What was answered: `prediction`, `score` (NaN where there are no probabilities), `answer`."""
    scores = [
        max(line[3]["probability"].values(), default=np.nan) if "probability" in line[3] else np.nan
        for line in chunk
    ]
    columns = {
        "request_id": [line[0] for line in chunk],
        "time": pd.to_datetime(pd.Series([line[1] for line in chunk]), utc=True),
        "prediction": [line[3]["prediction"] for line in chunk],
        "score": pd.Series(scores, dtype="float64"),
        "answer": pd.Series([line[3] for line in chunk], dtype="object"),
    }
    return pd.DataFrame(columns)
