"""What was seen: read from what the project has written down, not from what the simulation did."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from mlops_ladder.model.prediction import compute_scores
from mlops_ladder.monitoring.joining import joined, pairs
from mlops_ladder.monitoring.outcomes import OUTCOMES
from mlops_ladder.monitoring.quality import History
from mlops_ladder.monitoring.training_reference import read
from mlops_ladder.pipeline.retraining import ledger
from mlops_ladder.registry import history, versions
from mlops_ladder.serving.rollout import decisions
from mlops_ladder.settings import Settings
from mlops_ladder.simulation.clock import DAY, START
from mlops_ladder.simulation.scenarios import differences, Expected, Scenario
from mlops_ladder.simulation.service import Service

UTC_START = START.replace(tzinfo=None)
Events = list[tuple[float, str]]  # each with its day


@dataclass(frozen=True)
class Story:
    """A scenario as it went: its end, what was not as expected, and each event with its day."""

    name: str
    scenario: Scenario
    seen: Expected
    wrong: list[str]
    events: Events
    traffic: pd.DataFrame
    live: pd.DataFrame
    verdicts: pd.DataFrame
    about: dict[str, Any] = field(default_factory=dict)


def story(name: str, scenario: Scenario, service: Service, texts: Events, refused: Events) -> Story:
    """What the log, the ledger, the registry and the service say of this folder.

    `texts` were sent to people; `refused` says when feedback made no data, and why.
    """
    settings = service.settings
    with History(settings.serving.prediction_log_url) as archive:
        verdicts, reports = archive.verdicts(START), archive.reports(START)
        asked = pd.DataFrame(archive.traffic(START), columns=["time", "model", "rows", "ms"])
        live = lived(archive, settings, list(asked["model"].unique()))
    seen = facts(verdicts, reports, service, texts) | {"feedback": fed(refused)}
    about = {"requests": service.asked, "failed": service.failed, "metric": settings.metric}
    about |= {"promised": promised(reports, settings.metric), "effect": settings.drift.effect}
    events = [*found(verdicts, reports), *decided(), *texts]
    events += [(when, f"feedback: refused: {why}") for when, why in refused]
    events.sort(key=lambda it: it[0])
    asked = asked.assign(day=asked["time"].map(day).astype(int), model=numbered(asked["model"]))
    live = live.assign(model=numbered(live["model"]))
    wrong = differences(scenario, seen)
    return Story(name, scenario, seen, wrong, events, asked, live, pd.DataFrame(verdicts), about)


def day(time: Any) -> float:
    """How many days after the start; of times without a zone, as SQLite gives them, too."""
    return float((time.replace(tzinfo=None) - UTC_START) / DAY)


def numbered(names: pd.Series) -> pd.Series:
    """The versions of models, as people name them."""
    known = {it.model_version: f"v{number}" for number, it in versions.list_versions().items()}
    return names.map(lambda name: known.get(name, name))


def facts(
    verdicts: list[dict[str, Any]], reports: list[dict[str, Any]], service: Service, texts: Events
) -> Expected:
    """What came of it, in the words in which it is expected."""
    judged = [it for it in history.read_log().values() if it.number > 1]
    rollout = [it.action for it in decisions.logged()]
    gate = "refused" if any(it.action == "refuse" for it in judged) else "not asked"
    return {
        "drift found": "yes" if any(it["drifted"] for it in verdicts) else "no",
        "loss found": "yes" if any(it["degraded"] for it in reports) else "no",
        "training": training(),
        "gate": "accepted" if rollout else gate,
        "rollout": ", ".join(rollout) or "none",
        "serves": f"v{service.got('/version')['version']}",
        "told": people(texts),
        "failed requests": str(len(service.failed)),
    }


def fed(refused: Events) -> str:
    """Whether logged rows became data, or why not."""
    return f"refused: {refused[0][1]}" if refused else "taken"


def training() -> str:
    """What was decided about trainings: a run, how many, how they failed; or what kept them."""
    entries = ledger.read_ledger()
    runs = [it for it in entries if it.decision == "run"]
    if failed := [it for it in runs if it.result != "completed"]:
        return f"run, {failed[0].result}: {failed[0].said}"
    if runs:
        return "run" if len(runs) == 1 else f"{len(runs)} runs"
    return ", ".join(dict.fromkeys(it.decision for it in entries)) or "none"


def people(texts: Events) -> str:
    """What people were told."""
    if not texts:
        return "nobody"
    broken = all("the data look broken" in text for _, text in texts)
    return "of broken data" if broken else "; ".join(text for _, text in texts)


def found(verdicts: list[dict[str, Any]], reports: list[dict[str, Any]]) -> Events:
    """What each look at drift and at the quality has found."""
    events = []
    for time in dict.fromkeys(it["time"] for it in verdicts):
        names = [it["column"] for it in verdicts if it["time"] == time and it["drifted"]]
        events.append((day(time), f"drift: {', '.join(names) or 'none'}"))
    for time in dict.fromkeys(it["time"] for it in reports):
        now = [it for it in reports if it["time"] == time]
        lost = [f"{it['name']} ({it['metric']})" for it in now if it["degraded"]]
        events.append((day(time), f"quality: {shown(lost) or 'as promised'}"))
    return events


def shown(names: list[str]) -> str:
    """The first names of many."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"worse than promised: {', '.join(names[:3])}{more}" if names else ""


def decided() -> Events:
    """What the triggers, the gate and the rollout have decided."""
    events = [
        (day(it.time), f"trigger: {it.decision}: {it.event.cause}: {it.reason}")
        for it in ledger.read_ledger()
    ]
    for entry in history.read_log().values():
        why = "; ".join(entry.verdict["reasons"]) if entry.action == "refuse" else "is champion"
        events.append((day(entry.time), f"gate: {entry.action} v{entry.version}: {why}"))
    events += [
        (day(it.time), f"rollout: {it.action} v{it.version}: {decisions.told(it)}")
        for it in decisions.logged()
    ]
    return events


def promised(reports: list[dict[str, Any]], metric: str) -> float | None:
    """What the gate has promised of the first champion."""
    known = [it["promised"] for it in reports if (it["name"], it["metric"]) == ("all rows", metric)]
    return known[0] if known else None


def lived(archive: History, settings: Settings, models: list[str]) -> pd.DataFrame:
    """The score of each model on the rows of each day of which it is known what became of them."""
    contract, scores = read().contract, []
    for model in models:
        outcomes = archive.labelled(OUTCOMES.c.row > 0, version=model)
        them = joined(pairs(archive, outcomes), contract)
        days = pd.Series([int(name.split("-")[1]) for name, _ in them.keys])
        for number in sorted(days.unique()):
            places = days.index[days == number]
            truth = them.rows[contract.target].iloc[places]
            value = compute_scores(settings.problem, truth, them.said.iloc[places])[settings.metric]
            scores.append({"day": number, "model": model, "score": value})
    return pd.DataFrame(scores, columns=["day", "model", "score"])
