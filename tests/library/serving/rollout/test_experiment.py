"""An experiment: written down first, told at its horizon, void where the split is uneven."""

import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from library.fixture_project import ROOT

from mlops_ladder import ProjectError
from mlops_ladder.serving.assignment import CANDIDATE, CHAMPION, hash_unit, is_in_share
from mlops_ladder.serving.rollout import decisions, experiment
from mlops_ladder.serving.rollout.experiment import Record
from mlops_ladder.settings import Settings

KNOWN = Record(
    hypothesis="Größere Bäume irren weniger",
    owner="somebody",
    candidate="2",
    metric="loss",
    better="lower",
    smallest_effect=0.1,
    horizon=1000,
)


def made(change: float, count: int = 1000, seed: int = 0) -> pd.DataFrame:
    """Units of both arms, of a loss with a spread of 1."""
    random = np.random.default_rng(seed)
    arms = [CHAMPION] * count + [CANDIDATE] * count
    loss = random.normal(5, 1, 2 * count) + np.repeat([0.0, change], count)
    return pd.DataFrame({"arm": arms, "unit": [str(at) for at in range(2 * count)], "loss": loss})


@pytest.mark.parametrize(
    ("change", "better", "said"),
    [
        (-0.3, "lower", "the candidate is better"),
        (0.3, "lower", "the candidate is worse"),
        (0.3, "higher", "the candidate is better"),
        (0.0, "lower", "no gain that matters"),
    ],
)
def test_the_outcome_is_a_word_about_an_interval(change: float, better: str, said: str) -> None:
    """A difference, its 95 % interval around it, and what follows."""
    arms = experiment.known(made(change), KNOWN)
    found = experiment.outcome(arms, KNOWN.model_copy(update={"better": better}))
    assert found.word == said and found.low < found.candidate - found.champion < found.high


def test_a_short_horizon_is_told() -> None:
    """Where the interval holds both nothing and what would matter, nothing is decided."""
    few = experiment.known(made(-0.1, 30), KNOWN)
    assert experiment.outcome(few, KNOWN).word.startswith("undecided")
    assert (
        1400 < experiment.needed(made(0.0)["loss"], KNOWN) < 1750
    )  # 2 · (1.96 + 0.84)² / 0.1² = 1570


def test_equal_arms_differ_in_one_of_twenty_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at ten times as units come, each of 400 A/A experiments is tested once: 5 % differ.

    The same looks with a new test each find a difference in more than twice as many.
    """
    known = KNOWN.model_copy(update={"horizon": 100})
    once, peeked = 0, 0
    for seed in range(400):
        noted: dict[str, str] = {}
        monkeypatch.setattr(experiment, "note", lambda _, noted=noted, **it: noted.update(it))
        units = made(0.0, 1000, seed).sample(frac=1, random_state=seed)
        looks = [units.iloc[:size] for size in range(150, 2001, 205)]
        told = [experiment.at_horizon("x", known.model_copy(update=noted), it) for it in looks]
        assert told[0] == "" and told[1] and set(told[1:]) == {noted["outcome"]}
        once += differs(told[-1])
        words = [experiment.outcome(experiment.known(it, known), known).word for it in looks[1:]]
        peeked += any(map(differs, words))
    assert 8 <= once <= 30 and peeked > 2 * once


def differs(told: str) -> bool:
    """Does an outcome call the candidate better or worse?"""
    return "the candidate is" in told


@pytest.fixture(name="begun")
def _begun(folder: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """An experiment that goes on: 1,000 units of each arm, of which three each know their loss."""
    (folder / "experiments").mkdir()
    text = (ROOT / "experiments/example.toml").read_text(encoding="utf-8")
    text = text.replace("horizon = 5000", "horizon = 1000")
    (folder / "experiments/one.toml").write_text(text, encoding="utf-8")
    units = made(-3.0)
    units.loc[(units.index % 1000) >= 3, "loss"] = np.nan
    now = SimpleNamespace(
        experiment="one",
        question=experiment.read("one").question,
        wanted=SimpleNamespace(units=1000),
    )
    monkeypatch.setattr(decisions, "find_last_decision", lambda _: now)
    monkeypatch.setattr(decisions, "find_running", lambda: now)
    monkeypatch.setattr(experiment, "observed", lambda *_: units)
    return units


def test_units_whose_metric_is_unknown_do_not_count(
    begun: pd.DataFrame, settings: Settings
) -> None:
    """Three labelled units of 1,000 win nothing, however much better they are."""
    told = experiment.shown("one", settings)
    assert "{'champion': 3, 'candidate': 3} of 1000 units know loss" in told
    assert "better" not in told and experiment.read("one").outcome == ""
    with pytest.raises(ProjectError, match="3} of 1000 units know loss.*no ground to promote"):
        experiment.end("one", "candidate", settings)
    begun.rename(columns={"loss": "failures"}, inplace=True)
    assert "0} of 1000 units know loss (known is failures)" in experiment.shown("one", settings)


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ('metric = "loss"', 'metric = "failures"'),
        ('better = "lower"', 'better = "higher"'),
        ("smallest_effect = 0.02", "smallest_effect = 0.5"),
    ],
)
def test_another_question_than_at_the_start_is_not_answered(
    begun: pd.DataFrame, settings: Settings, line: str, other: str
) -> None:
    """A metric, direction or effect that is edited after the start gets no outcome, no decision."""
    begun["failures"], path = 0.0, Path("experiments/one.toml")
    text = path.read_text(encoding="utf-8")
    assert line in text
    path.write_text(text.replace(line, other), encoding="utf-8")
    with pytest.raises(ProjectError, match="it began with loss, lower is better by 0.02: put that"):
        experiment.shown("one", settings)
    with pytest.raises(ProjectError, match="it began with loss"):
        experiment.end("one", "candidate", settings)


def test_an_outcome_is_written_down_and_not_worked_out_again(
    begun: pd.DataFrame, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes after the horizon, and other losses, change nothing; nor does another horizon."""
    begun["loss"] = made(-0.3)["loss"]
    first = experiment.shown("one", settings)
    (said,) = [line for line in first.splitlines() if "the candidate is better" in line]
    assert experiment.read("one").outcome == said and "(1000 units each;" in said
    monkeypatch.setattr(experiment, "observed", lambda *_: made(0.3, 3000))
    assert said in experiment.shown("one", settings)
    path = experiment.place("one")
    text = path.read_text("utf-8").replace("horizon = 1000", "horizon = 30")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError, match="horizon = 30, and it began with 1000: put that back"):
        experiment.shown("one", settings)


