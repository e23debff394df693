"""Fairness: a biased model is refused, and without groups only a waiver lets one pass."""

from datetime import datetime, timedelta, UTC
from pathlib import Path

import pytest
from library.registry.checks.made import made, other
from pydantic import ValidationError

from mlops_ladder.registry.checks import fairness
from mlops_ladder.registry.checks.fairness import Accepted
from mlops_ladder.registry.gate_checks import CheckContext
from mlops_ladder.settings import Settings

TODAY = datetime.now(UTC).date()
PLACES = fairness.Settings(groups=["place"])
WAIVER = """\
[[tool.mlops-ladder.waivers]]
id = "model.fairness"
reason = "it predicts nothing about people"
by = "Ada"
approved_by = "Grace"
until = {until}
"""


@pytest.fixture(name="asked", params=("classification", "regression"))
def _asked(request: pytest.FixtureRequest, settings: Settings) -> CheckContext:
    """A question about a model that treats all places and people alike."""
    return made(settings, str(request.param), rows=3000)


def test_a_fair_model_passes_with_numbers_for_each_group(asked: CheckContext) -> None:
    """Fairlearn's values of all groups, also of people whom the model does not see."""
    reply = fairness.check_candidate(asked, fairness.Settings(groups=["place", "people"]))
    assert reply.verdict == "passed" and reply.picture
    assert {it["group"] for it in reply.evidence["groups"]["people"]} == {"A", "B"}


def test_a_biased_model_is_refused(asked: CheckContext) -> None:
    """One that answers otherwise in one place."""
    reply = fairness.check_candidate(other(asked, wrong_in="Köln"), PLACES)
    assert reply.verdict == "refused" and "place Köln" in reply.reason
    assert "Łódź" in reply.reason or "東京" in reply.reason


@pytest.mark.parametrize("compare", ["difference", "ratio"])
def test_how_often_a_class_is_given_can_be_what_has_to_be_alike(
    settings: Settings, compare: str
) -> None:
    """Demographic parity: a class that one place gets more often refuses, by either comparison."""
    parity = PLACES.model_copy(
        update={"metric": "demographic_parity", "positive": "ja", "compare": compare}
    )
    asked = made(settings, "classification", rows=3000)
    assert fairness.check_candidate(asked, parity).verdict == "passed"
    low = asked.trained.holdout["größe"].where(asked.trained.holdout["place"] != "Köln", 0.1)
    asked.trained.holdout["größe"] = low
    assert fairness.check_candidate(other(asked), parity).verdict == "refused"


def test_a_difference_that_two_people_accept_is_no_refusal(asked: CheckContext) -> None:
    """Up to the size that they name, for that column, until the date that they name."""
    decided = {"reason": "the law asks for it", "by": "Ada", "approved_by": "Grace"}
    accepted = Accepted(column="place", largest=0.99, until=TODAY, **decided)
    reply = fairness.check_candidate(
        other(asked, wrong_in="Köln"), PLACES.model_copy(update={"accepted": [accepted]})
    )
    assert reply.verdict == "passed" and reply.evidence["accepted"][0]["by"] == "Ada"
    past = accepted.model_copy(update={"until": TODAY - timedelta(days=1)})
    again = fairness.check_candidate(
        other(asked, wrong_in="Köln"), PLACES.model_copy(update={"accepted": [past]})
    )
    assert again.verdict == "refused"
    with pytest.raises(ValidationError, match="have to be two people"):
        Accepted(column="place", largest=0.99, until=TODAY, **decided | {"by": "grace"})


def test_few_rows_say_nothing(settings: Settings) -> None:
    """Ten rows: no two groups are compared, and that is said."""
    few = made(settings, "classification", rows=10)
    assert (
        fairness.check_candidate(other(few, wrong_in="Köln"), PLACES).verdict == "not enough rows"
    )


@pytest.mark.parametrize(
    ("days", "change", "verdict"),
    [
        (30, ("", ""), "passed"),
        (-1, ("", ""), "refused"),
        (400, ("", ""), "refused"),
        (30, ("Grace", "ada"), "refused"),
        (30, ("it predicts nothing about people", "no"), "refused"),
        (30, ("model.fairness", "model.slices"), "refused"),
    ],
)
def test_without_groups_a_waiver_is_needed(
    asked: CheckContext, folder: Path, days: int, change: tuple[str, str], verdict: str
) -> None:
    """A reason, a second person, a date that is neither past nor far: else the model is refused."""
    text = WAIVER.format(until=TODAY + timedelta(days=days)).replace(*change)
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    reply = fairness.check_candidate(asked, fairness.Settings())
    assert reply.verdict == verdict and "no groups are declared" in reply.reason


def test_numbers_make_groups_where_they_are_cut(asked: CheckContext) -> None:
    """Edges cut a column of numbers into groups."""
    cut = fairness.Settings(groups=["größe"], edges={"größe": [0.5]}, threshold=0.99)
    groups = fairness.check_candidate(asked, cut).evidence["groups"]["größe"]
    assert {it["group"] for it in groups} <= {"[-inf, 0.5)", "[0.5, inf)"} and groups
