"""Training: fits a model to rows, and scores it on held-out rows."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, isnan
from typing import Any

import pandas as pd
from sklearn.dummy import DummyClassifier, DummyRegressor
from threadpoolctl import threadpool_limits

from mlops_ladder import plugins, ProjectError
from mlops_ladder.data.casting import RowCheck, validate_and_cast
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.data.remote import refresh_snapshot
from mlops_ladder.model.artifacts import compute_digest
from mlops_ladder.model.prediction import compute_scores, METRICS, MODEL, predict_rows, save_model
from mlops_ladder.problem import build_model, read_data
from mlops_ladder.settings import load_settings, Settings

MIN_ROWS = 5
MAX_REPEATED_SHARE = 0.5  # above, rows are numbered: else all equal rows would be on one side
THREADS_MIN_ROWS = 100_000  # on fewer, threads cost more than they save on a busy machine
# Of a column: they change no prediction.
EXPECTATION_FIELDS = {"categories", "enforce", "missing", "range"}


@dataclass(frozen=True)
class Trained:
    """A trained model with its rows and predictions.

    `train` and `holdout` have the columns of the contract; `predictions` and `baseline` are for
    `holdout`, by the model and by one without features; the fit took `seconds`, until Unix time
    `at`.
    """

    settings: Settings
    contract: Contract
    model: Any
    train: pd.DataFrame
    holdout: pd.DataFrame
    predictions: pd.DataFrame
    baseline: pd.DataFrame
    seconds: float
    at: float = field(default_factory=time.time)

    @property
    def truth(self) -> pd.Series:
        """Return the target of each held-out row."""
        return self.holdout[self.contract.target]

    @property
    def scores(self) -> dict[str, float]:
        """Return each metric of the model."""
        return compute_scores(self.settings.problem, self.truth, self.predictions)

    @property
    def baseline_scores(self) -> dict[str, float]:
        """Return each metric of the baseline."""
        return compute_scores(self.settings.problem, self.truth, self.baseline)

    @cached_property  # once: cloudpickle changes the classes of a copy that is read back
    def version(self) -> str:
        """Return a hash of the fitted model and its code: equal models have the same version."""
        expectations: Any = {"reviewed": True, "columns": {"__all__": EXPECTATION_FIELDS}}
        return compute_digest((self.model, self.contract.model_dump(exclude=expectations)))[:12]


def compute_row_keys(
    frame: pd.DataFrame, contract: Contract, by_order: bool | None = None
) -> pd.Series:
    """Return a key of each row, as text: a hash that depends on this row alone.

    It is the hash of the group, unless a time decides; else of the id, else of the inputs.  If most
    rows repeat others, or with `by_order`, the target is part of it and equal keys are numbered.
    """
    names = [] if contract.names("time") else contract.names("group")[:1]
    names = names or contract.names("id")
    columns = frame[names or contract.inputs()].apply(normalize_values)
    keys = pd.util.hash_pandas_object(columns, index=False).map(lambda value: f"{value:016x}")
    repeat = not names and keys.duplicated().mean() > MAX_REPEATED_SHARE
    if repeat if by_order is None else by_order:
        keys += "." + normalize_values(frame[contract.target]).astype("str")
        keys += "." + frame.groupby(keys).cumcount().astype("str")
    return keys


def normalize_values(values: pd.Series) -> pd.Series:
    """Return numbers as float64, others as text: a value never depends on those of other rows."""
    if pd.api.types.is_datetime64_any_dtype(values):
        values = values.dt.as_unit("ns").astype("int64")
    if pd.api.types.is_numeric_dtype(values):
        return values.astype("float64")
    return values.astype("str").str.removesuffix(".0").astype("object")


def split_holdout(
    frame: pd.DataFrame, contract: Contract, settings: Settings, salt: str = "holdout"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return rows to train on and the hold-out: the latest rows, if a column is a time.

    Otherwise rows with a small hash, so that new rows move none to the other side; equal rows and
    rows of a group stay together.  Raises ProjectError if all rows have the same hash.
    """
    if times := contract.names("time"):
        held_out = ceil(len(frame) * settings.holdout)
        ordered = frame.sort_values(times[0], kind="stable", na_position="first")
        return ordered.iloc[:-held_out], ordered.iloc[-held_out:]
    words = compute_row_keys(frame, contract).to_numpy(dtype="object")
    places = pd.util.hash_array(words, hash_key=salt.rjust(16), categorize=False) / 2**64
    low, high = places.min(), places.max()
    if low == high:
        what = ", ".join(contract.names("group")[:1] or contract.names("id")) or "inputs"
        raise ProjectError(f"{what}: the same in all {len(frame)} rows; two different are needed")
    is_held_out = (places < settings.holdout) & (places < high) | (places == low)
    return frame[~is_held_out], frame[is_held_out]


