"""The veto: no training starts on data that look broken; the webhook is notified instead."""

from collections.abc import Iterator
from datetime import datetime
from math import isclose

import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.data import reading, sources
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.monitoring import training_reference
from mlops_ladder.monitoring.archive import Archive, Extent, read_window
from mlops_ladder.pipeline import steps
from mlops_ladder.pipeline.retraining.decision import Kind
from mlops_ladder.problem import read_data
from mlops_ladder.settings import Settings

MORE_MISSING = 0.3  # of a column than in training: the clients no longer send it
STUCK_SHARE = 0.9  # of the rows with one value, if in training a third as many had it
# The factors by which another unit changes a number: length, weight, time, speed, share.
UNITS = (0.3048, 0.4536, 1.609, 1.8, 2.54, 3.6, 10, 60, 100, 1000, 3600, 1e6)
UNIT_TOLERANCE = 0.05  # of the ratio of the spreads
QUANTILES = [0.1, 0.25, 0.5, 0.75, 0.9]


def find_data_faults(settings: Settings, kind: Kind, now: datetime) -> list[str]:
    """Return the faults of the training data and, unless new data are the event, of the log."""
    faults = list(find_file_faults(settings))
    return faults or ([] if kind == "data" else list(find_log_faults(settings, now)))


def find_file_faults(settings: Settings) -> Iterator[str]:
    """Yield undeclared or changed files, and rows that break the contract."""
    try:
        if reading.list_data_files(settings.data.path) and sources.SOURCES.exists():
            declared = sources.read_sources()
            undeclared = sources.find_undeclared_files(settings, declared)
            faults = sources.find_changed_files(declared)
            if faults := faults + [f"{name}: in no source" for name in undeclared]:
                yield f"{', '.join(faults)}; if that is intended: make data DECLARE=yes"
    except ProjectError:
        pass  # rows that come from elsewhere have no files
    try:
        steps.check(read_data(settings), read_contract(), settings)
    except ProjectError as error:
        yield " ".join(str(error).split())


def find_log_faults(settings: Settings, now: datetime) -> Iterator[str]:
    """Yield logged columns that look broken beside the champion's training rows."""
    drift, champion = settings.drift, training_reference.read_reference()
    extent = Extent(drift.hours, drift.rows, training_reference.SAMPLE, settings.seed)
    try:
        with Archive(settings.serving.prediction_log_url) as archive:
            rows = read_window(archive, champion.version, champion.contract, extent, now).rows
    except ProjectError:
        return  # an empty log has no broken column
    yield from find_broken_columns(champion.rows, rows, champion.contract)


def find_broken_columns(
    before: pd.DataFrame, now: pd.DataFrame, contract: Contract
) -> Iterator[str]:
    """Yield columns that are missing, stuck at one value, or in another unit than before."""
    for name in contract.inputs():
        missing, missing_before = now[name].isna().mean(), before[name].isna().mean()
        old, new = before[name].dropna(), now[name].dropna()
        if missing > missing_before + MORE_MISSING:
            yield f"{name}: {missing:.0%} missing, in training {missing_before:.0%}"
        elif len(old) and len(new):
            yield from find_stuck_value(name, old, new)
            if contract.columns[name].kind in ("number", "integer"):
                yield from find_other_unit(name, old, new)


def find_stuck_value(name: str, old: pd.Series, new: pd.Series) -> Iterator[str]:
    """Yield a column that nearly always has one value, like a default or an error code."""
    value = new.mode().iloc[0]
    share, before = float((new == value).mean()), float((old == value).mean())
    if share >= STUCK_SHARE and before <= share / 3 and old.nunique() > 1:
        yield f"{name}: {value!s} in {share:.0%} of the rows, in training {before:.0%}"


def find_other_unit(name: str, old: pd.Series, new: pd.Series) -> Iterator[str]:
    """Yield a column whose spread and quantiles have all changed like those of another unit.

    The spread alone proves nothing: other rows may vary more.  A column with hardly more than one
    value and a few outliers cannot be judged.
    """
    spread, before, after = old.std(), old.quantile(QUANTILES), new.quantile(QUANTILES)
    if not spread or not new.std() or before.nunique() == 1:
        return
    for unit in [*UNITS, *(1 / unit for unit in UNITS)]:
        zero = {1.8: 32.0, 1 / 1.8: -32 / 1.8}.get(unit, 0.0)  # Celsius and Fahrenheit
        distance = (after - (unit * before + zero)).abs().max() / (unit * spread)
        is_close = isclose(new.std() / spread, unit, rel_tol=UNIT_TOLERANCE)
        if is_close and distance < 5 * UNIT_TOLERANCE:
            yield f"{name}: {unit:.4g} times as large as in training, as in another unit"
            return
