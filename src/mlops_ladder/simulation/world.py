"""The world: rows drawn from those of the project, so that every change in them is known.

One input, the axis, divides the rows into three parts of low, middle and new values.  Before the
drift, no request has rows of the new part.  A scenario can change the answers of the middle and the
new part.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.model.split import encode_target, measure_skill
from mlops_ladder.settings import Settings

LOW, MIDDLE, NEW = 0, 1, 2
EDGES = (0.35, 0.7)  # shares of the rows below the middle part, and below the new one
MIN_SHARE = 0.1  # of the rows: a smaller part would show nothing
# This share of a part's rows gets the other answer; with all, the axis would leak the target.
CHANGED_SHARE = 0.9
DRIFTED_SHARE = 0.7  # of the rows are of the new part after the drift
MAX_AXIS_ROWS = 2_000  # rows to choose the axis by


@dataclass(frozen=True)
class World:
    """All rows with the part of each, and the answer for a changed relation."""

    contract: Contract
    rows: pd.DataFrame
    axis: str
    part: np.ndarray
    other: Any

    def drawn(
        self, count: int, new: float, changed: int | None, random: np.random.Generator
    ) -> pd.DataFrame:
        """Draw rows with replacement.

        Args:
            count: of rows.
            new: the share of rows of the new part.
            changed: a part most of whose rows get the other answer, as in the new part.
            random: the generator.
        """
        fresh, is_new = random.random(count) < new, self.part == NEW
        choices = [random.choice(np.flatnonzero(rows), count) for rows in (is_new, ~is_new)]
        places = np.where(fresh, *choices)
        rows, part = self.rows.iloc[places].reset_index(drop=True), self.part[places]
        anew = (part == NEW) | (part == changed)
        turned = anew & (random.random(count) < CHANGED_SHARE)
        target = self.contract.target
        answers = rows[target].astype("object").where(~turned, self.other)
        return rows.assign(**{target: answers.astype(rows[target].dtype)})

    def dated(self, rows: pd.DataFrame, ends: pd.Series) -> pd.DataFrame:
        """Move the rows by whole weeks into the seven days before `ends`.

        Hours and weekdays stay; a model sees no more of a time.
        """
        times = self.contract.names("time")
        if not times:
            return rows
        days = (ends - rows[times[0]]).dt.days // 7 * 7
        weeks = pd.to_timedelta(days, unit="D")
        return rows.assign(**{name: rows[name] + weeks for name in times})


def build_world(frame: pd.DataFrame, contract: Contract, settings: Settings) -> World:
    """Return the world of these rows, as `training.prepare_training_rows` returns them.

    Raises ProjectError if no input can be divided.
    """
    rows, target = frame.reset_index(drop=True), frame[contract.target]
    names = contract.inputs("number", "integer") or contract.inputs("category")
    parts = {name: divide_by_value(rows[name], contract) for name in names}
    sizes = {name: np.bincount(part, minlength=3) for name, part in parts.items()}
    usable = [name for name in parts if sizes[name].min() >= MIN_SHARE * len(rows)]
    if not usable:
        why = "no input of numbers or categories has values enough to shift"
        raise ProjectError(f"make simulate: {why}; there are: {', '.join(parts) or 'none'}")
    some = rows.sample(min(len(rows), MAX_AXIS_ROWS), random_state=0)
    answers = encode_target(some[contract.target], settings.problem)
    # The most important input is shifted.
    axis = max(usable, key=lambda name: measure_skill(some[str(name)], answers, None))
    return World(contract, rows, axis, parts[axis], choose_other_answer(target, settings))


def divide_by_value(values: pd.Series, contract: Contract) -> np.ndarray:
    """Return the part of each row by its value; a missing value is low."""
    if contract.columns[str(values.name)].kind == "category":
        values = values.map(values.value_counts().rank(ascending=False, method="first"))
    numbers = values.astype("float64")
    return np.searchsorted(numbers.quantile(list(EDGES)), numbers.fillna(-np.inf))


def choose_other_answer(target: pd.Series, settings: Settings) -> Any:
    """Return the answer for a changed relation.

    The second most frequent class, or a number far from the median.
    """
    if settings.problem == "classification":
        return target.value_counts().index[1]
    ordered = target.sort_values().to_numpy()
    low, middle, high = (ordered[int(share * (len(ordered) - 1))] for share in (0.05, 0.5, 0.95))
    return high if high - middle >= middle - low else low


def break_axis(rows: pd.DataFrame, world_of: World) -> pd.DataFrame:
    """Return the rows without the axis: missing if the contract allows it, else a constant."""
    name = world_of.axis
    if world_of.contract.columns[name].nullable:
        return rows.assign(**{name: pd.Series(np.nan, rows.index, dtype=rows[name].dtype)})
    base = world_of.rows.loc[world_of.part != NEW, name]
    return rows.assign(**{name: base.value_counts().index[-1]})
