"""Evidence: is the candidate worse than the champion beside it, at whatever moment one looks?

The mixture sequential probability ratio test (mSPRT) with a normal mixture: Johari, Koomen, Pekelis
and Walsh, "Always Valid Inference: Continuous Monitoring of A/B Tests", Operations Research 70(3),
2022.  Its p-value holds at every look, so one may look after each request and stop at will; a
t-test that is looked at so often finds something in the end.

A difference is evidence beyond a margin: the hypothesis is "worse by no more than this".  What is
compared are units that were drawn, not requests: those of one unit are no independent witnesses.
"""

import numpy as np

FEWEST = 30  # units of each arm before one looks: the variance is estimated from them
FAILURES, SPREADS = 0.05, 0.3  # differences that the test is tuned to: of a share, of a mean
MOST = 500.0  # of the logarithm of a likelihood ratio: enough for everybody
Array = np.ndarray


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
