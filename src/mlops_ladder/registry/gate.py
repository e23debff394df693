"""Promotion: may a candidate become the champion?  The rule alone; it knows no registry.

All models are compared by the chosen metric on the same held-out rows.  A candidate is accepted
where all of this holds:

- It beats the baseline, and so does the low end of the gain's 95 % interval.  Below 100 rows, or
  where there is no interval, the gain alone decides, and the reason says so.
- It keeps every floor of `[gate]`.
- It gains more than `min_gain` on the champion, if there is one.  The interval is evidence and does
  not decide: else a champion stays until something beats it by a wide margin.  A champion that
  cannot be compared is not beaten, unless `gate.replace_uncompared` names it.
- Every further question that decides is answered with yes.

A model that is equal to the champion gains nothing, so it is refused.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from math import isfinite, nan
from typing import Any

import pandas as pd

from mlops_ladder.model import prediction, resampling
from mlops_ladder.settings import Settings

FEW_ROWS = 100  # with fewer, the interval is wider than most gains
NO_CHAMPION = ("candidate", "baseline")
Scores = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Answer:
    """What one question says about a promotion: yes or no, and why in a line.

    Where it does not decide, a no is told and keeps nobody out.  A question that has joined has a
    `name`, and its `verdict` is a word.
    """

    passed: bool
    reason: str
    decides: bool = True
    verdict: str = ""
    name: str = ""

    @property
    def told(self) -> dict[str, Any]:
        """What the evidence says of it."""
        return {"verdict": self.verdict, "decides": self.decides}

    def __str__(self) -> str:
        reported = "" if self.decides else " (reported only)"
        return f"{self.reason}: {'yes' if self.passed else 'no'}{reported}"


@dataclass(frozen=True)
class Verdict:
    """May the candidate become champion?  With the reasons, a line each, and the numbers.

    `evidence` is ready for JSON; its `champion` is the model that the candidate was compared with.
    """

    accepted: bool
    reasons: tuple[str, ...]
    evidence: dict[str, Any]


def judge(
    truth: pd.Series,
    found: Mapping[str, pd.DataFrame | None],
    settings: Settings,
    further: Iterable[Answer] = (),
) -> Verdict:
    """The verdict on the candidate; `further` are the answers to questions beyond its scores.

    `found` holds what each model predicts for the rows of `truth`: `candidate`, `baseline` and, by
    the name that the reasons give it, the champion; None where it cannot predict these rows.
    """
    known = {name: rows for name, rows in found.items() if rows is not None}
    score = partial(prediction.compute_scores, settings.problem, truth)
    scores = {name: score(rows) for name, rows in known.items()}
    gains = compared(truth, known, scores, settings)
    champion = next((name for name in found if name not in NO_CHAMPION), None)
    answers = [beaten(gains, truth, settings), *floors(scores["candidate"], settings)]
    answers += [*([outdone(champion, gains, settings)] if champion else []), *further]
    evidence = {
        "metric": settings.metric,
        "rows": len(truth),
        "champion": champion,
        "scores": scores,
        "gains": {name: [it.value, it.low, it.high] for name, it in gains.items()},
        "questions": {it.name: it.told for it in answers if it.name},
        "resamples": resampling.RESAMPLES,
        "seed": settings.seed,
    }
    return Verdict(carried(answers), tuple(map(str, answers)), plain(evidence))


def carried(answers: Iterable[Answer]) -> bool:
    """Is each answer that decides a yes?"""
    return all(it.passed or not it.decides for it in answers)


def compared(
    truth: pd.Series, known: dict[str, pd.DataFrame], scores: Scores, settings: Settings
) -> dict[str, resampling.Estimate]:
    """The candidate's own score and, for each other model, its gain: above 0 where it is better."""
    metric, sign = settings.metric, -1 if settings.metric in prediction.LOWER_IS_BETTER else 1
    draws = resampling.bootstrap_scores(metric, truth, known, settings.seed)
    mine = scores["candidate"][metric]
    gains = {
        name: (draws["candidate"] - draws[name]).interval(
            sign * (mine - scores[name][metric]), sign
        )
        for name in known
    }
    return gains | {"candidate": draws["candidate"].interval(mine)}


def beaten(gains: dict[str, resampling.Estimate], truth: pd.Series, settings: Settings) -> Answer:
    """Is the baseline beaten, and beyond chance where the rows suffice to say so?"""
    metric, gain = settings.metric, gains["baseline"]
    if not isfinite(gains["candidate"].value):
        others = ", ".join(name for name in prediction.METRICS[settings.problem] if name != metric)
        rows = f"{len(truth)} held-out rows with {truth.nunique()} different answers"
        way_out = f"choose another metric in config.toml ({others}), or hold out more rows"
        return Answer(False, f"{metric} is not defined on {rows}; {way_out}")
    told = f"{metric} {gains['candidate']} against the baseline: gain {gain}"
    if len(truth) < FEW_ROWS or not isfinite(gain.low):
        few = f"{len(truth)} rows: too few for an interval to decide"
        return Answer(gain.value > 0, f"{told}, more than 0 needed ({few})")
    return Answer(gain.low > 0, f"{told}, an interval above 0 needed")


def floors(scores: dict[str, float], settings: Settings) -> list[Answer]:
    """Is each floor kept?  Not where its metric is unknown or not defined."""
    answers = []
    for name, floor in settings.gate.floors.items():
        lower, value = name in prediction.LOWER_IS_BETTER, scores.get(name, nan)
        bound = "at most" if lower else "at least"
        known = "" if name in scores else f" (no such metric; there are {', '.join(scores)})"
        told = f"{name} {value:.4g}{known}, {bound} {floor:.4g} needed"
        answers.append(Answer(value <= floor if lower else value >= floor, told))
    return answers


def outdone(champion: str, gains: dict[str, resampling.Estimate], settings: Settings) -> Answer:
    """Is the champion beaten by more than `min_gain`?  Not if there is no score to compare."""
    gain, least = gains.get(champion, resampling.Estimate(nan, nan, nan)), settings.gate.min_gain
    if not isfinite(gain.value):
        way_out = f"to replace it all the same: gate.replace_uncompared = {champion[10:]}"
        told = f"{champion} has no {settings.metric} on these rows, so it is not compared"
        return Answer(excused(champion, settings), f"{told} ({way_out} in config/gate.toml)")
    told = f"{settings.metric} {gains['candidate']} against {champion}: gain {gain}"
    return Answer(gain.value > least, f"{told}, more than {least:.4g} needed")


def excused(champion: str, settings: Settings) -> bool:
    """May this champion be replaced though it cannot be compared?  A person says so by name."""
    return champion == f"champion v{settings.gate.replace_uncompared}"


def plain(value: Any) -> Any:
    """The same without NaN and infinity, which JSON does not know: None in their place."""
    return json.loads(json.dumps(value), parse_constant=lambda _: None)
