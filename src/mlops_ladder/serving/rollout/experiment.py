"""The command `experiment`: begin one, see how it stands, decide it; and all releases, compared."""

from datetime import datetime, UTC
from typing import Annotated, Literal

import pandas as pd
import typer

from mlops_ladder import ProjectError
from mlops_ladder.export.runtime import BUNDLE, read_bundle
from mlops_ladder.registry import publishing
from mlops_ladder.serving.rollout import deciding, decisions, stepping, trials
from mlops_ladder.serving.rollout.analysis import by_unit
from mlops_ladder.serving.variant_log import arms
from mlops_ladder.settings import load, Settings


def main(
    name: Annotated[str, typer.Argument(help="a file of experiments/, without .toml")] = "",
    begin: Annotated[
        bool, typer.Option("--start", help="send a share of the clients to it")
    ] = False,
    decide: Annotated[
        Literal["candidate", "champion"] | None, typer.Option(help="end it, by a person")
    ] = None,
) -> None:
    """Show an experiment, or do with it what is asked; without a name: all releases."""
    settings = load()
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
    record = trials.read(name)
    if record.start:
        raise ProjectError(f"{trials.place(name)}: it began {record.start}; name another one")
    changed = {"shares": [record.share], "shadow": False, "units": record.horizon}
    begun = deciding.start(
        record.candidate, settings.rollout.model_copy(update=changed), name, record.question
    )
    trials.note(name, start=trials.day(begun.time))
    return f"{begun}\nNext: make serve, make experiment NAME={name}"


def observed(name: str, settings: Settings) -> pd.DataFrame:
    """The units of an experiment.  ProjectError where it has not begun."""
    now = decisions.last(name)
    if not now:
        raise ProjectError(f"{name}: it has not begun; make experiment NAME={name} START=yes")
    begun = next(it for it in decisions.logged() if it.rollout == name)
    sides = [publishing.SERVING / it for it in (begun.champion, begun.version)]
    bundle = next((read_bundle(it) for it in sides if (it / BUNDLE).exists()), {})
    rows = arms(settings.serving.log, name)
    return by_unit(rows, bundle.get("classes"), stepping.truths(settings, now))


def shown(name: str, settings: Settings) -> str:
    """How an experiment stands; its outcome at the horizon, and not before."""
    record, units = planned(name), observed(name, settings)
    count, p = trials.split(units, record.share)
    lines = [f"{name}: {record.hypothesis}"]
    lines += [f"units: {count}, {record.share:.0%} planned, p {p:.2g}"]
    if p < trials.UNEVEN:
        lines.append("The split is not the planned one: whatever differs may come of that.")
    if not (told := trials.at_horizon(name, record, units)):
        lines.append(f"No outcome yet: {short(units, record)}.  Who peeks finds something.")
        return "\n".join([*lines, f"Next: make experiment NAME={name}"])
    lines.append(told)
    return "\n".join([*lines, f"Next: make experiment NAME={name} DECIDE=candidate (or champion)"])


def planned(name: str) -> trials.Record:
    """The record of an experiment.  ProjectError where it asks otherwise than at the start."""
    record, now = trials.read(name), decisions.last(name)
    if now and now.wanted.units != record.horizon:
        told = f"horizon = {record.horizon}, and it began with {now.wanted.units}: put that back"
        raise ProjectError(f"{trials.place(name)}: {told}")
    if now and now.question not in ("", record.question):
        told = f"{record.question}, and it began with {now.question}: put that back"
        raise ProjectError(f"{trials.place(name)}: {told}")
    return record


def short(units: pd.DataFrame, record: trials.Record) -> str:
    """How many units of each arm know the metric, beside those that are wanted."""
    count = dict(zip(trials.ARMS, map(len, trials.known(units, record)), strict=True))
    others = ", ".join(units.columns.drop(["arm", "unit"], errors="ignore")) or "nothing"
    return f"{count} of {record.horizon} units know {record.column} (known is {others})"


def end(name: str, decision: str, settings: Settings) -> str:
    """End an experiment as somebody has decided, and write that into its record.

    Raises ProjectError where it does not go on, and for the candidate where the horizon is not
    reached or the split is uneven.
    """
    record, now = planned(name), decisions.running()
    if not now or now.experiment != name:
        raise ProjectError(f"{name}: it does not go on, so there is nothing to decide")
    units = observed(name, settings)
    _, p = trials.split(units, record.share)
    told = trials.at_horizon(name, record, units)
    if decision == "candidate" and (not told or p < trials.UNEVEN):
        why = f"uneven split, p {p:.2g}" if told else short(units, record)
        raise ProjectError(f"{name}: {why}: no ground to promote; DECIDE=champion ends it")
    made = stepping.stop(
        f"experiment {name}: {told or 'ended early'}", promote=decision == "candidate"
    )
    trials.note(name, end=trials.day(datetime.now(UTC)), decision=decision)
    return f"{made}\nNext: git add {trials.place(name)}"


def releases(settings: Settings) -> str:
    """Each version that met clients: what the gate promised, and what came of it."""
    rows = [("version", "against", "offline gain", "online", "difference", "ended")]
    for begun in (it for it in decisions.logged() if it.action == "start"):
        ended = decisions.last(begun.rollout)
        metric, gain = promised(begun)
        found = compared(begun.rollout, settings)
        how = ended.action if ended and not ended.running else "goes on"
        rows.append((f"v{begun.version}", f"v{begun.champion}", f"{metric} {gain}", *found, how))
    if len(rows) == 1:
        return "No version has met clients yet.  Next: make rollout VERSION=n"
    return trials.table(rows)


def promised(begun: decisions.Decision) -> tuple[str, str]:
    """The metric of the gate, and the gain on the champion that it found with its interval."""
    known = begun.verdict["evidence"]
    gains = known.get("gains", {}).get(known.get("champion"))
    if not gains or None in gains:
        return str(known.get("metric", "")), "-"
    gain, low, high = gains
    return str(known["metric"]), f"{gain:+.4g} ({low:+.4g} to {high:+.4g})"


def compared(rollout: str, settings: Settings) -> tuple[str, str]:
    """What online tells of a release: its loss where labels are known, else its failures."""
    units = observed(rollout, settings)
    name = "loss" if "loss" in units else "failures"
    if name not in units or units["arm"].nunique() < 2:
        return "-", "no unit yet"
    means = units.groupby("arm")[name].mean()
    return name, f"{means['candidate'] - means['champion']:+.4g}"
