"""Experiments: two versions, each for a share of the clients, and a question asked in advance.

The horizon is fixed: the record holds the number of units and the smallest effect that matters.  No
difference is shown before each arm has that many units with the metric.  Then Welch's t-test at 5 %
(Welch, Biometrika 34, 1947) is run once on these units, and its outcome is kept in the record.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, UTC
from math import sqrt
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import tomlkit
import typer
from pydantic import Field, ValidationError
from scipy import stats

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.export.runtime import BUNDLE, read_bundle
from mlops_ladder.registry import publishing
from mlops_ladder.serving.assignment import CANDIDATE, CHAMPION
from mlops_ladder.serving.rollout import deciding, decisions
from mlops_ladder.serving.rollout.analysis import by_unit
from mlops_ladder.serving.store import read_variants
from mlops_ladder.settings import load_settings, Settings
from mlops_ladder.strict_model import read_toml, StrictModel

FOLDER = Path("experiments")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
LEVEL = 0.05  # of the test, and for the interval: 95 %
POWER = 0.8
UNEVEN = 0.001  # below this p-value the split is not the planned one
ARMS = (CHAMPION, CANDIDATE)
MINUTE = "%Y-%m-%d %H:%M"
Metric = Literal["failures", "latency ms", "predictions", "loss"]


class Record(StrictModel):
    """An experiment: its hypothesis, the compared versions, and the metric that decides.

    `share` of the units gets `candidate`; `better` is the good direction of the metric.  The
    experiment ends when each arm has `horizon` units with the metric; `outcome` is then written
    once.  `smallest_effect` is the smallest difference that matters.  In a classification,
    `predictions` means the share of the class `of_class`.
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
        """The name of the metric in the analysis."""
        return " ".join(filter(None, [self.metric, self.of_class]))

    @property
    def question(self) -> str:
        """The question of the experiment, as it is logged at its start."""
        return f"{self.column}, {self.better} is better by {self.smallest_effect:g}"


def place(name: str) -> Path:
    """Return the file of an experiment.  Raise ProjectError if the name is not valid."""
    if not NAME.fullmatch(name):
        raise ProjectError(f"{name!r}: no name; as in `make experiment NAME=longer-trees`")
    return FOLDER / f"{name}.toml"


def read(name: str) -> Record:
    """Return the record of an experiment.  Raise ProjectError that lists its faults."""
    path = place(name)
    if not path.exists():
        names = ", ".join(sorted(file.stem for file in FOLDER.glob("*.toml"))) or "none"
        text = f"no such experiment; there are: {names}; copy experiments/example.toml"
        raise ProjectError(f"{path}: {text}")
    try:
        return Record(**read_toml(path))
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise ProjectError("\n  ".join([f"{path}: no record", *wrong])) from error


def note(name: str, **changes: str) -> None:
    """Change keys of the record of an experiment; its comments stay."""
    path = place(name)
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    document.update(changes)
    write_file_atomically(path, tomlkit.dumps(document))


@dataclass(frozen=True)
class Outcome:
    """The outcome of an experiment: means, the difference with its 95 % interval, and a verdict."""

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
    """Return the known values of the metric for each arm, in the order of the units."""
    if record.column not in units:
        return [pd.Series(dtype="float64")] * 2
    return [units.loc[units["arm"] == arm, record.column].dropna() for arm in ARMS]


def at_horizon(name: str, record: Record, units: pd.DataFrame) -> str:
    """Return the outcome of an experiment; "" until both arms have reached the horizon.

    It is computed once, from the first `horizon` units of each arm, and written into the record.
    Later calls read it there.
    """
    samples = known(units, record)
    if record.outcome or min(map(len, samples)) < record.horizon:
        return record.outcome
    result = outcome([sample.iloc[: record.horizon] for sample in samples], record)
    needs = f"{record.smallest_effect:g} needs {needed(samples[0], record):.0f}"
    text = f"{record.column}: {result} ({record.horizon} units each; {needs})"
    note(name, outcome=text)
    return text


