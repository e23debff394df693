"""Behaviour: a model that is inverted, or has no answer where it must, is refused."""

from dataclasses import replace
from functools import partial

import pytest
from library.registry.checks.made import made, other

from mlops_ladder.data.contract import Contract
from mlops_ladder.model.training import Trained
from mlops_ladder.registry import gate_checks
from mlops_ladder.registry.checks import behaviour
from mlops_ladder.registry.checks.behaviour import Direction, Invariance
from mlops_ladder.registry.gate_checks import CheckContext
from mlops_ladder.settings import Settings

UP = behaviour.Settings(direction=[Direction(column="größe", effect="up")])


@pytest.fixture(name="asked", params=("classification", "regression"))
def _asked(request: pytest.FixtureRequest, settings: Settings) -> CheckContext:
    """A question about a good model."""
    return made(settings, str(request.param))


def test_a_good_model_passes_every_test(asked: CheckContext) -> None:
    """Gaps, edges and a direction that is right, with what the answers are at each."""
    declared = UP.model_copy(update={"invariance": [Invariance(column="place")]})
    reply = behaviour.check_candidate(asked, declared)
    names = [it["name"] for it in reply.evidence["tests"]]
    assert reply.verdict == "passed" and reply.picture
    assert names[:3] == ["größe missing", "größe at 0 and 1", "place at 3 values"]
    assert names[3:] == ["place does not matter", "more größe, answer up"]
    assert reply.evidence["tests"][1]["answers"] == [0.0, 0.5, 1.0]


def test_an_inverted_model_is_refused(asked: CheckContext) -> None:
    """More of an input brings its answer down, which is declared to go up."""
    reply = behaviour.check_candidate(other(asked, turned=True), UP)
    assert reply.verdict == "refused" and "more größe, answer up: 1" in reply.reason


def test_another_class_can_be_named(asked: CheckContext) -> None:
    """The probability of a class by its name; of one that there is not, the others are told."""
    if asked.trained.settings.problem == "regression":
        return
    down = Direction(column="größe", effect="down", answer="nein")
    assert (
        behaviour.check_candidate(asked, behaviour.Settings(direction=[down])).verdict == "passed"
    )
    with pytest.raises(Exception, match="no such class; there are nein, vielleicht, ja"):
        none = down.model_copy(update={"answer": "no"})
        behaviour.check_candidate(asked, behaviour.Settings(direction=[none]))


def test_an_input_that_must_not_matter_and_does_is_refused(asked: CheckContext) -> None:
    """A model that answers otherwise in one place."""
    wanted = behaviour.Settings(invariance=[Invariance(column="place")])
    reply = behaviour.check_candidate(other(asked, wrong_in="Köln"), wanted)
    assert reply.verdict == "refused" and "place does not matter" in reply.reason


def test_a_model_that_fails_where_a_value_may_be_missing_is_refused(asked: CheckContext) -> None:
    """What it said is in the reason, with the name of the input."""
    reply = behaviour.check_candidate(other(asked, gaps=False), behaviour.Settings())
    assert reply.verdict == "refused"
    assert "größe missing: ValueError: a value is missing" in reply.reason


def test_an_answer_far_beyond_what_was_learned_cannot_be_used(asked: CheckContext) -> None:
    """A number may lie beyond those learned from by `margin` times their width, and no further."""
    if asked.trained.settings.problem == "classification":
        return
    narrow = asked.trained.train.assign(target=0.5 + asked.trained.train["target"] / 100)
    reply = behaviour.check_candidate(
        replace(asked, trained=replace(asked.trained, train=narrow)), behaviour.Settings()
    )
    assert reply.verdict == "refused" and "größe at 0 and 1" in reply.reason


def test_what_is_declared_of_no_input_is_named(contract: Contract) -> None:
    """A column that the model does not see, before anything is trained."""
    wrong = behaviour.Settings(invariance=[Invariance(column="no such")])
    assert "no such: no input of the model" in wrong.find_faults(contract)[0]


def test_the_configured_model_answers_at_the_edges_of_its_contract(trained: Trained) -> None:
    """On the configured data each input is tried missing, where it may be, and at its edges."""
    asked = partial(behaviour.check_candidate, settings=behaviour.Settings())
    reply = gate_checks.run_check(
        gate_checks.GateCheck("behaviour", True, asked), CheckContext(trained)
    )
    names = {it["name"].rsplit(" at ", 1)[0] for it in reply.evidence["tests"]}
    assert set(trained.contract.inputs()) <= names
    assert reply.verdict == "passed", reply.reason
