"""Evidence: looked at again and again, it calls no harmless candidate worse; a bad one it finds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

from mlops_ladder.serving.rollout import analysis

ALPHA = 0.05
UNITS = 500
LOOKS = range(50, UNITS + 1, 50)
Draw = Callable[[np.random.Generator, int], np.ndarray]
Test = Callable[[np.ndarray, np.ndarray], Any]


def failing(share: float) -> Draw:
    """Units of which this share fails."""
    return lambda random, draws: (random.random((draws, UNITS)) < share).astype(float)


def normal(mean: float) -> Draw:
    """Numbers around a mean, one standard deviation wide."""
    return lambda random, draws: random.normal(mean, 1, (draws, UNITS))


def skewed(shift: float) -> Draw:
    """Numbers of a skewed distribution, one standard deviation wide."""
    return lambda random, draws: random.exponential(1, (draws, UNITS)) + shift


def slow(factor: float) -> Draw:
    """Milliseconds around five, times a factor."""
    return lambda random, draws: random.lognormal(np.log(5 * factor), 0.5, (draws, UNITS))


def found(champion: Draw, candidate: Draw, test: Test, draws: int) -> float:
    """The share of rollouts in which some look calls the candidate worse."""
    random = np.random.default_rng(7)
    one, other = champion(random, draws), candidate(random, draws)
    looks = [test(one[:, :look], other[:, :look]) <= ALPHA for look in LOOKS]
    return float(np.any(looks, axis=0).mean())


def shares(one: np.ndarray, other: np.ndarray) -> Any:
    """Does a share of 0.01 more fail?"""
    return analysis.shares(one, other, 0.01)


def shifts(one: np.ndarray, other: np.ndarray) -> Any:
    """Is a mean 0.3 standard deviations away?"""
    return analysis.shifts(one, other, 0.3)


def factors(one: np.ndarray, other: np.ndarray) -> Any:
    """Does it take half as long again?"""
    return analysis.factors(one, other, 1.5)


def tails(one: np.ndarray, other: np.ndarray) -> Any:
    """Is the slowest twentieth, or the slowest hundredth, slower by half again?"""
    counts = [analysis.beyond(one, other, 1.5, share) for share in (0.05, 0.01)]
    return np.minimum(*(analysis.shares(first, second, 0) for first, second in counts))


def stalling(share: float, seconds: float = 50) -> Draw:
    """Milliseconds around four, of which 95 % are below 8; of a share around 50."""
    return lambda random, draws: np.where(
        random.random((draws, UNITS)) < share,
        random.lognormal(np.log(seconds), 0.1, (draws, UNITS)),
        random.lognormal(np.log(4), 0.42, (draws, UNITS)),
    )


def peeked(one: np.ndarray, other: np.ndarray) -> Any:
    """A t-test, made for one look."""
    return stats.ttest_ind(other, one, axis=1, alternative="greater").pvalue


@pytest.mark.parametrize(
    ("champion", "candidate", "test"),
    [
        (failing(0), failing(0.01), shares),
        (failing(0.05), failing(0.06), shares),
        (normal(0), normal(0.3), shifts),
        (normal(0), normal(-0.3), shifts),
        (skewed(0), skewed(0.3), shifts),
        (slow(1), slow(1.5), factors),
        (slow(1), slow(1.5), tails),
        (stalling(0.03), stalling(0.03), tails),
    ],
    ids=[
        "failures",
        "more failures",
        "a mean up",
        "a mean down",
        "a skewed mean",
        "latency",
        "tails",
        "stalls",
    ],
)
def test_at_the_margin_itself_few_harmless_candidates_are_aborted(
    champion: Draw, candidate: Draw, test: Test
) -> None:
    """Ten looks at a p-value of 0.05 call at most 5 % worse: 2,000 rollouts each."""
    assert found(champion, candidate, test, 2_000) <= ALPHA


def test_a_test_that_is_made_for_one_look_is_no_such_test() -> None:
    """Ten looks at a t-test of equal arms at 0.05 find something in more than a tenth."""
    assert found(normal(0), normal(0), peeked, 500) > 2 * ALPHA


@pytest.mark.parametrize(
    ("champion", "candidate", "test"),
    [
        (failing(0.01), failing(0.11), shares),
        (normal(0), normal(0.6), shifts),
        (normal(0), normal(-0.6), shifts),
        (slow(1), slow(2.2), factors),
        (stalling(0), stalling(0.08), tails),
    ],
    ids=["failures", "a mean up", "a mean down", "latency", "stalls"],
)
def test_a_degraded_candidate_is_found(champion: Draw, candidate: Draw, test: Test) -> None:
    """Ten points of failures, 0.6 deviations, 2.2 times as long: found in 95 of 100 rollouts."""
    assert found(champion, candidate, test, 200) >= 0.95


def test_a_tail_that_the_mean_does_not_see_is_found_at_the_level_of_a_rollout() -> None:
    """8 % of the requests take 50 ms: p95 goes from 8 to 50, and of 200 rollouts most are aborted.

    Looked at 48 times at p <= 0.002, as in a rollout of four steps.  Equal arms are not.
    """
    random = np.random.default_rng(7)
    champion, candidate, other = (stalling(share)(random, 200) for share in (0, 0.08, 0))
    assert np.quantile(champion, 0.95) < 8.1 and np.quantile(candidate, 0.95) > 40
    looks = range(30, UNITS + 1, 10)
    worse = [tails(champion[:, :it], candidate[:, :it]) <= 0.002 for it in looks]
    alike = [tails(champion[:, :it], other[:, :it]) <= 0.002 for it in looks]
    means = [factors(champion[:, :it], candidate[:, :it]) <= 0.002 for it in looks]
    assert np.any(worse, axis=0).mean() > 0.95 > 0.01 > np.any(means, axis=0).mean()
    assert np.any(alike, axis=0).mean() <= 0.01


@pytest.mark.parametrize(
    ("champion", "candidate", "worse"),
    [
        ([0.0] * 40, [1.0] * 40, True),
        ([1.0] * 40, [0.0] * 40, False),
        ([0.0] * 40, [0.0] * 40, False),
    ],
    ids=["all fail", "none fails any more", "none fails"],
)
def test_failures_of_all_or_none_are_judged(
    champion: list[float], candidate: list[float], worse: bool
) -> None:
    """Arms without any spread have a p-value too."""
    p = float(analysis.shares(np.array(champion), np.array(candidate), 0.01))
    assert (p < 1e-4) is worse and 0 <= p <= 1


def test_two_constants_differ_and_equal_ones_do_not() -> None:
    """A candidate that always says the same, and not what the champion always says, is found."""
    ones, twos = np.ones(40), np.full(40, 2.0)
    assert analysis.shifts(ones, twos, 0.3) < 1e-4
    assert analysis.shifts(ones, ones, 0.3) == 1


def test_a_loss_that_falls_is_none() -> None:
    """Upwards only: a candidate that loses less is not worse."""
    random = np.random.default_rng(0)
    one, other = random.normal(5, 1, 500), random.normal(3, 1, 500)
    assert analysis.shifts(one, other, 0.2, upwards=True) == 1
    assert analysis.shifts(other, one, 0.2, upwards=True) < 1e-4