def outcome(samples: Sequence[pd.Series], record: Record) -> Outcome:
    """Return the difference at the horizon, compared with the smallest effect that matters."""
    test = stats.ttest_ind(samples[1], samples[0], equal_var=False)
    interval = test.confidence_interval(1 - LEVEL)
    low, high = (float(bound) if np.isfinite(bound) else 0.0 for bound in interval)
    sign = 1 if record.better == "higher" else -1
    better = sorted([sign * low, sign * high])
    return Outcome(samples[0].mean(), samples[1].mean(), low, high, word(better, record))


def word(better: Sequence[float], record: Record) -> str:
    """Return the verdict that follows from an interval of the gain."""
    if better[0] > 0:
        return "the candidate is better"
    if better[1] < 0:
        return "the candidate is worse"
    if better[1] < record.smallest_effect:
        return "no gain that matters"
    return "undecided: the horizon was too short for this effect"


def needed(values: pd.Series, record: Record) -> float:
    """Return the units of each arm that detect the smallest effect with a power of 80 %."""
    both = stats.norm.ppf(1 - LEVEL / 2) + stats.norm.ppf(POWER)
    return float(2 * (both * sqrt(values.var()) / record.smallest_effect) ** 2)


def split(units: pd.DataFrame, share: float) -> tuple[dict[str, int], float]:
    """Return the units of each arm, and the probability of so uneven a split by chance.

    This is Pearson's chi-squared test of the planned shares.  A sample ratio mismatch makes every
    other result void.
    """
    count = {arm: int((units["arm"] == arm).sum()) if len(units) else 0 for arm in ARMS}
    total = sum(count.values())
    if not total:
        return count, 1.0
    expected = [total * (1 - share), total * share]
    return count, float(stats.chisquare([*count.values()], expected).pvalue)