def test_an_uneven_split_is_found_and_an_even_one_is_not() -> None:
    """10,000 keys at a half are even; where a tenth of an arm is lost, they are not."""
    keys = [hash_unit("trial", f"client {number}") for number in range(10_000)]
    arms = [CANDIDATE if is_in_share(key, 0.5) else CHAMPION for key in keys]
    units = pd.DataFrame({"arm": arms})
    count, p = experiment.split(units, 0.5)
    assert sum(count.values()) == 10_000 and p > experiment.UNEVEN
    lost = units.drop(units.index[units["arm"] == CANDIDATE][::10])
    assert experiment.split(lost, 0.5)[1] < experiment.UNEVEN
    assert experiment.split(pd.DataFrame(), 0.5) == ({CHAMPION: 0, CANDIDATE: 0}, 1.0)


def test_the_example_is_a_record() -> None:
    """What is to be copied is right, but for the question."""
    text = (ROOT / "experiments/example.toml").read_text(encoding="utf-8")
    assert Record(**tomllib.loads(text)).decision == ""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hypothesis = ", "not valid TOML"),
        ('hypothesis = "x"', "owner: Field required"),
        ('hypothesis = "x"\nmetric = "profit"', "metric: Input should be 'failures'"),
        ('hypotesis = "x"', "hypotesis: Extra inputs are not permitted"),
    ],
)
def test_a_record_that_is_none_is_refused(folder: Path, text: str, said: str) -> None:
    """Every fault of it is listed, with the file."""
    (folder / "experiments").mkdir()
    (folder / "experiments/one.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError, match=f"experiments/one.toml: (?s:.*){said}"):
        experiment.read("one")


def test_a_record_is_written_into_and_keeps_its_words(folder: Path) -> None:
    """Start, end and decision are filled in; comments stay; another name is refused by name."""
    (folder / "experiments").mkdir()
    text = (ROOT / "experiments/example.toml").read_text(encoding="utf-8")
    (folder / "experiments/two.toml").write_text(text, encoding="utf-8")
    experiment.note("two", start="2026-01-01 12:00")
    changed = (folder / "experiments/two.toml").read_text(encoding="utf-8")
    assert changed == text.replace('start = ""', 'start = "2026-01-01 12:00"')
    assert experiment.read("two").start == "2026-01-01 12:00"
    with pytest.raises(ProjectError, match="no such experiment; there are: two"):
        experiment.read("three")
    with pytest.raises(ProjectError, match="'../x': no name"):
        experiment.read("../x")
