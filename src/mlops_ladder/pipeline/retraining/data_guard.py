"""The veto: data that look broken are not learned from; somebody is told instead."""

from collections.abc import Iterator
from datetime import datetime
from math import isclose

import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.data import reading, sources
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.monitoring import training_reference
from mlops_ladder.monitoring.archive import Archive, Extent, window
from mlops_ladder.pipeline import steps
from mlops_ladder.pipeline.retraining.decision import Kind
from mlops_ladder.problem import read_data
from mlops_ladder.settings import Settings

MISSING = 0.3  # more of a column than in training: nobody is asked about it any more
STUCK = 0.9  # of the rows with one value, where training had it in a third as many
# By how much a number grows where its unit is another one: of length, weight, time, speed, share.
UNITS = (0.3048, 0.4536, 1.609, 1.8, 2.54, 3.6, 10, 60, 100, 1000, 3600, 1e6)
NEAR = 0.05  # how far the spread may be off
QUANTILES = [0.1, 0.25, 0.5, 0.75, 0.9]


def faults(settings: Settings, kind: Kind, now: datetime) -> list[str]:
    """What is wrong with the data to learn from, and but for new data with what was asked."""
    found = list(of_files(settings))
    return found or ([] if kind == "data" else list(of_log(settings, now)))


def of_files(settings: Settings) -> Iterator[str]:
    """Files that are not what is declared; rows that break the contract."""
    try:
        if reading.files(settings.data.path) and sources.SOURCES.exists():
            known = sources.read_sources()
            strangers = sources.undeclared(settings, known)
            wrong = sources.breaches(known) + [f"{it}: in no source" for it in strangers]
            if wrong:
                yield f"{', '.join(wrong)}; where it is meant: make data DECLARE=yes"
    except ProjectError:
        pass  # rows that come from elsewhere have no files
    try:
        steps.check(read_data(settings), read_contract(), settings)
    except ProjectError as error:
        yield " ".join(str(error).split())


def of_log(settings: Settings, now: datetime) -> Iterator[str]:
    """Logged columns that look broken beside what the champion learned from."""
    drift, champion = settings.drift, training_reference.read()
    extent = Extent(drift.hours, drift.rows, training_reference.SAMPLE, settings.seed)
    try:
        with Archive(settings.serving.prediction_log_url) as archive:
            rows = window(archive, champion.version, champion.contract, extent, now).rows
    except ProjectError:
        return  # nothing was asked, so nothing of it is broken
    yield from broken(champion.rows, rows, champion.contract)


def broken(before: pd.DataFrame, now: pd.DataFrame, contract: Contract) -> Iterator[str]:
    """Columns that are missing, stuck at a value, or in another unit than before."""
    for name in contract.inputs():
        old, new = before[name], now[name]
        known, seen = old.dropna(), new.dropna()
        if new.isna().mean() > old.isna().mean() + MISSING:
            yield f"{name}: {new.isna().mean():.0%} missing, in training {old.isna().mean():.0%}"
        elif len(known) and len(seen):
            yield from stuck(name, known, seen)
            if contract.columns[name].kind in ("number", "integer"):
                yield from in_another_unit(name, known, seen)


def stuck(name: str, known: pd.Series, seen: pd.Series) -> Iterator[str]:
    """A column that nearly always has one value, as a default has, or a code for an error."""
    value = seen.mode().iloc[0]
    share, before = float((seen == value).mean()), float((known == value).mean())
    if share >= STUCK and before <= share / 3 and known.nunique() > 1:
        yield f"{name}: {value!s} in {share:.0%} of the rows, in training {before:.0%}"


def in_another_unit(name: str, known: pd.Series, seen: pd.Series) -> Iterator[str]:
    """A column of numbers whose spread and quantiles have all grown as those of another unit do.

    Other rows may well be spread as much more; of a column with hardly more than one value, and
    some far off, it cannot be told.
    """
    spread, before, after = known.std(), known.quantile(QUANTILES), seen.quantile(QUANTILES)
    if not spread or not seen.std() or before.nunique() == 1:
        return
    for unit in [*UNITS, *(1 / unit for unit in UNITS)]:
        zero = {1.8: 32.0, 1 / 1.8: -32 / 1.8}.get(unit, 0.0)  # of Celsius and Fahrenheit
        away = (after - (unit * before + zero)).abs().max() / (unit * spread)
        if isclose(seen.std() / spread, unit, rel_tol=NEAR) and away < 5 * NEAR:
            yield f"{name}: {unit:.4g} times as large as in training, as in another unit"
            return
