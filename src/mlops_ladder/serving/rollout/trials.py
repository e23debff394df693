"""Trials: two versions on a share of the clients each, for a question that was written down before.

A fixed horizon: units and the smallest effect that matters stand in the record, and no difference
is told before each arm has so many units that know the metric.  Then Welch's t-test of these units
at 5 % (Welch, Biometrika 34, 1947), once: the record keeps its outcome, and nothing is tested anew.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import sqrt
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import tomlkit
from pydantic import Field, ValidationError
from scipy import stats

from mlops_ladder import ProjectError, write_whole
from mlops_ladder.serving.assignment import CANDIDATE, CHAMPION
from mlops_ladder.settings.section import Section

FOLDER = Path("experiments")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
LEVEL = 0.05  # of the test, and for the interval: 95 %
POWER = 0.8
UNEVEN = 0.001  # below this p-value the split is not the one that was planned
ARMS = (CHAMPION, CANDIDATE)
Metric = Literal["failures", "latency ms", "predictions", "loss"]


class Record(Section):
    """An experiment: what is believed, who is compared, and what decides.

    `share` of the units gets `candidate`; `better` says which way is good.  It ends when each arm
    has `horizon` units that know the metric; `outcome` is what came of it, written down once.
    `smallest_effect` is the difference that would matter.  `of_class` names
    the class whose share is meant by `predictions`, in a classification.
    """

    hypothesis: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    candidate: str = Field(pattern=r"^\d+$")
    share: float = Field(default=0.5, gt=0, lt=1)
    metric: Metric
    of_class: str = ""
    better: Literal["lower", "higher"]
    smallest_effect: float = Field(gt=0)
    horizon: int = Field(ge=30)
    start: str = ""
    outcome: str = ""
    end: str = ""
    decision: Literal["", "candidate", "champion"] = ""

    @property
    def column(self) -> str:
        """What the analysis calls the metric."""
        return " ".join(filter(None, [self.metric, self.of_class]))

    @property
    def question(self) -> str:
        """What is asked, as it is written down when the experiment begins."""
        return f"{self.column}, {self.better} is better by {self.smallest_effect:g}"


def place(name: str) -> Path:
    """The file of an experiment.  ProjectError where the name is none."""
    if not NAME.fullmatch(name):
        raise ProjectError(f"{name!r}: no name; as in `make experiment NAME=longer-trees`")
    return FOLDER / f"{name}.toml"


def read(name: str) -> Record:
    """The record of an experiment.  ProjectError that lists what is wrong with it."""
    path = place(name)
    if not path.exists():
        names = ", ".join(sorted(it.stem for it in FOLDER.glob("*.toml"))) or "none"
        told = f"no such experiment; there are: {names}; copy experiments/example.toml"
        raise ProjectError(f"{path}: {told}")
    try:
        return Record(**tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors()]
        raise ProjectError("\n  ".join([f"{path}: no record", *wrong])) from error


def note(name: str, **changes: str) -> None:
    """Write into the record of an experiment; its words and comments stay."""
    path = place(name)
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    document.update(changes)
    write_whole(path, tomlkit.dumps(document))


@dataclass(frozen=True)
class Outcome:
    """What an experiment came to: means, the difference with its 95 % interval, and a word."""

    champion: float
    candidate: float
    low: float
    high: float
    word: str

    def __str__(self) -> str:
        change = self.candidate - self.champion
        interval = f"{change:+.4g} ({self.low:+.4g} to {self.high:+.4g})"
        return f"{self.champion:.4g} → {self.candidate:.4g}: {interval}: {self.word}"


def known(units: pd.DataFrame, record: Record) -> list[pd.Series]:
    """The metric of the units of each arm that know it, in the order in which they came."""
    if record.column not in units:
        return [pd.Series(dtype="float64")] * 2
    return [units.loc[units["arm"] == arm, record.column].dropna() for arm in ARMS]


def at_horizon(name: str, record: Record, units: pd.DataFrame) -> str:
    """The outcome of an experiment; empty as long as an arm is short of the horizon.

    It is worked out at the first look that finds both arms there, from as many units as the
    horizon says, and written into the record: later looks read it.
    """
    arms = known(units, record)
    if record.outcome or min(map(len, arms)) < record.horizon:
        return record.outcome
    found = outcome([arm.iloc[: record.horizon] for arm in arms], record)
    needs = f"{record.smallest_effect:g} needs {needed(arms[0], record):.0f}"
    text = f"{record.column}: {found} ({record.horizon} units each; {needs})"
    note(name, outcome=text)
    return text


def outcome(arms: Sequence[pd.Series], record: Record) -> Outcome:
    """The difference at the horizon, judged against the smallest effect that matters."""
    test = stats.ttest_ind(arms[1], arms[0], equal_var=False)
    interval = test.confidence_interval(1 - LEVEL)
    low, high = (float(it) if np.isfinite(it) else 0.0 for it in interval)
    sign = 1 if record.better == "higher" else -1
    better = sorted([sign * low, sign * high])
    return Outcome(arms[0].mean(), arms[1].mean(), low, high, word(better, record))


def word(better: Sequence[float], record: Record) -> str:
    """What an interval of the gain says."""
    if better[0] > 0:
        return "the candidate is better"
    if better[1] < 0:
        return "the candidate is worse"
    if better[1] < record.smallest_effect:
        return "no gain that matters"
    return "undecided: the horizon was too short for this effect"


def needed(values: pd.Series, record: Record) -> float:
    """Units of each arm that find the smallest effect in 80 of 100 experiments, by the spread."""
    both = stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(POWER)
    return float(2 * (both * sqrt(values.var()) / record.smallest_effect) ** 2)


def split(units: pd.DataFrame, share: float) -> tuple[dict[str, int], float]:
    """How many units each arm has, and how probable a split as uneven as this is.

    Pearson's chi-squared test of the planned shares: a sample ratio mismatch makes all else void.
    """
    count = {arm: int((units["arm"] == arm).sum()) if len(units) else 0 for arm in ARMS}
    total = sum(count.values())
    if not total:
        return count, 1.0
    wanted = [total * (1 - share), total * share]
    return count, float(stats.chisquare([count[arm] for arm in ARMS], wanted).pvalue)


def day(moment: datetime) -> str:
    """A time as the record has it."""
    return moment.strftime("%Y-%m-%d %H:%M")


def table(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as aligned text."""
    widths = [max(len(str(row[at])) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{value!s:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
