"""Analysis: what both arms of a step did, unit by unit, and whether the candidate is worse.

The mixture sequential probability ratio test (mSPRT) with a normal mixture: Johari, Koomen, Pekelis
and Walsh, "Always Valid Inference: Continuous Monitoring of A/B Tests", Operations Research 70(3),
2022.  Its p-value holds at every look, so one may look after each request and stop at will; a
t-test that is looked at so often finds something in the end.

A difference is evidence beyond a margin: the hypothesis is "worse by no more than this".  What is
compared are units that were drawn, not requests: those of one unit are no independent witnesses.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd

from mlops_ladder.serving.assignment import CANDIDATE, CHAMPION
from mlops_ladder.serving.settings import Rollout

FEWEST = 30  # units of each arm before one looks: the variance is estimated from them
FAILURES, SPREADS = 0.05, 0.3  # differences that the test is tuned to: of a share, of a mean
MOST = 500.0  # of the logarithm of a likelihood ratio: enough for everybody
Array = np.ndarray
TAILS = {"slowest 5 %": 0.05, "slowest 1 %": 0.01}
FURTHER = 3 + len(TAILS)  # findings beside those on predictions: failures, latency, loss
Truths = Mapping[str, Sequence[Any]]  # what was true of each row of a request, as far as known


def p_value(excess: Array, variance: Array, tuned: float) -> Array:
    """The always valid p-value of a difference above 0, of this variance; 1 where it is below.

    The likelihood ratio of a normal mixture around 0; half, as one side alone counts.
    """
    ratio = -0.5 * np.log1p(tuned**2 / variance)
    ratio = ratio + tuned**2 * excess**2 / (2 * variance * (variance + tuned**2))
    found = np.minimum(np.exp(-np.minimum(ratio, MOST)) / 2, 1)
    return np.where(excess > 0, found, 1.0)


def shares(champion: Array, candidate: Array, margin: float) -> Array:
    """p-values of "no larger a share fails, but for a margin": values between 0 and 1, (…, units).

    Variances are those of a share with one more of both kinds: a share of 0 is not known to be 0.
    """
    arms = champion, candidate
    near = [(arm.sum(-1) + 1) / (arm.shape[-1] + 2) for arm in arms]
    variances = [it * (1 - it) / arm.shape[-1] for it, arm in zip(near, arms, strict=True)]
    excess = candidate.mean(-1) - champion.mean(-1) - margin
    return p_value(excess, variances[0] + variances[1], FAILURES)


def beyond(champion: Array, candidate: Array, factor: float, share: float) -> list[Array]:
    """Which requests of each arm are slow: 1 or 0, (…, requests).

    Slow is what takes longer than all but this share of the champion's, and for the candidate
    `factor` times as long: a candidate whose every quantile is at that factor has the same share.
    """
    limit = np.quantile(champion, 1 - share, axis=-1, keepdims=True)
    return [(champion > limit).astype(float), (candidate > factor * limit).astype(float)]


def shifts(champion: Array, candidate: Array, margin: float, upwards: bool = False) -> Array:
    """p-values of "a mean is no more standard deviations away", or, if so wanted, "above"."""
    arms = champion, candidate
    means, sizes = [arm.mean(-1) for arm in arms], [arm.shape[-1] for arm in arms]
    spread = np.sqrt((arms[0].var(-1) * sizes[0] + arms[1].var(-1) * sizes[1]) / sum(sizes))
    spread = np.maximum(spread, np.maximum(1e-9 * np.abs(means).max(0), 1e-12))
    variance = (arms[0].var(-1) / sizes[0] + arms[1].var(-1) / sizes[1]) / spread**2
    least = (1 / sizes[0] + 1 / sizes[1]) / 4  # where an arm says the same of all
    difference = (means[1] - means[0]) / spread
    excess = (difference if upwards else np.abs(difference)) - margin
    return p_value(excess, np.maximum(variance, least), SPREADS)


def factors(champion: Array, candidate: Array, margin: float) -> Array:
    """p-values of "a geometric mean is no larger, but for a factor": values above 0."""
    arms = np.log(champion), np.log(candidate)
    variance = sum(arm.var(-1) / arm.shape[-1] for arm in arms)
    excess = arms[1].mean(-1) - arms[0].mean(-1) - np.log(margin)
    return p_value(excess, np.maximum(variance, 1e-12), SPREADS)


@dataclass(frozen=True)
class Compared:
    """How both arms differ: their means, and the p-value of "no worse than the margin"."""

    champion: float
    candidate: float
    p: float


@dataclass(frozen=True)
class Finding:
    """What was compared, how it came out, and whether the candidate is worse beyond chance."""

    name: str
    compared: Compared
    worse: bool

    def __str__(self) -> str:
        found = self.compared
        told = f"{self.name:22} {found.champion:12.4g} {found.candidate:12.4g}   p {found.p:.2g}"
        return f"{told}{'  worse' if self.worse else ''}"


@dataclass(frozen=True)
class Analysis:
    """The units of each arm, and the findings about them; none where an arm has too few."""

    champion: int
    candidate: int
    findings: tuple[Finding, ...] = ()

    @property
    def fewer(self) -> int:
        """The units of the arm that has fewer."""
        return min(self.champion, self.candidate)

    @property
    def worse(self) -> list[str]:
        """In what the candidate is worse, in words."""
        return [
            f"{it.name}: {it.compared.candidate:.4g} against {it.compared.champion:.4g},"
            f" p {it.compared.p:.2g}"
            for it in self.findings
            if it.worse
        ]

    @property
    def told(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "units": {CHAMPION: self.champion, CANDIDATE: self.candidate},
            "findings": [
                asdict(it.compared) | {"name": it.name, "worse": it.worse} for it in self.findings
            ],
        }


def analyse(
    rows: Iterable[Mapping[str, Any]],
    classes: Sequence[Any] | None,
    settings: Rollout,
    steps: int = 1,
    truths: Truths | None = None,
) -> Analysis:
    """What the rows of a step say; `classes` are those of the champion, None where it has none.

    All looks at all findings of all `steps` together call a candidate worse that is not in a share
    of `false_aborts` of rollouts at most, however often one looks.
    """
    units = by_unit(rows, classes, truths or {}, settings.latency)
    arms = dict(iter(units.groupby("arm"))) if len(units) else {}
    one, other = (len(arms.get(arm, ())) for arm in (CHAMPION, CANDIDATE))
    if min(one, other) < FEWEST:
        return Analysis(one, other)
    found = dict(compared(arms[CHAMPION], arms[CANDIDATE], settings))
    most = settings.false_aborts / (steps * (len(watched(classes)) + FURTHER))
    findings = (Finding(name, it, it.p <= most) for name, it in found.items())
    return Analysis(one, other, tuple(findings))


def watched(classes: Sequence[Any] | None) -> list[str]:
    """What is looked at in predictions: the number, or whether they are of a class.

    Of two classes one: the other is the rest.
    """
    if classes is None:
        return ["predictions"]
    names = [f"predictions {name}" for name in classes]
    return names[1:] if len(names) == 2 else names


def compared(
    champion: pd.DataFrame, candidate: pd.DataFrame, settings: Rollout
) -> Iterator[tuple[str, Compared]]:
    """Each finding by its name, as far as both arms have enough units that know it."""
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
        yield name, Compared(float(mean(one)), float(mean(other)), float(p))


def geometric(values: np.ndarray) -> float:
    """The geometric mean: one slow answer does not stand for all."""
    return float(np.exp(np.log(values).mean()))


def by_unit(
    rows: Iterable[Mapping[str, Any]],
    classes: Sequence[Any] | None,
    truths: Truths,
    factor: float = 1,
) -> pd.DataFrame:
    """A row for each unit of an arm: the means over its requests, of what is known of them.

    In the shadow there is no latency: no client waits there.  The candidate may take `factor` times
    as long before its slowest requests count.
    """
    found, shadow = [], False
    for row in rows:
        shadow = shadow or row["shadow"]
        about = {"arm": row["arm"], "unit": row["unit"], "failures": float(row["failed"])}
        if not row["failed"]:
            about["latency ms"] = max(row["latency_ms"], 1e-3)
            about |= predicted(orjson.loads(row["output"]), classes, truths.get(row["request_id"]))
        found.append(about)
    frame = pd.DataFrame(found)
    if not found:
        return frame
    if shadow:
        frame = frame.drop(columns="latency ms", errors="ignore")
    elif "latency ms" in frame:
        mark_slow(frame, factor)
    return frame.groupby(["arm", "unit"], as_index=False, sort=False).mean()


def mark_slow(requests: pd.DataFrame, factor: float) -> None:
    """Say of each request that was answered whether it is among the slowest, by `TAILS`."""
    known = requests["latency ms"].dropna()
    one, other = (known[requests["arm"] == arm] for arm in (CHAMPION, CANDIDATE))
    for name, share in TAILS.items() if len(one) else ():
        slow = beyond(one.to_numpy(), other.to_numpy(), factor, share)
        requests.loc[one.index.append(other.index), name] = np.concatenate(slow)


def predicted(
    answers: Sequence[Mapping[str, Any]], classes: Sequence[Any] | None, truth: Any
) -> dict[str, float]:
    """The mean prediction of a request, or the share of each class; and its loss where known."""
    said = [answer["prediction"] for answer in answers]
    if classes is None:
        found = {"predictions": float(np.mean(said))}
    else:
        names = dict(zip(watched(classes), list(classes)[-len(watched(classes)) :], strict=True))
        found = {name: said.count(label) / len(said) for name, label in names.items()}
    if truth is not None:
        losses = [lost(*pair, classes) for pair in zip(said, truth, strict=False)]
        known = [loss for loss in losses if loss is not None]
        found |= {"loss": float(np.mean(known))} if known else {}
    return found


def lost(prediction: Any, truth: Any, classes: Sequence[Any] | None) -> float | None:
    """How far a prediction is off: 1 for a wrong class, else the distance; None where unknown."""
    if truth is None:
        return None
    return float(prediction != truth) if classes else abs(float(prediction) - float(truth))
