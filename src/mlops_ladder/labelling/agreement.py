"""Agreement: do people say the same of the same rows, and more often than by chance?

Classes: Cohen's kappa (1960), averaged over the pairs of people by the rows that they share (Light,
1971).  Numbers: Krippendorff's alpha for intervals (2004), which is on the same scale: 1 for people
who agree, 0 for people who guess.
"""

from dataclasses import dataclass
from itertools import combinations
from statistics import median_low, variance

import numpy as np
from sklearn.metrics import cohen_kappa_score

from mlops_ladder.labelling.queue import decisions, Label, votes
from mlops_ladder.labelling.settings import Labels

Votes = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Judged:
    """What the labels come to: rows with a label, rows in dispute, and how far people agree.

    `agreement` is NaN where no two people have labelled a row in common, or chance says nothing.
    """

    settled: dict[str, str]
    disputed: Votes
    agreement: float
    shared: int

    def trusted(self, settings: Labels) -> bool:
        """May rows on which people agree be learned from?  Not where chance explains as much."""
        return settings.annotators == 1 or self.agreement >= settings.agreement


def judge(known: list[Label], settings: Labels, spread: float | None = None) -> Judged:
    """Judge the labels; `spread` is the standard deviation of the target where it is a number.

    A row is settled where enough people say the same of it, two numbers no further apart than
    `tolerance` spreads, or where somebody has decided.  What was only agreed on counts where
    agreement is beyond chance.
    """
    said, decided = votes(known), decisions(known)
    whole = {row: them for row, them in said.items() if len(them) >= settings.annotators}
    apart = {row for row, them in whole.items() if differ(them, settings, spread)}
    agreement = alpha(said) if spread is not None else kappa(said)
    disputed = {row: whole[row] for row in apart - decided.keys()}
    found = Judged(decided, disputed, agreement, sum(len(them) > 1 for them in said.values()))
    if not found.trusted(settings):
        return found
    agreed = {row: one(them, spread) for row, them in whole.items() if row not in apart}
    return Judged(agreed | decided, disputed, agreement, found.shared)


def differ(them: dict[str, str], settings: Labels, spread: float | None) -> bool:
    """Do these people say different things of a row?"""
    if spread is None:
        return len(set(them.values())) > 1
    numbers = [float(it) for it in them.values()]
    return max(numbers) - min(numbers) > settings.tolerance * spread


def one(them: dict[str, str], spread: float | None) -> str:
    """What they agree on: of numbers the middle one, as somebody has said it."""
    if spread is None:
        return next(iter(them.values()))
    return {float(it): it for it in them.values()}[median_low(map(float, them.values()))]


def kappa(said: Votes) -> float:
    """Agreement on classes beyond chance; 1 where people never differ."""
    people = sorted({who for them in said.values() for who in them})
    found, weights = [], []
    for pair in combinations(people, 2):
        both = [[them[who] for who in pair] for them in said.values() if set(pair) <= them.keys()]
        if both:
            first, second = zip(*both, strict=True)
            found.append(1.0 if first == second else cohen_kappa_score(first, second))
            weights.append(len(both))
    return float(np.average(found, weights=weights)) if found else float("nan")


def alpha(said: Votes) -> float:
    """Agreement on numbers beyond chance; 1 where people never differ."""
    units = [[float(it) for it in them.values()] for them in said.values() if len(them) > 1]
    every = [it for unit in units for it in unit]
    within = sum(len(unit) * variance(unit) for unit in units)
    if not every or not within:
        return 1.0 if every else float("nan")
    return float(1 - within / (len(every) * variance(every)))
