"""Analysis: the results of both arms of a step by unit, and whether the candidate is worse.

The mixture sequential probability ratio test (mSPRT) with a normal mixture: Johari, Koomen, Pekelis
and Walsh, "Always Valid Inference: Continuous Monitoring of A/B Tests", Operations Research 70(3),
2022.  Its p-value is valid at every look, so it may be computed after each request, and the rollout
may stop at any time.  A t-test that is repeated so often rejects in the end.

A difference counts beyond a margin: the hypothesis is "worse by no more than this margin".  Units
are compared, not requests, because the requests of one unit are not independent.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd

from mlops_ladder.serving.assignment import CANDIDATE, CHAMPION
from mlops_ladder.serving.settings import Rollout

FEWEST = 30  # units of each arm before a comparison: the variance is estimated from them
FAILURES, SPREADS = 0.05, 0.3  # the differences that the test is tuned to: in a share, in a mean
MOST = 500.0  # the largest logarithm of a likelihood ratio: the p-value is then 4e-218
Array = np.ndarray
TAILS = {"slowest 5 %": 0.05, "slowest 1 %": 0.01}
FURTHER = 3 + len(TAILS)  # further findings: failures, latency and its tails, loss
Truths = Mapping[str, Sequence[Any]]  # by request id: the outcome of each row, as far as known


def p_value(excess: Array, variance: Array, tuned: float) -> Array:
    """Return the always valid p-value of a difference above 0; 1 if the difference is below.

    It follows from the likelihood ratio of a normal mixture around 0, halved for a one-sided test.
    """
    ratio = -0.5 * np.log1p(tuned**2 / variance)
    ratio = ratio + tuned**2 * excess**2 / (2 * variance * (variance + tuned**2))
    p = np.minimum(np.exp(-np.minimum(ratio, MOST)) / 2, 1)
    return np.where(excess > 0, p, 1.0)


def shares(champion: Array, candidate: Array, margin: float) -> Array:
    """Return the p-values of "the share of failures is larger by no more than a margin".

    The arrays (…, units) hold values from 0 to 1.  The variance is estimated with one more failure
    and one more success, because an observed share of 0 need not be 0.
    """
    arms = champion, candidate
    near = [(arm.sum(-1) + 1) / (arm.shape[-1] + 2) for arm in arms]
    variances = [p * (1 - p) / arm.shape[-1] for p, arm in zip(near, arms, strict=True)]
    excess = candidate.mean(-1) - champion.mean(-1) - margin
    return p_value(excess, variances[0] + variances[1], FAILURES)


def beyond(champion: Array, candidate: Array, factor: float, share: float) -> list[Array]:
    """Return for each request of each arm whether it is slow: 1 or 0, arrays (…, requests).

    The limit is the champion's quantile above which this share of its requests lies.  For the
    candidate the limit is `factor` times as high.  So a candidate that is slower by just that
    factor has the same share of slow requests.
    """
    limit = np.quantile(champion, 1 - share, axis=-1, keepdims=True)
    return [(champion > limit).astype(float), (candidate > factor * limit).astype(float)]


def shifts(champion: Array, candidate: Array, margin: float, upwards: bool = False) -> Array:
    """Return the p-values of "the means differ by at most `margin` standard deviations".

    With `upwards`, only a larger mean of the candidate counts.
    """
    arms = champion, candidate
    means, sizes = [arm.mean(-1) for arm in arms], [arm.shape[-1] for arm in arms]
    spread = np.sqrt((arms[0].var(-1) * sizes[0] + arms[1].var(-1) * sizes[1]) / sum(sizes))
    spread = np.maximum(spread, np.maximum(1e-9 * np.abs(means).max(0), 1e-12))
    variance = (arms[0].var(-1) / sizes[0] + arms[1].var(-1) / sizes[1]) / spread**2
    least = (1 / sizes[0] + 1 / sizes[1]) / 4  # if all values of an arm are equal
    difference = (means[1] - means[0]) / spread
    excess = (difference if upwards else np.abs(difference)) - margin
    return p_value(excess, np.maximum(variance, least), SPREADS)


def factors(champion: Array, candidate: Array, margin: float) -> Array:
    """Return the p-values of "the geometric mean is larger by at most the factor `margin`"."""
    arms = np.log(champion), np.log(candidate)
    variance = sum(arm.var(-1) / arm.shape[-1] for arm in arms)
    excess = arms[1].mean(-1) - arms[0].mean(-1) - np.log(margin)
    return p_value(excess, np.maximum(variance, 1e-12), SPREADS)


@dataclass(frozen=True)
class Finding:
    """How both arms differ: their means, and the p-value of "no worse than the margin".

    It says `worse` if the candidate is worse beyond chance.
    """

    name: str
    champion: float
    candidate: float
    p: float
    worse: bool

    def __str__(self) -> str:
        line = f"{self.name:22} {self.champion:12.4g} {self.candidate:12.4g}   p {self.p:.2g}"
        return f"{line}{'  worse' if self.worse else ''}"


@dataclass(frozen=True)
class Analysis:
    """The units of each arm, and the findings about them; none if an arm has too few units."""

    champion: int
    candidate: int
    findings: tuple[Finding, ...] = ()

    @property
    def fewer(self) -> int:
        """The number of units of the smaller arm."""
        return min(self.champion, self.candidate)

    @property
    def worse(self) -> list[str]:
        """The findings in which the candidate is worse, in words."""
        return [
            f"{item.name}: {item.candidate:.4g} against {item.champion:.4g}, p {item.p:.2g}"
            for item in self.findings
            if item.worse
        ]

    @property
    def evidence(self) -> dict[str, Any]:
        """The analysis, ready for JSON."""
        units = {CHAMPION: self.champion, CANDIDATE: self.candidate}
        return {"units": units, "findings": [asdict(finding) for finding in self.findings]}


def analyse(
    rows: Iterable[Mapping[str, Any]],
    classes: Sequence[Any] | None,
    settings: Rollout,
    steps: int = 1,
    truths: Truths | None = None,
) -> Analysis:
    """Return the analysis of the rows of a step.

    At most a share `false_aborts` of harmless rollouts is aborted, over all findings and all
    `steps`, however often the analysis is repeated.

    Args:
        rows: The logged requests of both variants.
        classes: The classes of the champion; None for a regression.
        settings: The settings of the rollout.
        steps: The number of steps of the rollout.
        truths: The known outcomes, by request id.
    """
    units = by_unit(rows, classes, truths or {}, settings.latency)
    arms = dict(iter(units.groupby("arm"))) if len(units) else {}
    one, other = (len(arms.get(arm, ())) for arm in (CHAMPION, CANDIDATE))
    if min(one, other) < FEWEST:
        return Analysis(one, other)
    most = settings.false_aborts / (steps * (len(watched(classes)) + FURTHER))
    findings = compare_arms(arms[CHAMPION], arms[CANDIDATE], settings, most)
    return Analysis(one, other, tuple(findings))


def watched(classes: Sequence[Any] | None) -> dict[str, Any]:
    """Return the findings on predictions by name: one for numbers, else one a class, its label.

    Of two classes only the second is compared, because the first is the rest.
    """
    if classes is None:
        return {"predictions": None}
    names = {f"predictions {label}": label for label in classes}
    return dict([*names.items()][1:]) if len(names) == 2 else names


def compare_arms(
    champion: pd.DataFrame, candidate: pd.DataFrame, settings: Rollout, most: float
) -> Iterator[Finding]:
    """Yield each comparison for which both arms have enough units with a value.

    The candidate is worse if the p-value is at `most` this large.
    """
    for name in champion.columns.drop(["arm", "unit"]):
        one, other = (part[name].dropna().to_numpy("float64") for part in (champion, candidate))
        if min(len(one), len(other)) < FEWEST:
            continue
        mean: Callable[[np.ndarray], Any] = np.mean
        if name == "failures":
            p = shares(one, other, settings.failures)
        elif name == "latency ms":
            mean, p = geometric, factors(one, other, settings.latency)
        elif name in TAILS:
            p = shares(one, other, 0)
        elif name == "loss":
            p = shifts(one, other, settings.loss, upwards=True)
        else:
            p = shifts(one, other, settings.shift)
        yield Finding(name, float(mean(one)), float(mean(other)), float(p), bool(p <= most))


def geometric(values: np.ndarray) -> float:
    """Return the geometric mean, on which one slow answer has little influence."""
    return float(np.exp(np.log(values).mean()))


def by_unit(
    rows: Iterable[Mapping[str, Any]],
    classes: Sequence[Any] | None,
    truths: Truths,
    factor: float = 1,
) -> pd.DataFrame:
    """Return a row for each unit of an arm, with the means over its requests.

    There is no latency in the shadow, because no client waits there.  The candidate may take
    `factor` times as long before a request counts as slow.
    """
    records, shadow = [], False
    for row in rows:
        shadow = shadow or row["shadow"]
        record = {"arm": row["arm"], "unit": row["unit"], "failures": float(row["failed"])}
        if not row["failed"]:
            record["latency ms"] = max(row["latency_ms"], 1e-3)
            record |= predicted(orjson.loads(row["output"]), classes, truths.get(row["request_id"]))
        records.append(record)
    frame = pd.DataFrame(records)
    if not records:
        return frame
    if shadow:
        frame = frame.drop(columns="latency ms", errors="ignore")
    elif "latency ms" in frame:
        mark_slow(frame, factor)
    return frame.groupby(["arm", "unit"], as_index=False, sort=False).mean()


def mark_slow(requests: pd.DataFrame, factor: float) -> None:
    """Mark the answered requests that are among the slowest, in a column for each of `TAILS`."""
    latencies = requests["latency ms"].dropna()
    one, other = (latencies[requests["arm"] == arm] for arm in (CHAMPION, CANDIDATE))
    for name, share in TAILS.items() if len(one) else ():
        slow = beyond(one.to_numpy(), other.to_numpy(), factor, share)
        requests.loc[one.index.append(other.index), name] = np.concatenate(slow)


def predicted(
    answers: Sequence[Mapping[str, Any]], classes: Sequence[Any] | None, truth: Any
) -> dict[str, float]:
    """Return the mean prediction of a request or the share of each class, and its loss if known."""
    predictions = [answer["prediction"] for answer in answers]
    if classes is None:
        means = {"predictions": float(np.mean(predictions))}
    else:
        names = watched(classes).items()
        means = {name: predictions.count(label) / len(predictions) for name, label in names}
    known = [pair for pair in zip(predictions, truth or (), strict=False) if pair[1] is not None]
    if known:  # 1 for a wrong class, else the distance
        lost = [one != other if classes else abs(float(one) - float(other)) for one, other in known]
        means["loss"] = float(np.mean(lost))
    return means
