"""The split into training, validation and hold-out rows, and checks that it is fair."""

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
MIN_ROWS = 50  # of fewer, even a copy of the target cannot be told from chance
MAX_ROWS = 5_000  # more of them change the skill by less than 0.01


@dataclass(frozen=True)
class Splits:
    """Rows to train on, to choose parameters by, and to judge the model by."""

    train: pd.DataFrame
    validation: pd.DataFrame
    holdout: pd.DataFrame

    def items(self) -> list[tuple[str, pd.DataFrame]]:
        """Return each split by its name, in the order of time."""
        return list(vars(self).items())


def split_three_ways(rows: pd.DataFrame, contract: Contract, settings: Settings) -> Splits:
    """Split the rows of `training.prepare_training_rows` in three.

    The hold-out is that of `training.split_holdout`; the validation rows are split from the others
    in the same way.  Raises ProjectError if there are too few rows.
    """
    try:
        rest, holdout = training.split_holdout(rows, contract, settings)
        splits = Splits(*training.split_holdout(rest, contract, settings, "validation"), holdout)
        if splits.train.empty:
            raise ProjectError("no rows are left to train on")
    except ProjectError as error:
        groups = [] if contract.names("time") else contract.names("group")
        whole = rows[groups[0]].astype(str).nunique() if groups else len(rows)
        amount = f"{whole} {f'groups of {groups[0]}' if groups else 'rows'}"
        fault = f"too few for three parts with holdout = {settings.holdout}"
        way_out = "bring more, or make holdout smaller (config.toml)"
        raise ProjectError(f"{amount}: {fault}; {way_out}") from error
    return splits


def list_row_ids(split: Splits, contract: Contract) -> pd.DataFrame:
    """Return the id or number of each row, its split, and its `key` in later runs."""
    names = contract.names("id")
    rows = pd.concat([part.assign(part=name) for name, part in split.items()])
    ids = rows[names] if names else pd.DataFrame({"row": rows.index + 1}, rows.index)
    return ids.assign(key=training.compute_row_keys(rows.sort_index(), contract), part=rows["part"])


def find_overlaps(split: Splits, contract: Contract) -> list[str]:
    """Return a line for each row, id or group in two splits, and for splits that overlap in time.

    Groups may be in two splits if time decides.
    """
    times = contract.names("time")
    parts = [part for _, part in split.items()]
    lines = find_values_in_several_splits(split, "row", [pd.Series(part.index) for part in parts])
    for name in contract.names("id", *(() if times else ("group",))):
        lines += find_values_in_several_splits(split, name, [part[name] for part in parts])
    for (earlier, before), (later, after) in zip(split.items(), split.items()[1:], strict=False):
        if times and before[times[0]].max() > after[times[0]].min():
            lines.append(f"{times[0]}: {later} begins before {earlier} ends")
    return lines


def find_values_in_several_splits(split: Splits, what: str, values: list[pd.Series]) -> list[str]:
    """Return a line with the number of values that are in more than one split, if any."""
    each = pd.concat([part.dropna().drop_duplicates() for part in values], ignore_index=True)
    twice = each[each.duplicated()].drop_duplicates()
    if twice.empty:
        return []
    names = ", ".join(name for name, _ in split.items())
    return [f"{what}: {len(twice):,} stand in more than one of {names}: {twice.iloc[0]!r}"]


def find_duplicates_across_splits(split: Splits, contract: Contract) -> list[str]:
    """Return a line if held-out rows equal training rows, and for groups in two splits.

    Both may be right: rows repeat if few columns have few values, groups if time decides.
    """
    columns = [*contract.inputs(), contract.target]
    learned = pd.concat([split.train, split.validation])
    hashes = pd.util.hash_pandas_object(split.holdout[columns], index=False)
    equal = int(hashes.isin(pd.util.hash_pandas_object(learned[columns], index=False)).sum())
    lines = []
    if equal:
        share = f"{equal:,} of {len(hashes):,} held-out rows"
        lines.append(f"{share} equal one that is learned from, {contract.target} included")
    parts = [part for _, part in split.items()]
    for name in contract.names("group") if contract.names("time") else []:
        lines += find_values_in_several_splits(split, name, [part[name] for part in parts])
    return lines


def find_target_leakage(rows: pd.DataFrame, contract: Contract, settings: Settings) -> list[str]:
    """Return a line for each input that predicts the target alone: a copy, or a code of it.

    Its skill is at least `leaks.threshold`, and it is not in `leaks.allowed`.  Times are left out,
    as the model sees only their weekday and hour.
    """
    if len(rows) < MIN_ROWS or rows[contract.target].nunique() < 2:
        return []
    some = rows.sample(min(len(rows), MAX_ROWS), random_state=settings.seed)
    target = some[contract.target]
    answers = encode_target(target, settings.problem)
    groups = some[contract.names("group")[0]].astype(str) if contract.names("group") else None
    lines = []
    for name in contract.inputs("number", "integer", "boolean", "category", "text"):
        share = measure_skill(some[name], answers, groups)
        if share >= settings.leaks.threshold and name not in settings.leaks.allowed:
            fault = f"alone it tells {share:.1%} of {contract.target}; is it known beforehand?"
            way_out = "add it to leaks.allowed (config/leaks.toml), else set its role to ignored"
            lines.append(f"{name}: {fault}  If so, {way_out}")
    return lines


def encode_target(target: pd.Series, problem: str) -> np.ndarray:
    """Return the target as (rows, 1) ranks, for outliers, or as (rows, classes) of 0 and 1."""
    if problem == "regression":
        return target.rank().to_numpy()[:, None]
    return pd.get_dummies(target).to_numpy(dtype="float64")


def measure_skill(values: pd.Series, answers: np.ndarray, groups: pd.Series | None) -> float:
    """Return the skill of one column: the share of the baseline's error that it removes.

    0 is no skill, 1 a perfect prediction, by a tree in cross-validation; groups stay together.
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
    """Return categories as numbers in sorted order; NaN if missing."""
    numbers, _ = pd.factorize(words, sort=True)
    return pd.Series(numbers, index=words.index, dtype="float64").where(numbers >= 0)
