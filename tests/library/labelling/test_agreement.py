"""Agreement: beyond chance, and what is settled by it."""

import math

import pytest

from mlops_ladder.labelling.labels import (
    compute_alpha,
    compute_kappa,
    DECIDED,
    judge_labels,
    Label,
    QUEUED,
)
from mlops_ladder.labelling.settings import Labels

TWO = Labels(annotators=2, agreement=0.6)


def said(source: str = QUEUED, **people: str) -> list[Label]:
    """A letter for each row, '.' for none: `said(ada="aab.")`."""
    return [
        Label(f"row {place}", letter, source, who, "2026-01-01T00:00:00+00:00")
        for who, letters in people.items()
        for place, letter in enumerate(letters)
        if letter != "."
    ]


def counted(yes_yes: int, yes_no: int, no_yes: int, no_no: int) -> dict[str, dict[str, str]]:
    """What two people have said, by how often."""
    pairs = [("y", "y")] * yes_yes + [("y", "n")] * yes_no
    pairs += [("n", "y")] * no_yes + [("n", "n")] * no_no
    return {str(place): {"ada": it[0], "ben": it[1]} for place, it in enumerate(pairs)}


def test_kappa_is_what_cohen_computes() -> None:
    """50 proposals, 20 both yes, 15 both no: 0.7 agree, 0.5 by chance, so 0.4."""
    assert compute_kappa(counted(20, 5, 10, 15)) == pytest.approx(0.4)


def test_people_who_always_agree_have_one_and_people_who_share_nothing_have_none() -> None:
    """Also where all is of one class, of which chance explains everything."""
    assert compute_kappa(counted(9, 0, 0, 0)) == 1.0
    assert math.isnan(compute_kappa({"1": {"ada": "y"}, "2": {"ben": "y"}}))


def test_alpha_is_what_krippendorff_computes() -> None:
    """Three rows by two people: the squared differences within rows against those of all pairs."""
    values = [(1.0, 2.0), (3.0, 4.0), (5.0, 7.0)]
    units = {str(place): {"a": str(x), "b": str(y)} for place, (x, y) in enumerate(values)}
    every = [it for pair in values for it in pair]
    observed = sum((x - y) ** 2 for x, y in values) / len(values)
    expected = sum((x - y) ** 2 for x in every for y in every) / (6 * 5)
    assert compute_alpha(units) == pytest.approx(1 - observed / expected)
    assert compute_alpha({"1": {"a": "2", "b": "2.0"}}) == 1.0


def test_what_two_people_say_alike_is_settled_and_the_rest_is_in_dispute() -> None:
    """A row that one person has seen is neither."""
    found = judge_labels(said(ada="abababab.", ben="ababababa", eva="b........"), TWO)
    assert found.settled.keys() == {f"row {place}" for place in range(1, 8)}
    assert found.disputed == {"row 0": {"ada": "a", "ben": "a", "eva": "b"}}


def test_a_decision_settles_a_dispute() -> None:
    """It stands above what people have said before, and counts for no agreement."""
    known = said(ada="aabb", ben="aabb", eva="b...")
    found = judge_labels(known + said(DECIDED, eva="b..."), TWO)
    assert (found.settled["row 0"], found.disputed) == ("b", {})
    assert found.value == judge_labels(known, TWO).value


def test_what_chance_explains_is_not_settled() -> None:
    """Two people who guess agree on half of the rows: only what somebody has decided counts."""
    found = judge_labels(said(ada="abababab", ben="aabbaabb") + said(DECIDED, eva=".a......"), TWO)
    assert found.value == pytest.approx(0) and found.settled == {"row 1": "a"}


def test_the_last_word_of_a_person_counts() -> None:
    """Who labels again has changed their mind."""
    assert (
        judge_labels(said(ada="aabb", ben="bbaa") + said(ada="bbaa"), TWO).settled["row 0"] == "b"
    )


def test_numbers_agree_within_the_tolerance() -> None:
    """A part of the spread of the target; the one in the middle is taken, as it was said."""
    settings = Labels(annotators=2, tolerance=0.1)
    known = [
        Label(row, number, QUEUED, who, "now")
        for row, numbers in (("1", "5 5.5 6"), ("2", "50 51 50.0"), ("3", "90 90 80"))
        for who, number in zip("abc", numbers.split(), strict=True)
    ]
    found = judge_labels(known, settings, spread=20.0)
    assert found.settled == {"1": "5.5", "2": "50.0"}
    assert found.disputed.keys() == {"3"} and 0.9 < found.value < 1
