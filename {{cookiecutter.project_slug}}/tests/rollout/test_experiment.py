"""An experiment: written down first, told at its horizon, void where the split is uneven."""

import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from {{ cookiecutter.package_name }} import ProjectError
from {{ cookiecutter.package_name }}.rollout import trials
from {{ cookiecutter.package_name }}.rollout.trials import Record
from {{ cookiecutter.package_name }}.serving.assignment import CANDIDATE, CHAMPION, drawn, unit

ROOT = Path(__file__).resolve().parents[2]
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
    found = trials.outcome(made(change), KNOWN.model_copy(update={"better": better}))
    assert found.word == said and found.low < found.candidate - found.champion < found.high


def test_a_short_horizon_is_told() -> None:
    """Where the interval holds both nothing and what would matter, nothing is decided."""
    few = made(-0.1, 30)
    assert trials.outcome(few, KNOWN).word.startswith("undecided")
    assert 1400 < trials.needed(made(0.0), KNOWN) < 1750  # 2 · (1.96 + 0.84)² / 0.1² = 1570


def test_equal_arms_differ_in_one_of_twenty_experiments() -> None:
    """At the horizon, looked at once, the test keeps its level."""
    words = [trials.outcome(made(0.0, 200, seed), KNOWN).word for seed in range(300)]
    assert sum(it in ("the candidate is better", "the candidate is worse") for it in words) <= 27


def test_a_metric_that_nobody_knows_is_refused_by_name() -> None:
    """Without labels there is no loss."""
    with pytest.raises(ProjectError, match="loss: nothing is known of it; known are: failures"):
        trials.outcome(made(0).rename(columns={"loss": "failures"}), KNOWN)


def test_an_uneven_split_is_found_and_an_even_one_is_not() -> None:
    """10,000 keys at a half are even; where a tenth of an arm is lost, they are not."""
    keys = [unit("trial", f"client {number}") for number in range(10_000)]
    arms = [CANDIDATE if drawn(key, 0.5) else CHAMPION for key in keys]
    units = pd.DataFrame({"arm": arms})
    count, p = trials.split(units, 0.5)
    assert sum(count.values()) == 10_000 and p > trials.UNEVEN
    lost = units.drop(units.index[units["arm"] == CANDIDATE][::10])
    assert trials.split(lost, 0.5)[1] < trials.UNEVEN
    assert trials.split(pd.DataFrame(), 0.5) == ({CHAMPION: 0, CANDIDATE: 0}, 1.0)


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
        trials.read("one")


def test_a_record_is_written_into_and_keeps_its_words(folder: Path) -> None:
    """Start, end and decision are filled in; comments stay; another name is refused by name."""
    (folder / "experiments").mkdir()
    text = (ROOT / "experiments/example.toml").read_text(encoding="utf-8")
    (folder / "experiments/two.toml").write_text(text, encoding="utf-8")
    trials.note("two", start="2026-01-01 12:00")
    changed = (folder / "experiments/two.toml").read_text(encoding="utf-8")
    assert changed == text.replace('start = ""', 'start = "2026-01-01 12:00"')
    assert trials.read("two").start == "2026-01-01 12:00"
    with pytest.raises(ProjectError, match="no such experiment; there are: two"):
        trials.read("three")
    with pytest.raises(ProjectError, match="'../x': no name"):
        trials.read("../x")
