"""Differences: are two samples from one distribution, and if not, how far are they apart?

Both are samples: a test that takes the reference for the truth, as Evidently's chi-square does,
alarms for its chance as well.  Effects are on the scale of Cohen (Statistical Power Analysis for
the Behavioral Sciences, 1988, chapters 2 and 6), where 0.2 is small, 0.5 medium and 0.8 large.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

FEW = 10  # different numbers: fewer are counted, as ties make the test for numbers too cautious
EXPECTED = 10.0  # rows of a kind in the smaller sample: twice what Cochran (Biometrics 10, 1954)
# asks for, as not p-values of 0.05 matter here but of 0.001
SMALL = 100  # rows: the p-value of the limit is 0 in 4 % of draws of 50 beside 1
FARTHEST = 0.9999  # a gap of 1 would be infinitely many standard deviations


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
    order = np.lexsort((counts.index.astype("str").to_numpy(dtype="object"), total))
    table, total = table[order], total[order]
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