def prepare_training_rows(
    frame: pd.DataFrame, contract: Contract, settings: Settings, checks: Iterable[RowCheck] = ()
) -> pd.DataFrame:
    """Return the rows that have a target, each column cast to its kind.

    Raises ProjectError if they are too few, violate the contract, or do not fit the problem.
    """
    target = contract.target
    frame = frame[frame[target].notna()] if target in frame else frame
    if (count := len(frame)) < MIN_ROWS:
        raise ProjectError(f"{target}: {count} rows have one; at least {MIN_ROWS} are needed")
    names = contract.names("feature", "target", "time", "id", "group")
    rows = validate_and_cast(frame, contract, names, checks)
    for name in contract.names("group"):  # without one, a row is a group of its own
        alone = "without a group, row " + rows.index.astype("str").to_series(rows.index)
        rows[name] = rows[name].astype("object").fillna(alone)
    if settings.metric not in METRICS[settings.problem]:
        choices = f"for {settings.problem} there are {', '.join(METRICS[settings.problem])}"
        raise ProjectError(f"metric = {settings.metric!r}: {choices}")
    if settings.problem == "regression" and not pd.api.types.is_numeric_dtype(rows[target]):
        raise ProjectError(f"{target}: no number; set problem = 'classification' (config.toml)")
    return rows


def build_baseline(settings: Settings) -> Any:
    """Return an unfitted model that ignores the features: class shares, or the median."""
    classifies = settings.problem == "classification"
    return DummyClassifier() if classifies else DummyRegressor(strategy="median")


def fit_model(
    train: pd.DataFrame, holdout: pd.DataFrame, contract: Contract, settings: Settings
) -> Trained:
    """Fit a model and a baseline to `train`, and predict `holdout` by both.

    Raises ProjectError if the target has a single value in `train`.
    """
    inputs, target = contract.inputs(), train[contract.target]
    if target.nunique() < 2:
        only = f"{target.iloc[0]!r} in all {len(target)} rows to train on"
        raise ProjectError(f"{target.name}: {only}; two different values are needed")
    dummy = build_baseline(settings).fit(train[inputs], target)
    with threadpool_limits(1 if len(train) < THREADS_MIN_ROWS else None):
        started = time.perf_counter()
        model = build_model(contract, settings).fit(train[inputs], target)
        seconds = time.perf_counter() - started
        predictions = predict_rows(model, holdout[inputs])
        baseline = predict_rows(dummy, holdout[inputs])
    return Trained(settings, contract, model, train, holdout, predictions, baseline, seconds)


def train_model(
    frame: pd.DataFrame, contract: Contract, settings: Settings, checks: Iterable[RowCheck] = ()
) -> Trained:
    """Split the rows, and fit a model.  Raise ProjectError if nothing can be learned."""
    rows = prepare_training_rows(frame, contract, settings, checks)
    train, holdout = split_holdout(rows, contract, settings)
    return fit_model(train, holdout, contract, settings)


def format_scores(trained: Trained) -> str:
    """Return a table of the defined scores beside the baseline's; the chosen metric is marked."""
    model, baseline = trained.scores, trained.baseline_scores
    lines = [f"{'':18} {'model':>10} {'baseline':>10}"]
    for name in model:
        mark = "  <- config.toml: metric" if name == trained.settings.metric else ""
        if mark or not isnan(model[name]):
            lines.append(f"{name:18} {model[name]:10.4g} {baseline[name]:10.4g}{mark}")
    return "\n".join(lines)


def main() -> None:
    """Train on the data of `config.toml`, print the held-out scores and save the model."""
    settings, contract = load_settings(), read_contract()
    print(settings.about.question or f"Predicting {contract.target}")
    refresh_snapshot(settings.data.path)
    frame = read_data(settings)
    print(f"Read {len(frame):,} rows from {settings.data.path}; training ...", flush=True)
    checks = plugins.get_implementations("find_violations")
    trained = train_model(frame, contract, settings, checks)
    plugins.get_hooks().after_training(trained=trained)
    save_model(trained.model, contract, trained.version)
    times = contract.names("time")
    chosen = f"the latest by {times[0]}" if times else "by a hash that further rows do not change"
    print(f"Trained on {len(trained.train):,} rows in {trained.seconds:.1f} s")
    print(f"Held out {len(trained.holdout):,} rows, {chosen}\n{format_scores(trained)}")
    of_registry = plugins.get_hooks().load_batch_model.get_hookimpls()
    after = "make pipeline; only its champion predicts" if of_registry else "make predict"
    print(f"Saved {MODEL}, version {trained.version}.  Next: {after}")
