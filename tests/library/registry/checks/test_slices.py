"""Slices: a model that is bad on one slice is refused, however good it is on average."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from library.registry.checks.made import made, other, PLACES

from mlops_ladder.model.prediction import compute_scores
from mlops_ladder.model.training import Trained
from mlops_ladder.registry.checks import slices, apply_holm
from mlops_ladder.registry.gate_checks import CheckContext
from mlops_ladder.settings import Settings

KINDS = ("classification", "regression")


@pytest.fixture(name="asked", params=KINDS)
def _asked(request: pytest.FixtureRequest, settings: Settings) -> CheckContext:
    """A question about a good model."""
    return made(settings, str(request.param))


def whole(asked: CheckContext, said: pd.DataFrame, rows: Any = slice(None)) -> float:
    """The score of these answers to these rows, or to all."""
    settings = asked.trained.settings
    return compute_scores(settings.problem, asked.trained.truth[rows], said[rows])[settings.metric]


def test_a_good_model_passes_with_numbers_for_each_slice(asked: CheckContext) -> None:
    """Each place is a slice, with its rows, score, interval and the baseline's score."""
    reply = slices.check_candidate(asked, slices.Settings())
    found = reply.evidence["slices"]
    assert reply.verdict == "passed" and reply.picture
    assert [it["slice"] for it in found] == [f"place = {it}" for it in sorted(PLACES)]
    rows = (asked.trained.holdout["place"] == sorted(PLACES)[0]).to_numpy()
    assert found[0]["score"] == pytest.approx(whole(asked, asked.trained.predictions, rows))
    assert found[0]["n"] == rows.sum() and found[0]["low"] < found[0]["score"] < found[0]["high"]


def test_a_model_bad_on_one_slice_and_equal_on_average_is_refused(asked: CheckContext) -> None:
    """A champion whose faults are spread over all places has its score, and is better in one."""
    bad = other(asked, wrong_in="東京")
    wrong = (bad.trained.holdout["place"] == "東京").to_numpy()
    spread = np.random.default_rng(0).permutation(wrong)
    turned = other(asked, turned=True).trained.predictions
    champion = asked.trained.predictions.mask(pd.Series(spread), turned)
    both = [whole(bad, bad.trained.predictions), whole(bad, champion)]
    reply = slices.check_candidate(replace(bad, champion=champion), slices.Settings())
    assert both[0] == pytest.approx(both[1], rel=0.1)
    assert reply.verdict == "refused" and "place = 東京" in reply.reason
    assert "Köln" not in reply.reason and "champion" in reply.reason


def test_noise_refuses_hardly_ever(settings: Settings) -> None:
    """Of models as good as the champion, each in other rows, hardly any is refused."""
    refused = 0
    for seed in range(20):
        asked = made(settings.model_copy(update={"seed": seed}), "regression", rows=450)
        off = np.random.default_rng(seed).normal(0, 0.1, (2, 450))
        mine, theirs = (pd.DataFrame({"prediction": asked.trained.truth + it}) for it in off)
        rival = replace(asked, trained=replace(asked.trained, predictions=mine), champion=theirs)
        refused += (
            slices.check_candidate(rival, slices.Settings(max_regression=0)).verdict == "refused"
        )
    assert refused <= 3


def test_few_rows_say_nothing(asked: CheckContext) -> None:
    """Ten rows: no slice is judged, and that is said; a fault is no refusal there."""
    few = made(asked.trained.settings, asked.trained.settings.problem, rows=10)
    reply = slices.check_candidate(other(few, turned=True), slices.Settings())
    assert reply.verdict == "not enough rows" and reply.evidence["slices"] == []


def test_a_floor_is_kept_in_each_slice(asked: CheckContext) -> None:
    """A floor that no slice reaches refuses; that of one slice holds for it alone."""
    floor = {"mae": 1e-6, "balanced_accuracy": 0.999}[asked.trained.settings.metric]
    assert slices.check_candidate(asked, slices.Settings(floor=floor)).verdict == "refused"
    large = slices.Slice(column="größe", low=0.5, name="large", floor=floor)
    reply = slices.check_candidate(asked, slices.Settings(slices=[large]))
    assert reply.verdict == "refused" and "large" in reply.reason and "place" not in reply.reason


def test_a_slice_may_be_of_a_column_that_the_model_does_not_see(asked: CheckContext) -> None:
    """A personal column is read from the rows as they came."""
    reply = slices.check_candidate(asked, slices.Settings(columns=["people"]))
    assert [it["slice"] for it in reply.evidence["slices"]] == ["people = A", "people = B"]


def test_many_comparisons_do_not_add_up_to_false_alarms() -> None:
    """Holm: the least is compared with 0.05 of their number, the next with one fewer."""
    assert apply_holm([0.04, 0.01, 0.3]) == [False, True, False]
    assert apply_holm([0.02, 0.01, 0.3]) == [True, True, False]
    assert apply_holm([0.02, 0.03, 0.3]) == [False, False, False]
    assert not apply_holm([])


def test_the_configured_data_have_slices_that_can_be_judged(trained: Trained) -> None:
    """On the configured data a model as good as the champion is not refused for its slices."""
    asked: Any = CheckContext(trained, champion=trained.predictions, frame=None)
    against = slices.check_candidate(asked, slices.Settings(floor=None)).evidence["slices"]
    compared = [it["against"]["champion"] for it in against if "champion" in it["against"]]
    assert [it for it in compared if it["worse"] or it["gain"]] == []
