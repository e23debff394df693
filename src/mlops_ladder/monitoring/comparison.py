"""The comparison: which inputs, and are the predictions, other than in the reference?

Both are samples: a test that takes the reference for the truth, as Evidently's chi-square does,
alarms for its chance as well.  Effects are on the scale of Cohen (Statistical Power Analysis for
the Behavioral Sciences, 1988, chapters 2 and 6), where 0.2 is small, 0.5 medium and 0.8 large.
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

FEW = 10  # different numbers: fewer are counted, as ties make the test for numbers too cautious
EXPECTED = 10.0  # rows of a kind in the smaller sample: twice what Cochran (Biometrics 10, 1954)
# asks for, as not p-values of 0.05 matter here but of 0.001
SMALL = 100  # rows: the p-value of the limit is 0 in 4 % of draws of 50 beside 1
FARTHEST = 0.9999  # a gap of 1 would be infinitely many standard deviations
PREDICTION = "prediction"
MISSING, THERE = "missing", "there"
WEEK, NEARLY = pd.Timedelta(days=7), pd.Timedelta(hours=14)  # a night


class Difference(NamedTuple):
    """How probable a difference as large is by chance alone, and its size on Cohen's scale."""

    p: float
    effect: float


NONE = Difference(1.0, 0.0)


def numbers(reference: pd.Series, found: pd.Series) -> Difference:
    """The difference of two samples of numbers, none of them missing.

    The two-sample Kolmogorov-Smirnov test.  The effect is by how many standard deviations two
    normal distributions with as large a gap lie apart.
    """
    if reference.empty or found.empty:
        return NONE
    if pd.concat([reference, found]).nunique() <= FEW:
        return words(reference, found)
    exact = min(len(reference), len(found)) < SMALL
    known = stats.ks_2samp(reference, found, method="exact" if exact else "asymp")
    gap = min(float(known.statistic), FARTHEST)
    return Difference(float(known.pvalue), float(2 * stats.norm.ppf((1 + gap) / 2)))


def words(reference: pd.Series, found: pd.Series) -> Difference:
    """The difference of two samples of words, or of anything that can be counted.

    Fisher's exact test of two kinds, the chi-square test of homogeneity of more.  The effect is
    Cohen's h, for more than two kinds as the angle of Bhattacharyya, which is h for two.
    """
    table = pooled(pd.concat([reference.value_counts(), found.value_counts()], axis=1))
    if len(table) < 2 or not table.sum(axis=0).all():
        return NONE
    if len(table) == 2:
        p = float(stats.fisher_exact(table).pvalue)
    else:
        p = float(stats.chi2_contingency(table.T, correction=False).pvalue)
    alike = float(np.sqrt(table / table.sum(axis=0)).prod(axis=1).sum())
    return Difference(p, float(2 * np.arccos(min(alike, 1.0))))


def pooled(counts: pd.DataFrame) -> np.ndarray:
    """The counts of two samples (kinds, 2), rare kinds together until there are enough of them.

    Put together are kinds of a similar frequency in both samples, so that many new words do not
    hide among old ones; which, depends on the sum of both samples alone, so no test is spoilt.
    """
    table = counts.fillna(0).to_numpy()
    total = table.sum(axis=1)
    ranks = np.lexsort((counts.index.astype("str").to_numpy(dtype="object"), total))
    table, total = table[ranks], total[ranks]
    enough = EXPECTED * total.sum() / max(table.sum(axis=0).min(), 1)
    groups, held, group = np.zeros(len(total), dtype=int), 0.0, 0
    for place, rows in enumerate(total):
        groups[place], held = group, held + rows
        if held >= enough:
            group, held = group + 1, 0.0
    groups[groups == group] = max(group - 1, 0)  # the last group did not get enough
    if not groups[-1:].any():
        groups[-1:] = 1  # the most frequent kind and all others: Fisher's test needs no more
    sums = [table[groups == number].sum(axis=0) for number in set(groups.tolist())]
    return np.array([counts for counts in sums if counts.any()])


@dataclass(frozen=True)
class Pair:
    """What is compared of a column: its values, the share that is missing, how sure the model is.

    `label` is a name of its own; a column may have several pairs.
    """

    column: str
    label: str
    numeric: bool
    reference: pd.Series
    found: pd.Series

    @property
    def difference(self) -> Difference:
        """How far the two are apart."""
        return (numbers if self.numeric else words)(self.reference, self.found)


@dataclass(frozen=True)
class Verdict:
    """Has a column drifted?  It has where p is at most `threshold` and the effect is large enough.

    `pair` is the one that differs most; `p` is corrected for how many pairs the column has.
    """

    column: str
    p: float
    effect: float
    threshold: float
    drifted: bool
    pair: Pair


