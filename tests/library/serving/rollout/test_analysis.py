"""Analysis: units, not requests; failures, latency, predictions and, once known, the loss."""

from typing import Any

import orjson
import pytest

from mlops_ladder.serving.rollout.analysis import analyse, Analysis
from mlops_ladder.serving.settings import Rollout

CLASSES = ["nein", "ja"]
WANTED = Rollout()
Made = list[dict[str, Any]]


def arm(name: str, count: int, **more: Any) -> Made:
    """Requests of so many units to an arm: every fourth gets the second class."""
    known = {"arm": name, "failed": False, "shadow": False, "latency_ms": 5.0} | more
    given = known.pop("says", None)
    return [
        known
        | {
            "unit": f"{name}{place}",
            "request_id": f"{name}{place}",
            "output": orjson.dumps([{"prediction": given or CLASSES[place % 4 == 0]}]).decode(),
        }
        for place in range(count)
    ]


def worse(rows: Made, **more: Any) -> list[str]:
    """In what the candidate is worse, by the names of the findings."""
    found = analyse(rows, more.pop("classes", CLASSES), WANTED, **more)
    return [it.name for it in found.findings if it.worse]


def test_two_arms_that_are_alike_differ_in_nothing() -> None:
    """Each finding is made, and none says worse."""
    found = analyse(arm("champion", 400) + arm("candidate", 100), CLASSES, WANTED)
    tails = ["slowest 5 %", "slowest 1 %"]
    wanted = ["failures", "latency ms", "predictions ja", *tails]
    assert [it.name for it in found.findings] == wanted
    assert (found.fewer, found.worse) == (100, [])


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"failed": True}, "failures"),
        ({"says": "ja"}, "predictions ja"),
    ],
    ids=str,
)
def test_what_is_worse_is_named(changed: dict[str, Any], name: str) -> None:
    """A candidate that fails, is slow or says something else is worse in that."""
    rows = arm("champion", 400) + arm("candidate", 100, **changed)
    assert worse(rows) == [name]
    assert name in analyse(rows, CLASSES, WANTED).worse[0]


def test_a_candidate_that_is_slow_throughout_is_slow_in_its_tails_too() -> None:
    """Three times as long: the mean says so, and so do the slowest requests."""
    rows = arm("champion", 400) + arm("candidate", 100, latency_ms=15.0)
    assert worse(rows) == ["latency ms", "slowest 5 %", "slowest 1 %"]


def test_a_tail_is_found_in_requests_of_few_clients_too() -> None:
    """One of ten requests of each unit takes 15 ms: no mean is half as long again."""
    slow = [it | {"latency_ms": 15.0} for it in arm("candidate", 200)]
    quick = [it | {"latency_ms": 4.0} for it in arm("candidate", 200) * 9]
    rows = arm("champion", 200) * 10 + slow + quick
    assert worse(rows) == ["slowest 5 %", "slowest 1 %"]


def test_a_number_is_looked_at_as_a_mean() -> None:
    """Of a regression the mean prediction is compared."""
    rows = arm("champion", 100, says=10.0)[:50] + arm("champion", 100, says=12.0)[50:]
    assert worse(rows + arm("candidate", 100, says=11.0), classes=None) == []
    assert worse(rows + arm("candidate", 100, says=14.0), classes=None) == ["predictions"]


def test_a_unit_that_asks_a_thousand_times_is_one_witness() -> None:
    """Requests of one unit are no evidence for the others."""
    many = arm("candidate", 1, failed=True) * 1000
    found = analyse(arm("champion", 400) + many, CLASSES, WANTED)
    assert found == Analysis(400, 1)
    rows = arm("champion", 400) + arm("candidate", 100)[1:] + many
    assert worse(rows) == []


def test_in_the_shadow_there_is_no_latency() -> None:
    """A candidate that answers nobody is not judged by how long that takes."""
    slow = arm("candidate", 100, shadow=True, latency_ms=500.0)
    found = analyse(arm("champion", 100) + slow, CLASSES, WANTED)
    assert [it.name for it in found.findings] == ["failures", "predictions ja"]


@pytest.mark.parametrize("classes", [CLASSES, None], ids=["classes", "numbers"])
def test_labels_that_are_known_tell_a_loss(classes: list[str] | None) -> None:
    """Where truth is known, a candidate that is wrong more often is worse in that too."""
    says: Any = "ja" if classes else 2.0
    rows = arm("champion", 200, says=says) + arm("candidate", 200, says=says)
    right, wrong = (says, "nein" if classes else 30.0)
    truths = {it["request_id"]: [right] for it in rows[:200]}
    truths |= {it["request_id"]: [wrong] for it in rows[250:]}
    assert worse(rows, classes=classes, truths=truths) == ["loss"]
    truths |= {it["request_id"]: [right] for it in rows[200:]} | {"nobody asked": [wrong]}
    assert worse(rows, classes=classes, truths=truths) == []
    truths = {it["request_id"]: [None] for it in rows}
    assert "loss" not in [it.name for it in analyse(rows, classes, WANTED, 1, truths).findings]


def test_few_units_say_nothing() -> None:
    """Below 30 units in an arm nothing is compared, and without any nothing fails."""
    few = arm("champion", 400) + arm("candidate", 29)
    assert analyse(few, CLASSES, WANTED) == Analysis(400, 29)
    assert analyse([], CLASSES, WANTED) == Analysis(0, 0)


def test_more_steps_ask_for_more() -> None:
    """The rate of false aborts is shared by all steps of a rollout."""
    rows = arm("champion", 60) + arm("candidate", 40, failed=True)[:20] + arm("candidate", 40)[20:]
    assert worse(rows) == ["failures"] and worse(rows, steps=10**9) == []
