"""The gate: may a candidate become the champion?  The rule alone, without a registry.

All models are compared by the chosen metric on the same held-out rows.  A candidate is accepted if
all of this holds:

- It beats the baseline, and so does the low end of the gain's 95 % interval.  Below 100 rows, or
  without an interval, the gain alone decides, and the reason says so.
- It keeps every floor of `[gate]`.
- It gains more than `min_gain` on the champion, if there is one.  The interval is evidence and does
  not decide: otherwise a champion would stay until something beats it by a wide margin.  A champion
  that cannot be compared is not beaten, unless `gate.replace_uncompared` names it.
- It passes every further check that decides.

A model that is equal to the champion gains nothing, so it is refused.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import isfinite, nan
from typing import Any, Literal, TYPE_CHECKING

import pandas as pd

from mlops_ladder.model import prediction
from mlops_ladder.model.resampling import bootstrap_scores, Estimate, RESAMPLES
from mlops_ladder.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEW_ROWS = 100  # with fewer, the interval is wider than most gains
NO_CHAMPION = ("candidate", "baseline")
Scores = dict[str, dict[str, float]]
Gains = dict[str, Estimate]


@dataclass(frozen=True)
class CheckResult:
    """The result of a check: a verdict, the reason in a line, the numbers, and a figure of them.

    The gate itself sets `name` and `decides`.  A refusal by a check that does not decide is
    reported, and refuses no candidate.
    """

    verdict: Literal["passed", "refused", "not enough rows"]
    reason: str
    evidence: dict[str, Any] = field(default_factory=dict)
    picture: "Figure | None" = None
    name: str = ""
    decides: bool = True

    @property
    def is_passed(self) -> bool:
        """Whether the result is no refusal."""
        return self.verdict != "refused"

    def __str__(self) -> str:
        reported = "" if self.decides else " (reported only)"
        return f"{self.reason}: {'yes' if self.is_passed else 'no'}{reported}"


def make_result(passed: bool, reason: str) -> CheckResult:
    """Return the result of a check that the gate makes itself."""
    return CheckResult("passed" if passed else "refused", reason)


@dataclass(frozen=True)
class Verdict:
    """May the candidate become champion?  With the reasons, a line each, and the numbers.

    `evidence` is ready for JSON; its `champion` is the model that the candidate was compared with.
    """

    accepted: bool
    reasons: tuple[str, ...]
    evidence: dict[str, Any]


def grade_result(result: CheckResult) -> dict[str, Any]:
    """Return the verdict of a check, and whether it decides, for the report."""
    return {"verdict": result.verdict, "decides": result.decides}


def evaluate_gate(
    truth: pd.Series,
    predictions: Mapping[str, pd.DataFrame | None],
    settings: Settings,
    further: Iterable[CheckResult] = (),
) -> Verdict:
    """Return the verdict on the candidate.

    Args:
        truth: The true values of the held-out rows.
        predictions: The predictions of each model for these rows: `candidate`, `baseline` and the
            champion by its name in the reasons; None if it cannot predict them.
        settings: The project's settings, with metric and gate.
        further: Results of checks beyond the scores.
    """
    known = {name: rows for name, rows in predictions.items() if rows is not None}
    compute = partial(prediction.compute_scores, settings.problem, truth)
    scores = {name: compute(rows) for name, rows in known.items()}
    gains = compute_gains(truth, known, scores, settings)
    champion = next((name for name in predictions if name not in NO_CHAMPION), None)
    results = [beats_baseline(gains, truth, settings), *check_floors(scores["candidate"], settings)]
    results += [*([beats_champion(champion, gains, settings)] if champion else []), *further]
    evidence = {
        "metric": settings.metric,
        "rows": len(truth),
        "champion": champion,
        "scores": scores,
        "gains": {name: [gain.value, gain.low, gain.high] for name, gain in gains.items()},
        "questions": {result.name: grade_result(result) for result in results if result.name},
        "resamples": RESAMPLES,
        "seed": settings.seed,
    }
    accepted = all(result.is_passed or not result.decides for result in results)
    return Verdict(accepted, tuple(map(str, results)), to_json_safe(evidence))


def compute_gains(
    truth: pd.Series, predictions: dict[str, pd.DataFrame], scores: Scores, settings: Settings
) -> Gains:
    """Return the candidate's score and, for each other model, its gain: above 0 if it is better."""
    metric, sign = settings.metric, -1 if settings.metric in prediction.LOWER_IS_BETTER else 1
    draws = bootstrap_scores(metric, truth, predictions, settings.seed)
    own, mine = draws["candidate"], scores["candidate"][metric]
    better = {name: sign * (mine - scores[name][metric]) for name in predictions}
    gains = {name: (own - draws[name]).interval(better[name], sign) for name in predictions}
    return gains | {"candidate": own.interval(mine)}


def beats_baseline(gains: Gains, truth: pd.Series, settings: Settings) -> CheckResult:
    """Check that the candidate beats the baseline, beyond chance if the rows suffice."""
    metric, gain = settings.metric, gains["baseline"]
    if not isfinite(gains["candidate"].value):
        others = ", ".join(name for name in prediction.METRICS[settings.problem] if name != metric)
        rows = f"{len(truth)} held-out rows with {truth.nunique()} different answers"
        way_out = f"choose another metric in config.toml ({others}), or hold out more rows"
        return make_result(False, f"{metric} is not defined on {rows}; {way_out}")
    message = f"{metric} {gains['candidate']} against the baseline: gain {gain}"
    if len(truth) < FEW_ROWS or not isfinite(gain.low):
        few = f"{len(truth)} rows: too few for an interval to decide"
        return make_result(gain.value > 0, f"{message}, more than 0 needed ({few})")
    return make_result(gain.low > 0, f"{message}, an interval above 0 needed")


def check_floors(scores: dict[str, float], settings: Settings) -> list[CheckResult]:
    """Check each floor; refuse if its metric is unknown or not defined."""
    results = []
    for name, floor in settings.gate.floors.items():
        lower, value = name in prediction.LOWER_IS_BETTER, scores.get(name, nan)
        bound = "at most" if lower else "at least"
        unknown = "" if name in scores else f" (no such metric; there are {', '.join(scores)})"
        reason = f"{name} {value:.4g}{unknown}, {bound} {floor:.4g} needed"
        results.append(make_result(value <= floor if lower else value >= floor, reason))
    return results


def beats_champion(champion: str, gains: Gains, settings: Settings) -> CheckResult:
    """Check that the candidate beats the champion by more than `min_gain`; no score refuses."""
    gain, least = gains.get(champion, Estimate(nan, nan, nan)), settings.gate.min_gain
    if not isfinite(gain.value):
        way_out = f"to replace it all the same: gate.replace_uncompared = {champion[10:]}"
        message = f"{champion} has no {settings.metric} on these rows, so it is not compared"
        reason = f"{message} ({way_out} in config/gate.toml)"
        return make_result(may_replace_uncompared(champion, settings), reason)
    message = f"{settings.metric} {gains['candidate']} against {champion}: gain {gain}"
    return make_result(gain.value > least, f"{message}, more than {least:.4g} needed")


def may_replace_uncompared(champion: str, settings: Settings) -> bool:
    """Return whether the settings name this champion as replaceable without a comparison."""
    return champion == f"champion v{settings.gate.replace_uncompared}"


def to_json_safe(value: Any) -> Any:
    """Return the value with None in place of NaN and infinity, which JSON does not have."""
    return json.loads(json.dumps(value), parse_constant=lambda _: None)
