"""Promotion: a better model is accepted, a worse or equal one refused, with reasons."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_ladder.data.contract import Contract
from mlops_ladder.model import resampling, training
from mlops_ladder.model.prediction import compute_scores, LOWER_IS_BETTER, METRICS
from mlops_ladder.model.training import Trained
from mlops_ladder.registry.gate import CheckResult, evaluate_gate, make_result
from mlops_ladder.settings import Settings

CASES = [(problem, metric) for problem, names in METRICS.items() for metric in names]


def made(problem: str, rows: int, noise: float, seed: int = 0) -> tuple[pd.Series, pd.DataFrame]:
    """Answers, and what a model says of them that is off by so much noise; 0 is without a fault."""
    order = pd.Series(np.random.default_rng(0).permutation(rows))
    off = np.random.default_rng(seed).normal(0, noise, rows) if noise else np.zeros(rows)
    if problem == "regression":
        return order / rows * 3, pd.DataFrame({"prediction": order / rows * 3 + off})
    truth = order % 2
    second = pd.Series(1 / (1 + np.exp(5 - 10 * (truth + off))))
    labels = truth.map({0: "no", 1: "yes"})
    found = {"prediction": np.where(second > 0.5, "yes", "no")}
    return labels, pd.DataFrame(found | {"probability_no": 1 - second, "probability_yes": second})


def baseline(truth: pd.Series) -> pd.DataFrame:
    """What a model says that ignores the features."""
    if pd.api.types.is_numeric_dtype(truth):
        return pd.DataFrame({"prediction": truth.median()}, index=truth.index)
    found: dict[str, Any] = {"prediction": "no", "probability_no": 0.5, "probability_yes": 0.5}
    return pd.DataFrame(found, index=truth.index)


@pytest.fixture(name="asked", params=CASES, ids=lambda case: case[1])
def _asked(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings for each problem and each of its metrics, without floors."""
    problem, metric = request.param
    gate = settings.gate.model_copy(update={"min_gain": 0.0, "floors": {}})
    return settings.model_copy(update={"problem": problem, "metric": metric, "gate": gate})


def found_by(asked: Settings, rows: int, candidate: float, champion: float) -> tuple[Any, Any]:
    """Answers, and what candidate, baseline and champion say; the two are off by so much noise."""
    truth, found = made(asked.problem, rows, candidate)
    champions = made(asked.problem, rows, champion, seed=1)[1]
    return truth, {"candidate": found, "baseline": baseline(truth), "champion v2": champions}


def test_a_better_model_is_accepted(asked: Settings) -> None:
    """Beyond baseline and champion, by every metric: accepted, and each reason says yes."""
    truth, found = found_by(asked, 400, candidate=0.3, champion=0.9)
    verdict = evaluate_gate(truth, found, asked)
    assert verdict.accepted and [it.rsplit(": ", 1)[1] for it in verdict.reasons] == ["yes", "yes"]
    assert f"{asked.metric} " in verdict.reasons[1] and "champion v2" in verdict.reasons[1]
    assert verdict.evidence["champion"] == "champion v2"


def test_a_worse_model_is_refused(asked: Settings) -> None:
    """Beyond the baseline and behind the champion, by every metric: refused for the latter."""
    verdict = evaluate_gate(*found_by(asked, 400, candidate=0.6, champion=0.1), asked)
    assert [it.rsplit(": ", 1)[1] for it in verdict.reasons] == ["yes", "no"]
    assert not verdict.accepted


def test_an_equal_model_is_refused(asked: Settings) -> None:
    """What says the same as the champion gains nothing."""
    truth, found = found_by(asked, 400, candidate=0.3, champion=0.3)
    verdict = evaluate_gate(truth, found | {"champion v2": found["candidate"]}, asked)
    assert not verdict.accepted
    assert "gain 0 (0 to 0), more than 0 needed: no" in verdict.reasons[1]