def pairs(reference: Reference, window: Window) -> list[Pair]:
    """All that is compared: the inputs of the contract, then the predictions."""
    found: list[Pair] = []
    for name in reference.contract.inputs():
        column = reference.contract.columns[name]
        old, new = reference.rows[name], window.rows[name]
        found += of_column(name, column, old, new, window.said["time"])
    title = PREDICTION
    while title in reference.contract.inputs():
        title += " of the model"
    old, new = reference.said["prediction"], window.said["prediction"]
    sure = bool(reference.said["score"].notna().any())
    numeric = pd.api.types.is_float_dtype(old) and not sure
    found.append(pair(title, title, numeric, old, new))
    if sure:
        old, new = reference.said["score"], window.said["score"].dropna()
        found.append(pair(title, f"{title}: probability", True, old, new))
    return found


def of_column(
    name: str, column: Column, old: pd.Series, new: pd.Series, asked: pd.Series
) -> Iterator[Pair]:
    """The values of a column, and what is missing of it where any is; `asked` is when."""
    known, seen = old.dropna(), new.dropna()
    if column.kind == "time":
        # What the model sees of a time; the time itself is another in every new row.
        known, seen = known[whole_weeks(known)], new[whole_weeks(asked)].dropna()
        hours = (values.dt.hour + values.dt.minute / 60 for values in (known, seen))
        yield pair(name, f"{name}: hour", True, *hours)
        yield pair(name, f"{name}: weekday", False, known.dt.day_name(), seen.dt.day_name())
    elif column.kind == "text" and known.nunique() > FEW:
        # Words that hardly ever repeat can only be measured.
        yield pair(name, f"{name}: length", True, known.str.len(), seen.astype("str").str.len())
    else:
        yield pair(name, name, column.kind in ("number", "integer"), known, seen)
    if old.isna().any() or new.isna().any():
        marks = {True: MISSING, False: THERE}
        yield pair(name, f"{name}: missing", False, old.isna().map(marks), new.isna().map(marks))


def whole_weeks(times: pd.Series) -> pd.Series:
    """Which are in the newest whole weeks that these times span, but for a night: else none.

    What comes in a part of a week has some weekdays and hours more rarely though nothing has
    changed.  So logged rows are taken by when they were asked, whatever times they tell of.
    """
    weeks = (times.max() - times.min() + NEARLY) // WEEK if len(times) else 0
    return pd.Series(times > times.max() - weeks * WEEK)


def pair(column: str, label: str, numeric: bool, old: pd.Series, new: pd.Series) -> Pair:
    """A pair of plain values: numbers, or texts that are the same wherever a value comes from."""
    if numeric:
        return Pair(column, label, True, old.astype("float64"), new.astype("float64"))
    return Pair(column, label, False, *(texts(values) for values in (old, new)))


def texts(values: pd.Series) -> pd.Series:
    """Values as text, and a truth as one however it is held: nullable ones are numbers."""
    if pd.api.types.is_bool_dtype(values):
        values = values.astype("float64")
    if pd.api.types.is_numeric_dtype(values):
        values = values.map(lambda value: f"{value:g}")
    return values.astype("str")


def thresholds(columns: list[str], settings: Drift) -> dict[str, float]:
    """The largest p that is drift, by column: as it is set, else an equal share of false alarms.

    Bonferroni: with shares that add up to `false_alarms`, one of so many reports is false, however
    the columns depend on each other.  Raises ProjectError where a column is set that is not there.
    """
    if unknown := set(settings.columns) - set(columns):
        known = ", ".join(columns)
        message = f"drift.columns: {', '.join(sorted(unknown))}: no such column; there are {known}"
        raise ProjectError(message)
    others = [name for name in columns if name not in settings.columns]
    shares = {name: settings.false_alarms / len(others) for name in others}
    return {name: value for name, value in (shares | settings.columns).items() if value > 0}


def verdicts(compared: list[Pair], settings: Drift) -> list[Verdict]:
    """A verdict for each column that is to be looked at, what differs most first."""
    allowed = thresholds(list(dict.fromkeys(it.column for it in compared)), settings)
    found = []
    for name, threshold in allowed.items():
        ours = [it for it in compared if it.column == name]
        judged = (judge(it, len(ours), threshold, settings) for it in ours)
        found.append(min(judged, key=order))
    return sorted(found, key=order)


def judge(compared: Pair, count: int, threshold: float, settings: Drift) -> Verdict:
    """The verdict on one of the `count` pairs of a column."""
    p, effect = compared.difference
    p = min(1.0, p * count)
    drifted = p <= threshold and effect >= settings.effect
    return Verdict(compared.column, p, effect, threshold, drifted, compared)


def order(verdict: Verdict) -> tuple[bool, float, float]:
    """Drift first, then by how improbable it is, then by size."""
    return not verdict.drifted, verdict.p, -verdict.effect
