"""The split: which rows are learned from, chosen by and judged by, and what would spoil it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import cross_val_predict, GroupKFold, KFold
from sklearn.tree import DecisionTreeRegressor

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.model import training
from mlops_ladder.settings import Settings

FOLDS = 5
MIN_ROWS = 50  # of fewer, even a copy of the target does not tell it from the rows beside it
MAX_ROWS = 5_000  # more of them change a share by less than 0.01


@dataclass(frozen=True)
class Splits:
    """Rows to learn from, rows to choose parameters by, and rows that judge the model."""

    train: pd.DataFrame
    validation: pd.DataFrame
    holdout: pd.DataFrame

    def items(self) -> list[tuple[str, pd.DataFrame]]:
        """Each part by its name, in the order of time."""
        return list(vars(self).items())


def split_three_ways(rows: pd.DataFrame, contract: Contract, settings: Settings) -> Splits:
    """The rows of `training.prepare_training_rows` in three parts.

    The holdout is that of `training.split_holdout`; the validation rows are cut from the others in the same
    way.  Raises ProjectError where there are too few.
    """
    try:
        rest, holdout = training.split_holdout(rows, contract, settings)
        found = Splits(*training.split_holdout(rest, contract, settings, "validation"), holdout)
        if found.train.empty:
            raise ProjectError("no rows are left to train on")
    except ProjectError as error:
        groups = [] if contract.names("time") else contract.names("group")
        whole = rows[groups[0]].astype(str).nunique() if groups else len(rows)
        held = f"{whole} {f'groups of {groups[0]}' if groups else 'rows'}"
        fault = f"too few for three parts with holdout = {settings.holdout}"
        way_out = "bring more, or make holdout smaller (config.toml)"
        raise ProjectError(f"{held}: {fault}; {way_out}") from error
    return found


def list_row_ids(split: Splits, contract: Contract) -> pd.DataFrame:
    """The ids of all rows, or their numbers where no column is an id, and the part of each.

    And the `key` by which a later run knows the row again.
    """
    names = contract.names("id")
    rows = pd.concat([part.assign(part=name) for name, part in split.items()])
    known = rows[names] if names else pd.DataFrame({"row": rows.index + 1}, rows.index)
    return known.assign(
        key=training.compute_row_keys(rows.sort_index(), contract), part=rows["part"]
    )


def find_overlaps(split: Splits, contract: Contract) -> list[str]:
    """What makes the parts no fair test: a line for each thing that stands in more than one.

    A row, an id, a group (unless time decides), or times of which a later part holds earlier ones.
    """
    times = contract.names("time")
    found = find_values_in_several_splits(
        split, "row", [pd.Series(part.index) for _, part in split.items()]
    )
    for name in contract.names("id", *(() if times else ("group",))):
        found += find_values_in_several_splits(
            split, name, [part[name] for _, part in split.items()]
        )
    for (earlier, before), (later, after) in zip(split.items(), split.items()[1:], strict=False):
        if times and before[times[0]].max() > after[times[0]].min():
            found.append(f"{times[0]}: {later} begins before {earlier} ends")
    return found


def find_values_in_several_splits(split: Splits, what: str, values: list[pd.Series]) -> list[str]:
    """A line that says how many of these values, by part, stand in more than one part."""
    each = pd.concat([part.dropna().drop_duplicates() for part in values], ignore_index=True)
    twice = each[each.duplicated()].drop_duplicates()
    if twice.empty:
        return []
    named = ", ".join(name for name, _ in split.items())
    return [f"{what}: {len(twice):,} stand in more than one of {named}: {twice.iloc[0]!r}"]


def find_duplicates_across_splits(split: Splits, contract: Contract) -> list[str]:
    """What may make the score too good: held-out rows that were learned from, groups cut in two.

    Both may be right: where few columns hold few words, rows repeat; where time decides, so do
    groups.
    """
    columns = [*contract.inputs(), contract.target]
    learned = pd.concat([split.train, split.validation])
    held = pd.util.hash_pandas_object(split.holdout[columns], index=False)
    equal = int(held.isin(pd.util.hash_pandas_object(learned[columns], index=False)).sum())
    found = []
    if equal:
        share = f"{equal:,} of {len(held):,} held-out rows"
        found.append(f"{share} equal one that is learned from, {contract.target} included")
    for name in contract.names("group") if contract.names("time") else []:
        found += find_values_in_several_splits(
            split, name, [part[name] for _, part in split.items()]
        )
    return found


def find_target_leakage(rows: pd.DataFrame, contract: Contract, settings: Settings) -> list[str]:
    """A line for each input that alone tells the target: a copy, another scale, a code of it.

    Said where `told` is at or above `leaks.threshold`, for all columns but `leaks.allowed`.  Times
    are left out, as the model sees only their weekday and hour.
    """
    if len(rows) < MIN_ROWS or rows[contract.target].nunique() < 2:
        return []
    some = rows.sample(min(len(rows), MAX_ROWS), random_state=settings.seed)
    target = some[contract.target]
    answers = encode_target(target, settings.problem)
    groups = some[contract.names("group")[0]].astype(str) if contract.names("group") else None
    found = []
    for name in contract.inputs("number", "integer", "boolean", "category", "text"):
        share = measure_skill(some[name], answers, groups)
        if share >= settings.leaks.threshold and name not in settings.leaks.allowed:
            known = f"alone it tells {share:.1%} of {contract.target}; is it known beforehand?"
            way_out = "add it to leaks.allowed (config/leaks.toml), else set its role to ignored"
            found.append(f"{name}: {known}  If so, {way_out}")
    return found


def encode_target(target: pd.Series, problem: str) -> np.ndarray:
    """The target as (rows, 1) ranks, so that no outlier decides, or (rows, classes) of 0 and 1."""
    if problem == "regression":
        return target.rank().to_numpy()[:, None]
    return pd.get_dummies(target).to_numpy(dtype="float64")


def measure_skill(values: pd.Series, answers: np.ndarray, groups: pd.Series | None) -> float:
    """The share of the error of guessing that this column alone takes away, on rows not seen.

    0: it says nothing; 1: all.  A tree learns from folds of the rows; groups stay together.
    """
    numeric = pd.api.types.is_numeric_dtype(values)
    seen = values.astype("float64") if numeric else encode_categories(values)
    leaf = max(1, len(values) // 500) if numeric else 1
    tree = DecisionTreeRegressor(min_samples_leaf=leaf, random_state=0)
    several = groups is not None and groups.nunique() >= FOLDS
    folds = GroupKFold(FOLDS) if several else KFold(FOLDS, shuffle=True, random_state=0)
    guess = cross_val_predict(tree, seen.to_frame(), answers, groups=groups, cv=folds)
    missed = np.abs(answers - guess.reshape(answers.shape)).sum()
    return float(1 - missed / np.abs(answers - answers.mean(axis=0)).sum())


def encode_categories(words: pd.Series) -> pd.Series:
    """Each word as a number in their sorted order; NaN where missing."""
    numbers, _ = pd.factorize(words, sort=True)
    return pd.Series(numbers, index=words.index, dtype="float64").where(numbers >= 0)