def test_a_gain_below_the_least_is_refused(asked: Settings) -> None:
    """A model that is better, but by less than `min_gain`, is refused."""
    gate = asked.gate.model_copy(update={"min_gain": 100.0})
    verdict = evaluate_gate(
        *found_by(asked, 400, candidate=0.3, champion=0.9), asked.model_copy(update={"gate": gate})
    )
    assert not verdict.accepted and "more than 100 needed: no" in verdict.reasons[1]


def test_noise_does_not_beat_the_baseline(asked: Settings) -> None:
    """A model that is the baseline and a little chance is refused, with no champion at all."""
    truth = made(asked.problem, 400, 0)[0]
    order = np.random.default_rng(2).permutation(400)
    guess = made(asked.problem, 400, 0.3)[1].iloc[order].reset_index(drop=True)
    verdict = evaluate_gate(truth, {"candidate": guess, "baseline": baseline(truth)}, asked)
    assert not verdict.accepted and "an interval above 0 needed: no" in verdict.reasons[0]


def test_few_rows_let_a_first_model_pass_by_its_gain(asked: Settings) -> None:
    """On few rows the gain decides alone, and the reason says so."""
    truth, found = made(asked.problem, 8, 0.1)
    verdict = evaluate_gate(truth, {"candidate": found, "baseline": baseline(truth)}, asked)
    assert verdict.accepted and verdict.evidence["champion"] is None
    assert "8 rows: too few for an interval to decide): yes" in verdict.reasons[0]


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_handful_of_rows_gives_a_verdict(asked: Settings, rows: int) -> None:
    """Three rows, two or one: a verdict with reasons, whatever the metric."""
    assert (
        len(evaluate_gate(*found_by(asked, rows, candidate=0.3, champion=0.9), asked).reasons) == 2
    )


def test_a_floor_is_kept_or_named(asked: Settings) -> None:
    """A floor that is missed refuses, and so does one of a metric that there is not."""
    truth, found = found_by(asked, 400, candidate=0.3, champion=0.9)
    least, far = compute_scores(asked.problem, truth, found["candidate"])[asked.metric], 1000.0
    missed = -far if asked.metric in LOWER_IS_BETTER else far
    for floors, told in (
        ({asked.metric: least}, "needed: yes"),
        ({asked.metric: missed}, "needed: no"),
        ({"beauty": 0.5}, "no such metric"),
    ):
        gate = asked.gate.model_copy(update={"floors": floors})
        verdict = evaluate_gate(truth, found, asked.model_copy(update={"gate": gate}))
        assert told in verdict.reasons[1] and verdict.accepted == ("yes" in told)


def test_a_champion_that_cannot_be_compared_is_told(asked: Settings) -> None:
    """A champion that cannot predict these rows is not beaten, unless a person names it."""
    truth, found = found_by(asked, 400, candidate=0.3, champion=0.9)
    for named, word in ((None, "no"), (1, "no"), (2, "yes")):
        gate = asked.gate.model_copy(update={"replace_uncompared": named})
        said = asked.model_copy(update={"gate": gate})
        verdict = evaluate_gate(truth, found | {"champion v2": None}, said)
        assert (verdict.accepted, verdict.evidence["champion"]) == (word == "yes", "champion v2")
        assert "gate.replace_uncompared = 2 in config/gate.toml" in verdict.reasons[1]
        assert verdict.reasons[1].endswith(f": {word}")


def test_to_name_a_champion_that_can_be_compared_changes_nothing(asked: Settings) -> None:
    """A better champion stays, also if `replace_uncompared` names it."""
    gate = asked.gate.model_copy(update={"replace_uncompared": 2})
    said = asked.model_copy(update={"gate": gate})
    assert not evaluate_gate(*found_by(asked, 400, candidate=0.6, champion=0.1), said).accepted


