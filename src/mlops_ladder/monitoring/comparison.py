"""The comparison: do inputs and predictions differ from the reference, and by how much?

Reference and window are both samples.  A test that takes the reference as exact, as Evidently's
chi-square test does, also alarms for the chance in the reference.  Effects are on Cohen's scale
(Statistical Power Analysis for the Behavioral Sciences, 1988, chapters 2 and 6): 0.2 is small, 0.5
medium and 0.8 large.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Column
from mlops_ladder.monitoring.archive import Window
from mlops_ladder.monitoring.training_reference import Reference
from mlops_ladder.monitoring.settings import Drift

FEW_VALUES = 10  # fewer distinct numbers are counted: ties make the test for numbers too cautious
# Rows of a kind in the smaller sample: twice the number of Cochran (Biometrics 10, 1954), because
# p-values of 0.001 matter here, not of 0.05.
MIN_EXPECTED = 10.0
EXACT_BELOW = 100  # rows: in 4 % of draws of 50 beside 1 the p-value of the limit is 0
MAX_GAP = 0.9999  # a gap of 1 would be infinitely many standard deviations
PREDICTION = "prediction"
MISSING, PRESENT = "missing", "present"
WEEK, NIGHT = pd.Timedelta(days=7), pd.Timedelta(hours=14)


class Difference(NamedTuple):
    """The probability of so large a difference by chance, and its size on Cohen's scale."""

    p: float
    effect: float


NO_DIFFERENCE = Difference(1.0, 0.0)


def compare_numbers(reference: pd.Series, window: pd.Series) -> Difference:
    """Return the difference of two samples of numbers without missing values.

    p is of the two-sample Kolmogorov-Smirnov test.  The effect is the distance, in standard
    deviations, of two normal distributions with the same largest gap.
    """
    if reference.empty or window.empty:
        return NO_DIFFERENCE
    if pd.concat([reference, window]).nunique() <= FEW_VALUES:
        return compare_counts(reference, window)
    is_small = min(len(reference), len(window)) < EXACT_BELOW
    test = stats.ks_2samp(reference, window, method="exact" if is_small else "asymp")
    gap = min(float(test.statistic), MAX_GAP)
    return Difference(float(test.pvalue), float(2 * stats.norm.ppf((1 + gap) / 2)))


def compare_counts(reference: pd.Series, window: pd.Series) -> Difference:
    """Return the difference of two samples of values that can be counted.

    p is of Fisher's exact test for two kinds, of the chi-square test of homogeneity for more.  The
    effect is Cohen's h, for more than two kinds Bhattacharyya's angle, which is h for two.
    """
    table = pool_rare_values(pd.concat([reference.value_counts(), window.value_counts()], axis=1))
    if len(table) < 2 or not table.sum(axis=0).all():
        return NO_DIFFERENCE
    is_exact = len(table) == 2
    test = stats.fisher_exact(table) if is_exact else stats.chi2_contingency(table, False)
    similarity = float(np.sqrt(table / table.sum(axis=0)).prod(axis=1).sum())
    return Difference(float(test.pvalue), float(2 * np.arccos(min(similarity, 1.0))))


def pool_rare_values(counts: pd.DataFrame) -> np.ndarray:
    """Return the counts of two samples, an array (kinds, 2), with rare kinds added up.

    Kinds of a similar frequency in both samples together are added up until there are enough rows.
    So many new values do not hide among old ones.  The groups depend on the sum of both samples
    alone, which leaves the tests valid.
    """
    table = counts.fillna(0).to_numpy()
    total = table.sum(axis=1)
    order = np.lexsort((counts.index.astype("str").to_numpy(dtype="object"), total))
    table, total = table[order], total[order]
    enough = MIN_EXPECTED * total.sum() / max(table.sum(axis=0).min(), 1)
    groups, rows_in_group, group = np.zeros(len(total), dtype=int), 0.0, 0
    for place, rows in enumerate(total):
        groups[place], rows_in_group = group, rows_in_group + rows
        if rows_in_group >= enough:
            group, rows_in_group = group + 1, 0.0
    groups[groups == group] = max(group - 1, 0)  # the last group did not get enough rows
    if not groups[-1:].any():
        groups[-1:] = 1  # the most frequent kind and all others: Fisher's test needs no more
    sums = np.array([table[groups == number].sum(axis=0) for number in np.unique(groups)])
    return sums[sums.any(axis=1)] if len(sums) else sums


@dataclass(frozen=True)
class Pair:
    """Two samples that are compared: values of a column, its missing share, or probabilities.

    A column may have several pairs; each has a `label` of its own.
    """

    column: str
    label: str
    is_numeric: bool
    reference: pd.Series
    window: pd.Series


@dataclass(frozen=True)
class Verdict:
    """Has a column drifted?  It has if p is at most `threshold` and the effect is large enough.

    `pair` is the one that differs most.  `p` is corrected for the number of pairs of the column.
    """

    column: str
    p: float
    effect: float
    threshold: float
    drifted: bool
    pair: Pair


