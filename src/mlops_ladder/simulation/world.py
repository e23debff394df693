"""The world: rows drawn from the configured ones, so that it is known what has changed in them.

Its rows are those of the project, drawn with replacement.  One input, the axis, divides them into
three parts of low, middle and new values.  Until it drifts, nobody asks about the new part; of the
middle and the new part a scenario may say that the answer is another one from now on.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.model.split import encode_categories, encode_target, measure_skill
from mlops_ladder.settings import Settings

LOW, MIDDLE, NEW = 0, 1, 2
EDGES = (0.35, 0.7)  # shares of the rows below the middle part, and below the new one
FEWEST = 0.1  # of the rows: a smaller part would say nothing
SURE = 0.9  # of the rows of a part get the other answer; with all of them a column would be a leak
DRIFTED = 0.7  # of the rows are of the new part once the inputs have drifted
MOST = 2_000  # rows that the axis is chosen by


@dataclass(frozen=True)
class World:
    """All rows with the part that each is in, and what is answered where the relation changes."""

    contract: Contract
    rows: pd.DataFrame
    axis: str
    part: np.ndarray
    other: Any

    def drawn(
        self, count: int, new: float, changed: int | None, random: np.random.Generator
    ) -> pd.DataFrame:
        """Rows of which the share `new` is of the new part; most of the part `changed`, and of the
        new one, have the other answer."""
        fresh = random.random(count) < new
        places = np.where(
            fresh,
            random.choice(np.flatnonzero(self.part == NEW), count),
            random.choice(np.flatnonzero(self.part != NEW), count),
        )
        rows, part = self.rows.iloc[places].reset_index(drop=True), self.part[places]
        anew = (part == NEW) | (part == changed)
        turned = anew & (random.random(count) < SURE)
        target = self.contract.target
        answers = rows[target].astype("object").where(~turned, self.other)
        return rows.assign(**{target: answers.astype(rows[target].dtype)})

    def dated(self, rows: pd.DataFrame, ends: pd.Series) -> pd.DataFrame:
        """The rows moved by whole weeks into the seven days before these ends: hours and weekdays,
        which are all that a model sees of a time, stay."""
        times = self.contract.names("time")
        if not times:
            return rows
        days = (ends - rows[times[0]]).dt.days // 7 * 7
        weeks = pd.to_timedelta(days, unit="D")
        return rows.assign(**{name: rows[name] + weeks for name in times})


def world(frame: pd.DataFrame, contract: Contract, settings: Settings) -> World:
    """The world of these rows, as `training.prepare_training_rows` gives them.

    Raises ProjectError where no input can be divided.
    """
    rows, target = frame.reset_index(drop=True), frame[contract.target]
    parts = {name: divided(rows[name], contract) for name in inputs(contract)}
    usable = {name: part for name, part in parts.items() if fits(part)}
    if not usable:
        known = ", ".join(parts) or "none"
        told_why = "no input of numbers or categories has values enough to shift"
        raise ProjectError(f"make simulate: {told_why}; there are: {known}")
    some = rows.sample(min(len(rows), MOST), random_state=0)
    axis = max(usable, key=lambda name: telling(some, name, contract, settings))
    return World(contract, rows, axis, usable[axis], other(target, settings))


def inputs(contract: Contract) -> list[str]:
    """The inputs that may be shifted: numbers, and where there are none categories."""
    return contract.inputs("number", "integer") or contract.inputs("category")


def divided(values: pd.Series, contract: Contract) -> np.ndarray:
    """The part of each row by its value; what is missing is low."""
    if contract.columns[str(values.name)].kind == "category":
        values = values.map(values.value_counts().rank(ascending=False, method="first"))
    known = values.astype("float64")
    edges = known.quantile(list(EDGES))
    return np.asarray((known > edges.iloc[0]).astype(int) + (known > edges.iloc[1]).astype(int))


def fits(part: np.ndarray) -> bool:
    """Has each part rows enough?"""
    return bool(np.bincount(part, minlength=3).min() >= FEWEST * len(part))


def telling(rows: pd.DataFrame, name: str, contract: Contract, settings: Settings) -> float:
    """How much this input alone tells of the target: the most important one is shifted."""
    values = (
        rows[name] if pd.api.types.is_numeric_dtype(rows[name]) else encode_categories(rows[name])
    )
    return measure_skill(values, encode_target(rows[contract.target], settings.problem), None)


def other(target: pd.Series, settings: Settings) -> Any:
    """The answer where the relation changes: the second most frequent class, or a number far from
    the median."""
    if settings.problem == "classification":
        return target.value_counts().index[1]
    ordered = target.sort_values().to_numpy()
    low, middle, high = (ordered[int(share * (len(ordered) - 1))] for share in (0.05, 0.5, 0.95))
    return high if high - middle >= middle - low else low


def broken(rows: pd.DataFrame, world_of: World) -> pd.DataFrame:
    """The rows with the axis lost: missing where the contract allows it, else stuck at a value."""
    name = world_of.axis
    if world_of.contract.columns[name].nullable:
        return rows.assign(**{name: pd.Series(np.nan, rows.index, dtype=rows[name].dtype)})
    base = world_of.rows.loc[world_of.part != NEW, name]
    return rows.assign(**{name: base.value_counts().index[-1]})
