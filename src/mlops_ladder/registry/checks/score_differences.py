"""Differences: how far a score, or the gain over another model, may be off by chance."""

from math import isfinite
from statistics import NormalDist
from typing import Any

import numpy as np

from mlops_ladder.model.resampling import Draws


def compare(mine: Draws, other: Draws, sign: int, allowed: float) -> dict[str, Any]:
    """How much better the model is than another one, and how likely by chance if it is too bad."""
    gain, error = sign * (mine.whole - other.whole), spread(mine - other)
    room = gain + allowed * abs(other.whole)
    if error > 0:
        chance = NormalDist().cdf(room / error)
    else:
        chance = 1.0 if room >= 0 else 0.0
    return {"score": other.whole, "gain": gain, "error": error, "p": chance}


def spread(draws: Draws) -> float:
    """The standard error; NaN where the metric is not defined, or not on most draws."""
    known = draws.drawn[np.isfinite(draws.drawn)]
    if not isfinite(draws.whole) or len(known) < 0.9 * len(draws.drawn):
        return float("nan")
    return float(draws.scale * known.std(ddof=1))
