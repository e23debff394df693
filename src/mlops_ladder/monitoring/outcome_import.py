"""Taking outcomes: a file of them is checked as a whole, and then kept as a whole or not at all."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, UTC
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from mlops_ladder import ProjectError
from mlops_ladder.data.casting import broken, converted
from mlops_ladder.data.contract import Breach, Column, Contract, read_contract
from mlops_ladder.data.reading import read_table
from mlops_ladder.data.validation import breaches
from mlops_ladder.monitoring.outcomes import (
    Asked,
    INFLUENCED,
    Key,
    KNOWN,
    NONE,
    Outcome,
    Outcomes,
    REQUEST,
    ROW,
    Taken,
)
from mlops_ladder.settings import load


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
    rows, wrong = converted(frame, known, [REQUEST, contract.target, *optional])
    refuse([*wrong, *(it for it in breaches(rows, known) if it.refuses)])
    asked, before = archive.asked(rows[REQUEST]), archive.known(rows[REQUEST])
    rows = completed(rows, asked, contract.target, now)
    refuse([*misplaced(rows, asked, now), *conflicts(rows, before, correct)])
    them = (Outcome(*it) for it in rows[[*Outcome._fields[:-1]]].itertuples(index=False))
    new = {(it.request_id, it.row): it for it in them}
    fresh = [it for key, it in new.items() if key not in before]
    other = [it for key, it in new.items() if key in before and before[key].value != it.value]
    archive.keep(fresh, other)
    return Taken(len(fresh), len(new) - len(fresh) - len(other), len(other))


def refuse(wrong: list[Breach]) -> None:
    """Raises ProjectError that lists every breach, where there are any."""
    if wrong:
        told = "\n  ".join(map(str, wrong))
        raise ProjectError(f"no outcome was taken\n  {told}\n  {WAY_OUT}")


WAY_OUT = (
    "Correct the file, and take it again.  Where an outcome itself was put right later:"
    " make outcomes FILE=… CORRECT=yes"
)


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


def misplaced(rows: pd.DataFrame, asked: Asked, now: datetime) -> Iterator[Breach]:
    """What is about no logged row, or not known yet."""
    most = rows[REQUEST].map(lambda it: asked.get(it, NONE)[1])
    place = rows[ROW]
    yield from found(rows[REQUEST], most == 0, "are no request of the prediction log")
    several = most.gt(1) & place.eq(0)
    yield from found(rows[REQUEST], several, f"had several rows; say which: column {ROW}, from 1")
    outside = most.gt(0) & ~several & ~place.between(1, most)
    yield from found(place, outside, "are no row of their request, which count from 1")
    yield from found(rows[KNOWN].astype(str), rows[KNOWN] > now, f"are later than now, {now:%F %R}")


def conflicts(rows: pd.DataFrame, before: Mapping[Key, Outcome], correct: bool) -> Iterator[Breach]:
    """What says something else than another row, or than what was taken before."""
    keys = list(zip(rows[REQUEST], rows[ROW], strict=True))
    first = rows.groupby([REQUEST, ROW])["value"].transform("first")
    yield from found(rows["value"], first != rows["value"], "say something else than a row before")
    then = pd.Series([before.get(key) for key in keys], rows.index, dtype=object)
    other = pd.Series(
        [old is not None and old.value != new for old, new in zip(then, rows["value"], strict=True)]
    ).set_axis(rows.index)
    in_data = pd.Series([bool(old is not None and old.file) for old in then]).set_axis(rows.index)
    if not correct:
        yield from found(rows["value"], other, "say something else than what was taken before")
    yield from found(rows["value"], other & in_data, "are in the data already; correct them there")


def found(values: pd.Series, wrong: pd.Series, rule: str) -> Iterator[Breach]:
    """The breach of a rule, where there is one."""
    if wrong.any():
        yield broken(values, np.asarray(wrong, dtype=bool), rule)


def main(
    file: Annotated[
        str, typer.Argument(help="CSV or Parquet: request_id, the target; row, known_at")
    ],
    correct: Annotated[
        bool, typer.Option("--correct", help="what says something else is right")
    ] = False,
) -> None:
    """Take a file of outcomes; the same file again changes nothing."""
    settings, contract = load(), read_contract()
    if not Path(file).is_file():
        raise ProjectError(f"{file}: no such file in {Path.cwd()}; make outcomes FILE=…")
    frame = read_table(file, settings.data, described(contract))
    with Outcomes(settings.serving.log) as archive:
        taken = take(frame, archive, contract, datetime.now(UTC), correct)
    print(
        f"{taken.new:,} outcomes taken, {taken.known:,} known before, {taken.corrected:,} put right"
    )
    print("Next: make quality")