def aligned(rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as text with aligned columns."""
    widths = [max(len(str(row[at])) for row in rows) for at in range(len(rows[0]))]
    return "\n".join(
        "  ".join(f"{value!s:<{width}}" for value, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def main(
    name: Annotated[str, typer.Argument(help="a file of experiments/, without .toml")] = "",
    begin: Annotated[bool, typer.Option("--start", help="give it a share of the clients")] = False,
    decide: Annotated[
        Literal["candidate", "champion"] | None, typer.Option(help="end it, by a person")
    ] = None,
) -> None:
    """Show an experiment, or do with it what is asked; without a name: all releases."""
    settings = load_settings()
    if not name:
        print(releases(settings))
    elif begin:
        print(start(name, settings))
    elif decide:
        print(end(name, decide, settings))
    else:
        print(shown(name, settings))


def start(name: str, settings: Settings) -> str:
    """Begin the experiment of a record.  Raise ProjectError if it has begun already."""
    record = read(name)
    if record.start:
        raise ProjectError(f"{place(name)}: it began {record.start}; name another one")
    changed = {"shares": [record.share], "shadow": False, "units": record.horizon}
    wanted = settings.rollout.model_copy(update=changed)
    begun = deciding.start_rollout(record.candidate, wanted, name, record.question)
    note(name, start=f"{begun.time:{MINUTE}}")
    return f"{begun}\nNext: make serve, make experiment NAME={name}"


def observed(name: str, settings: Settings) -> pd.DataFrame:
    """Return the units of an experiment.  Raise ProjectError if it has not begun."""
    now = decisions.find_last_decision(name)
    if not now:
        raise ProjectError(f"{name}: it has not begun; make experiment NAME={name} START=yes")
    begun = next(entry for entry in decisions.read_rollout_log() if entry.rollout == name)
    sides = [publishing.SERVING / number for number in (begun.champion, begun.version)]
    bundle = next((read_bundle(side) for side in sides if (side / BUNDLE).exists()), {})
    rows = read_variants(settings.serving.prediction_log_url, name)
    return by_unit(rows, bundle.get("classes"), deciding.find_truths(settings, now))


def shown(name: str, settings: Settings) -> str:
    """Return the state of an experiment as text; its outcome only from the horizon on."""
    record, units = planned(name), observed(name, settings)
    count, p = split(units, record.share)
    lines = [f"{name}: {record.hypothesis}"]
    lines += [f"units: {count}, {record.share:.0%} planned, p {p:.2g}"]
    if p < UNEVEN:
        lines.append("The split is not the planned one: whatever differs may come of that.")
    if not (text := at_horizon(name, record, units)):
        lines.append(f"No outcome yet: {short(units, record)}.  Who peeks finds something.")
        return "\n".join([*lines, f"Next: make experiment NAME={name}"])
    lines.append(text)
    return "\n".join([*lines, f"Next: make experiment NAME={name} DECIDE=candidate (or champion)"])


def planned(name: str) -> Record:
    """Return the record of an experiment.  Raise ProjectError if its question was changed since."""
    record, now = read(name), decisions.find_last_decision(name)
    text, before = "", ""
    if now and now.wanted.units != record.horizon:
        text, before = f"horizon = {record.horizon}", f"{now.wanted.units}"
    elif now and now.question not in ("", record.question):
        text, before = record.question, now.question
    if text:
        raise ProjectError(f"{place(name)}: {text}, and it began with {before}: put that back")
    return record


def short(units: pd.DataFrame, record: Record) -> str:
    """Return how many units of each arm have the metric, and how many are needed."""
    count = dict(zip(ARMS, map(len, known(units, record)), strict=True))
    others = ", ".join(units.columns.drop(["arm", "unit"], errors="ignore")) or "nothing"
    return f"{count} of {record.horizon} units know {record.column} (known is {others})"


def end(name: str, decision: str, settings: Settings) -> str:
    """End an experiment as a person has decided, and write the decision into its record.

    Raises ProjectError if it is not running.  Raises it for the candidate also if the horizon is
    not reached or the split is uneven.
    """
    record, now = planned(name), decisions.find_running()
    if not now or now.experiment != name:
        raise ProjectError(f"{name}: it does not go on, so there is nothing to decide")
    units = observed(name, settings)
    _, p = split(units, record.share)
    text = at_horizon(name, record, units)
    if decision == "candidate" and (not text or p < UNEVEN):
        why = f"uneven split, p {p:.2g}" if text else short(units, record)
        raise ProjectError(f"{name}: {why}: no ground to promote; DECIDE=champion ends it")
    why = f"experiment {name}: {text or 'ended early'}"
    last = deciding.stop_rollout(why, promote=decision == "candidate")
    note(name, end=f"{datetime.now(UTC):{MINUTE}}", decision=decision)
    return f"{last}\nNext: git add {place(name)}"


def releases(settings: Settings) -> str:
    """Return a table of the released versions: the gain at the gate, and the result online."""
    rows = [("version", "against", "offline gain", "online", "difference", "ended")]
    for begun in (entry for entry in decisions.read_rollout_log() if entry.action == "start"):
        ended = decisions.find_last_decision(begun.rollout)
        metric, gain = promised(begun)
        cells = compared(begun.rollout, settings)
        how = ended.action if ended and not ended.is_running else "goes on"
        rows.append((f"v{begun.version}", f"v{begun.champion}", f"{metric} {gain}", *cells, how))
    if len(rows) == 1:
        return "No version has met clients yet.  Next: make rollout VERSION=n"
    return aligned(rows)


def promised(begun: decisions.Decision) -> tuple[str, str]:
    """Return the metric of the gate, and the gain on the champion there, with its interval."""
    evidence = begun.verdict["evidence"]
    gains = evidence.get("gains", {}).get(evidence.get("champion"))
    if not gains or None in gains:
        return str(evidence.get("metric", "")), "-"
    gain, low, high = gains
    return str(evidence["metric"]), f"{gain:+.4g} ({low:+.4g} to {high:+.4g})"


def compared(rollout: str, settings: Settings) -> tuple[str, str]:
    """Return the online metric of a release, loss if labels are known, and its difference."""
    units = observed(rollout, settings)
    name = "loss" if "loss" in units else "failures"
    if name not in units or units["arm"].nunique() < 2:
        return "-", "no unit yet"
    means = units.groupby("arm")[name].mean()
    return name, f"{means['candidate'] - means['champion']:+.4g}"
