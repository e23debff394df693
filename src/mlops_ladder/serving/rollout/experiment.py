"""Experiments: two versions on a share of the clients each, for a question that was asked before.

A fixed horizon: units and the smallest effect that matters stand in the record, and no difference
is told before each arm has so many units that know the metric.  Then Welch's t-test of these units
at 5 % (Welch, Biometrika 34, 1947), once: the record keeps its outcome, and nothing is tested anew.
"""

import re
import tomllib
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
from mlops_ladder.strict_model import StrictModel

FOLDER = Path("experiments")
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
LEVEL = 0.05  # of the test, and for the interval: 95 %
POWER = 0.8
UNEVEN = 0.001  # below this p-value the split is not the one that was planned
ARMS = (CHAMPION, CANDIDATE)
Metric = Literal["failures", "latency ms", "predictions", "loss"]


class Record(StrictModel):
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
    write_file_atomically(path, tomlkit.dumps(document))


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
    samples = known(units, record)
    if record.outcome or min(map(len, samples)) < record.horizon:
        return record.outcome
    found = outcome([sample.iloc[: record.horizon] for sample in samples], record)
    needs = f"{record.smallest_effect:g} needs {needed(samples[0], record):.0f}"
    text = f"{record.column}: {found} ({record.horizon} units each; {needs})"
    note(name, outcome=text)
    return text


def outcome(samples: Sequence[pd.Series], record: Record) -> Outcome:
    """The difference at the horizon, judged against the smallest effect that matters."""
    test = stats.ttest_ind(samples[1], samples[0], equal_var=False)
    interval = test.confidence_interval(1 - LEVEL)
    low, high = (float(it) if np.isfinite(it) else 0.0 for it in interval)
    sign = 1 if record.better == "higher" else -1
    better = sorted([sign * low, sign * high])
    return Outcome(samples[0].mean(), samples[1].mean(), low, high, word(better, record))


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


def aligned(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as aligned text."""
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
    """Begin the experiment, as its record has it.  ProjectError where it was begun before."""
    record = read(name)
    if record.start:
        raise ProjectError(f"{place(name)}: it began {record.start}; name another one")
    changed = {"shares": [record.share], "shadow": False, "units": record.horizon}
    wanted = settings.rollout.model_copy(update=changed)
    begun = deciding.start_rollout(record.candidate, wanted, name, record.question)
    note(name, start=day(begun.time))
    return f"{begun}\nNext: make serve, make experiment NAME={name}"


def observed(name: str, settings: Settings) -> pd.DataFrame:
    """The units of an experiment.  ProjectError where it has not begun."""
    now = decisions.find_last_decision(name)
    if not now:
        raise ProjectError(f"{name}: it has not begun; make experiment NAME={name} START=yes")
    begun = next(it for it in decisions.read_rollout_log() if it.rollout == name)
    sides = [publishing.SERVING / it for it in (begun.champion, begun.version)]
    bundle = next((read_bundle(it) for it in sides if (it / BUNDLE).exists()), {})
    rows = read_variants(settings.serving.prediction_log_url, name)
    return by_unit(rows, bundle.get("classes"), deciding.find_truths(settings, now))


def shown(name: str, settings: Settings) -> str:
    """How an experiment stands; its outcome at the horizon, and not before."""
    record, units = planned(name), observed(name, settings)
    count, p = split(units, record.share)
    lines = [f"{name}: {record.hypothesis}"]
    lines += [f"units: {count}, {record.share:.0%} planned, p {p:.2g}"]
    if p < UNEVEN:
        lines.append("The split is not the planned one: whatever differs may come of that.")
    if not (told := at_horizon(name, record, units)):
        lines.append(f"No outcome yet: {short(units, record)}.  Who peeks finds something.")
        return "\n".join([*lines, f"Next: make experiment NAME={name}"])
    lines.append(told)
    return "\n".join([*lines, f"Next: make experiment NAME={name} DECIDE=candidate (or champion)"])


def planned(name: str) -> Record:
    """The record of an experiment.  ProjectError where it asks otherwise than at the start."""
    record, now = read(name), decisions.find_last_decision(name)
    if now and now.wanted.units != record.horizon:
        told = f"horizon = {record.horizon}, and it began with {now.wanted.units}: put that back"
        raise ProjectError(f"{place(name)}: {told}")
    if now and now.question not in ("", record.question):
        told = f"{record.question}, and it began with {now.question}: put that back"
        raise ProjectError(f"{place(name)}: {told}")
    return record


def short(units: pd.DataFrame, record: Record) -> str:
    """How many units of each arm know the metric, beside those that are wanted."""
    count = dict(zip(ARMS, map(len, known(units, record)), strict=True))
    others = ", ".join(units.columns.drop(["arm", "unit"], errors="ignore")) or "nothing"
    return f"{count} of {record.horizon} units know {record.column} (known is {others})"


def end(name: str, decision: str, settings: Settings) -> str:
    """End an experiment as somebody has decided, and write that into its record.

    Raises ProjectError where it does not go on, and for the candidate where the horizon is not
    reached or the split is uneven.
    """
    record, now = planned(name), decisions.find_running()
    if not now or now.experiment != name:
        raise ProjectError(f"{name}: it does not go on, so there is nothing to decide")
    units = observed(name, settings)
    _, p = split(units, record.share)
    told = at_horizon(name, record, units)
    if decision == "candidate" and (not told or p < UNEVEN):
        why = f"uneven split, p {p:.2g}" if told else short(units, record)
        raise ProjectError(f"{name}: {why}: no ground to promote; DECIDE=champion ends it")
    why = f"experiment {name}: {told or 'ended early'}"
    made = deciding.stop_rollout(why, promote=decision == "candidate")
    note(name, end=day(datetime.now(UTC)), decision=decision)
    return f"{made}\nNext: git add {place(name)}"


def releases(settings: Settings) -> str:
    """Each version that met clients: what the gate promised, and what came of it."""
    rows = [("version", "against", "offline gain", "online", "difference", "ended")]
    for begun in (it for it in decisions.read_rollout_log() if it.action == "start"):
        ended = decisions.find_last_decision(begun.rollout)
        metric, gain = promised(begun)
        found = compared(begun.rollout, settings)
        how = ended.action if ended and not ended.is_running else "goes on"
        rows.append((f"v{begun.version}", f"v{begun.champion}", f"{metric} {gain}", *found, how))
    if len(rows) == 1:
        return "No version has met clients yet.  Next: make rollout VERSION=n"
    return aligned(rows)


def promised(begun: decisions.Decision) -> tuple[str, str]:
    """The metric of the gate, and the gain on the champion that it found with its interval."""
    evidence = begun.verdict["evidence"]
    gains = evidence.get("gains", {}).get(evidence.get("champion"))
    if not gains or None in gains:
        return str(evidence.get("metric", "")), "-"
    gain, low, high = gains
    return str(evidence["metric"]), f"{gain:+.4g} ({low:+.4g} to {high:+.4g})"


def compared(rollout: str, settings: Settings) -> tuple[str, str]:
    """What online tells of a release: its loss where labels are known, else its failures."""
    units = observed(rollout, settings)
    name = "loss" if "loss" in units else "failures"
    if name not in units or units["arm"].nunique() < 2:
        return "-", "no unit yet"
    means = units.groupby("arm")[name].mean()
    return name, f"{means['candidate'] - means['champion']:+.4g}"