def build_pairs(reference: Reference, window: Window) -> list[Pair]:
    """Return all pairs that are compared: those of the inputs, then those of the predictions."""
    pairs: list[Pair] = []
    inputs = reference.contract.inputs()
    for name in inputs:
        column = reference.contract.columns[name]
        samples = reference.rows[name], window.rows[name]
        pairs += build_column_pairs(name, column, *samples, window.answers["time"])
    title = PREDICTION
    while title in inputs:
        title += " of the model"
    old, new = reference.predictions, window.answers
    has_scores = bool(old["score"].notna().any())
    is_numeric = pd.api.types.is_float_dtype(old["prediction"]) and not has_scores
    pairs.append(make_pair(title, title, is_numeric, old["prediction"], new["prediction"]))
    if has_scores:
        label = f"{title}: probability"
        pairs.append(make_pair(title, label, True, old["score"], new["score"].dropna()))
    return pairs


def build_column_pairs(
    name: str, column: Column, reference: pd.Series, window: pd.Series, asked_at: pd.Series
) -> Iterator[Pair]:
    """Yield a pair of values, or two for a time, and a pair of missing shares if any are missing.

    Args:
        name: The name of the column.
        column: What the contract says about it.
        reference: Its values in the reference.
        window: Its values in the window.
        asked_at: When each row of the window was logged.
    """
    old, new = reference.dropna(), window.dropna()
    if column.kind == "time":
        # The model sees hour and weekday; the time itself is another one in every new row.
        old = old[select_whole_weeks(old)]
        new = window[select_whole_weeks(asked_at)].dropna()
        hours = (values.dt.hour + values.dt.minute / 60 for values in (old, new))
        yield make_pair(name, f"{name}: hour", True, *hours)
        yield make_pair(name, f"{name}: weekday", False, old.dt.day_name(), new.dt.day_name())
    elif column.kind == "text" and old.nunique() > FEW_VALUES:
        # Texts that hardly ever repeat can only be measured.
        lengths = old.str.len(), new.astype("str").str.len()
        yield make_pair(name, f"{name}: length", True, *lengths)
    else:
        yield make_pair(name, name, column.kind in ("number", "integer"), old, new)
    if reference.isna().any() or window.isna().any():
        words = {True: MISSING, False: PRESENT}
        shares = (values.isna().map(words) for values in (reference, window))
        yield make_pair(name, f"{name}: missing", False, *shares)


def select_whole_weeks(times: pd.Series) -> pd.Series:
    """Return which times lie in the newest whole weeks that they span; a night may be absent.

    In a part of a week some weekdays and hours are rarer though nothing has changed.  Logged rows
    are selected by the time of their request, not by the times in them.
    """
    weeks = (times.max() - times.min() + NIGHT) // WEEK if len(times) else 0
    return pd.Series(times > times.max() - weeks * WEEK)


def make_pair(
    column: str, label: str, is_numeric: bool, reference: pd.Series, window: pd.Series
) -> Pair:
    """Return a pair of numbers, or of texts that are spelled alike on both sides."""
    if is_numeric:
        return Pair(column, label, True, reference.astype("float64"), window.astype("float64"))
    return Pair(column, label, False, to_texts(reference), to_texts(window))


def to_texts(values: pd.Series) -> pd.Series:
    """Return values as text; booleans as 0 and 1, because nullable ones are numbers."""
    if pd.api.types.is_bool_dtype(values):
        values = values.astype("float64")
    if pd.api.types.is_numeric_dtype(values):
        values = values.map(lambda value: f"{value:g}")
    return values.astype("str")


def share_false_alarms(columns: list[str], settings: Drift) -> dict[str, float]:
    """Return the largest p that is drift, by column: the configured one, else an equal share.

    The shares add up to `false_alarms` (Bonferroni), so at most that share of reports is wrong,
    however the columns depend on each other.  Raises ProjectError for an unknown column.
    """
    if unknown := set(settings.columns) - set(columns):
        known = ", ".join(columns)
        message = f"drift.columns: {', '.join(sorted(unknown))}: no such column; there are {known}"
        raise ProjectError(message)
    others = [name for name in columns if name not in settings.columns]
    shares = {name: settings.false_alarms / len(others) for name in others}
    return {name: value for name, value in (shares | settings.columns).items() if value > 0}


def judge_columns(pairs: list[Pair], settings: Drift) -> list[Verdict]:
    """Return a verdict for each column that is not left out, the largest difference first."""
    by_column: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_column.setdefault(pair.column, []).append(pair)
    verdicts = []
    for name, threshold in share_false_alarms(list(by_column), settings).items():
        own = by_column[name]
        judged = (judge_pair(pair, len(own), threshold, settings) for pair in own)
        verdicts.append(min(judged, key=rank_verdict))
    return sorted(verdicts, key=rank_verdict)


def judge_pair(pair: Pair, count: int, threshold: float, settings: Drift) -> Verdict:
    """Return the verdict on one of the `count` pairs of a column.

    Args:
        pair: The two samples.
        count: The number of pairs of the column.
        threshold: The largest p that is drift.
        settings: The smallest effect that is drift.
    """
    compare = compare_numbers if pair.is_numeric else compare_counts
    p, effect = compare(pair.reference, pair.window)
    p = min(1.0, p * count)
    drifted = p <= threshold and effect >= settings.effect
    return Verdict(pair.column, p, effect, threshold, drifted, pair)


def rank_verdict(verdict: Verdict) -> tuple[bool, float, float]:
    """Return a sort key: drift first, then by p, then by effect."""
    return not verdict.drifted, verdict.p, -verdict.effect