def test_a_further_question_may_refuse(asked: Settings) -> None:
    """An answer that is no refuses, whatever the scores."""
    truth, found = found_by(asked, 400, candidate=0.3, champion=0.9)
    verdict = evaluate_gate(
        truth, found, asked, [make_result(False, "1 of 400 rows differs in service")]
    )
    assert not verdict.accepted and verdict.reasons[-1] == "1 of 400 rows differs in service: no"


def test_a_question_that_does_not_decide_is_told_and_refuses_nobody(asked: Settings) -> None:
    """Its no stands among the reasons and in the evidence, marked; the model is accepted."""
    truth, found = found_by(asked, 400, candidate=0.3, champion=0.9)
    new = CheckResult("refused", "new: 3 of 9", name="new", decides=False)
    verdict = evaluate_gate(truth, found, asked, [new])
    assert verdict.accepted and verdict.reasons[-1] == "new: 3 of 9: no (reported only)"
    assert verdict.evidence["questions"] == {"new": {"verdict": "refused", "decides": False}}


def test_a_metric_that_is_not_defined_is_refused_with_a_way_out(settings: Settings) -> None:
    """Where the held-out rows hold one class, or three, another metric is named."""
    asked = settings.model_copy(update={"problem": "classification", "metric": "roc_auc"})
    truth, found = made("classification", 40, 0.1)
    three = found.assign(probability_perhaps=0.0)
    for answers, said in ((truth.map(lambda _: "no"), found), (truth, three)):
        verdict = evaluate_gate(answers, {"candidate": said, "baseline": baseline(truth)}, asked)
        assert not verdict.accepted
        assert "choose another metric in config.toml (accuracy, bal" in verdict.reasons[0]


def test_draws_score_as_the_rows_that_are_drawn(asked: Settings) -> None:
    """The fast score of a draw is the score of the rows that it holds."""
    truth, found = made(asked.problem, 50, 0.6)
    times = np.bincount(np.random.default_rng(0).integers(0, 50, 50), minlength=50)
    rows = np.repeat(np.arange(50), times)
    answers, said = truth.iloc[rows].reset_index(drop=True), found.iloc[rows]
    wanted = compute_scores(asked.problem, answers, said.reset_index(drop=True))[asked.metric]
    scored = resampling.make_scorer(asked.metric, truth, found)
    assert scored(times.astype("float64")) == pytest.approx(wanted)


def test_many_rows_have_the_interval_that_they_deserve(
    asked: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rows of which a part is drawn from, the interval is as wide as if all of them were."""
    truth, found = made(asked.problem, 4000, 0.6)
    widths = []
    for most in (1000, 4000):
        monkeypatch.setattr(resampling, "MAX_ROWS", most)
        span = resampling.bootstrap_scores(asked.metric, truth, {"it": found}, 0)["it"].interval(
            0.5
        )
        widths.append(span.high - span.low)
    assert widths[0] == pytest.approx(widths[1], rel=0.15)


def test_a_verdict_is_the_same_each_time(asked: Settings) -> None:
    """The draws are seeded: the same rows give the same numbers."""
    rows = found_by(asked, 60, candidate=0.6, champion=0.6)
    assert evaluate_gate(*rows, asked) == evaluate_gate(*rows, asked)


def test_a_model_of_shuffled_answers_does_not_replace_the_real_one(
    trained: Trained, contract: Contract, settings: Settings
) -> None:
    """Of two really different models on the configured data the one that learned wins, if any."""
    metric = settings.metric
    if len(trained.holdout) < 100 or not np.isfinite(trained.scores[metric]):
        pytest.skip(f"{len(trained.holdout)} held-out rows, or {metric} is not defined on them")
    answers = trained.train[contract.target]
    order = np.random.default_rng(0).permutation(len(answers))
    shuffled = trained.train.assign(**{contract.target: answers.to_numpy()[order]})
    worse = training.fit_model(shuffled, trained.holdout, contract, settings)
    found = {"candidate": worse.predictions, "baseline": trained.baseline}
    verdict = evaluate_gate(trained.truth, found | {"champion v1": trained.predictions}, settings)
    assert not verdict.accepted
