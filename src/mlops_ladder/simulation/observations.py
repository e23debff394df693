"""Observations: read from the project's own records, not from the simulation."""

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import pandas as pd

from mlops_ladder.model.prediction import compute_scores
from mlops_ladder.monitoring.outcomes import OUTCOMES, Outcomes, read_labelled_rows
from mlops_ladder.monitoring.quality import QUALITY
from mlops_ladder.monitoring.training_reference import read_reference
from mlops_ladder.pipeline.retraining import ledger
from mlops_ladder.registry import history, versions
from mlops_ladder.serving.rollout import decisions
from mlops_ladder.settings import Settings
from mlops_ladder.simulation.clock import DAY, START
from mlops_ladder.simulation.scenarios import Expected, find_surprises, Scenario
from mlops_ladder.simulation.service import Service

UTC_START = START.replace(tzinfo=None)
Events = list[tuple[float, str]]  # each with its day


@dataclass(frozen=True)
class Story:
    """The course of a scenario: its result, and each event with its day.

    As a string it is the timeline and the verdict.
    """

    name: str
    scenario: Scenario
    settings: Settings
    seen: Expected
    events: Events
    requests: int
    promised: float | None  # the offline score of the first champion
    traffic: pd.DataFrame
    live: pd.DataFrame
    verdicts: pd.DataFrame

    @property
    def wrong(self) -> list[str]:
        """Return the results that are not as expected."""
        return find_surprises(self.scenario, self.seen)

    def __str__(self) -> str:
        events = [f"day {when:4.1f}  {text[:150]}" for when, text in self.events]
        failed, serves = self.seen["failed requests"], self.seen["serves"]
        end = f"{self.requests:,} requests, {failed} failed; serves {serves}"
        verdict = ["NOT as expected" if self.wrong else "as expected", *self.wrong]
        title = f"{self.name}: {self.scenario.title}"
        return "\n  ".join([title, *events, end, "\n    ".join(verdict)])


def tell_story(name: str, scenario: Scenario, service: Service, refused: Events) -> Story:
    """Return the story of this folder by its log, ledger, registry and service.

    Args:
        name: of the scenario.
        scenario: with its expectations.
        service: that answered the requests.
        refused: when feedback was refused, and why.
    """
    settings = service.settings
    with Outcomes(settings.serving.prediction_log_url) as archive:
        verdicts, reports = archive.read_verdicts(START), archive.read_verdicts(START, QUALITY)
        calls = archive.read_traffic(START).rename(columns={"version": "model"})
        live = score_days(archive, service, list(calls["model"].unique()))
    labels = {item.model_version: f"v{number}" for number, item in versions.list_versions().items()}
    calls["day"] = calls["time"].map(count_days).astype(int)
    calls["model"], live["model"] = calls["model"].replace(labels), live["model"].replace(labels)
    overall = [row for row in reports if row["name"] == "all rows"]
    promised = [row["promised"] for row in overall if row["metric"] == settings.metric]
    seen = collect_facts(verdicts, reports, service) | {"feedback": describe_feedback(refused)}
    events = [*list_findings(verdicts, reports), *list_decisions(), *service.messages]
    events += [(when, f"feedback: refused: {why}") for when, why in refused]
    events.sort(key=lambda event: event[0])
    score, looks = promised[0] if promised else None, pd.DataFrame(verdicts)
    return Story(name, scenario, settings, seen, events, service.asked, score, calls, live, looks)


def count_days(time: Any) -> float:
    """Return the days since the start; a time without a zone, as from SQLite, is in UTC."""
    return float((time.replace(tzinfo=None) - UTC_START) / DAY)


def collect_facts(
    verdicts: list[dict[str, Any]], reports: list[dict[str, Any]], service: Service
) -> Expected:
    """Return the result, in the words of the expectations."""
    actions = {entry.action for entry in history.read_log().values() if entry.number > 1}
    rollout = [entry.action for entry in decisions.read_rollout_log()]
    gate = "refused" if "refuse" in actions else "not asked"
    return {
        "drift found": "yes" if any(verdict["drifted"] for verdict in verdicts) else "no",
        "loss found": "yes" if any(report["degraded"] for report in reports) else "no",
        "training": describe_training(),
        "gate": "accepted" if rollout or "promote" in actions else gate,
        "rollout": ", ".join(rollout) or "none",
        "serves": f"v{service.read_version()}",
        "told": describe_messages(service.messages),
        "failed requests": str(service.failed),
    }


def describe_feedback(refused: Events) -> str:
    """Return whether logged rows became data, or why not."""
    return f"refused: {refused[0][1]}" if refused else "taken"


def describe_training() -> str:
    """Return the number of trainings and why one failed, or the decision against one."""
    entries = ledger.read_ledger()
    runs = [entry for entry in entries if entry.decision == "run"]
    if failed := [entry for entry in runs if entry.result != "completed"]:
        return f"run, {failed[0].result}: {failed[0].said}"
    if runs:
        return "run" if len(runs) == 1 else f"{len(runs)} runs"
    return ", ".join(dict.fromkeys(entry.decision for entry in entries)) or "none"


def describe_messages(texts: Events) -> str:
    """Return a summary of the messages to people."""
    if not texts:
        return "nobody"
    broken = all("the data look broken" in text for _, text in texts)
    return "of broken data" if broken else "; ".join(text for _, text in texts)


def list_findings(verdicts: list[dict[str, Any]], reports: list[dict[str, Any]]) -> Events:
    """Return the result of each report on drift and quality."""
    events = []
    for time, looks in groupby(verdicts, itemgetter("time")):
        names = [look["column"] for look in looks if look["drifted"]]
        events.append((count_days(time), f"drift: {', '.join(names) or 'none'}"))
    for time, tests in groupby(reports, itemgetter("time")):
        lost = [f"{test['name']} ({test['metric']})" for test in tests if test["degraded"]]
        text = f"worse than promised: {', '.join(lost)}" if lost else "as promised"
        events.append((count_days(time), f"quality: {text}"))
    return events


def list_decisions() -> Events:
    """Return the decisions of triggers, gate and rollout."""
    events = []
    for note in ledger.read_ledger():
        text = f"trigger: {note.decision}: {note.event.cause}: {note.reason}"
        events.append((count_days(note.time), text))
    for entry in history.read_log().values():
        why = "; ".join(entry.verdict["reasons"]) if entry.action == "refuse" else "is champion"
        events.append((count_days(entry.time), f"gate: {entry.action} v{entry.version}: {why}"))
    for line in decisions.read_rollout_log():
        text = f"rollout: {line.action} v{line.version}: {decisions.describe_decision(line)}"
        events.append((count_days(line.time), text))
    return events


def score_days(archive: Outcomes, service: Service, models: list[str]) -> pd.DataFrame:
    """Return the score of each model by day, on rows with known outcomes."""
    contract, settings, scores = read_reference().contract, service.settings, []
    for model in models:
        outcomes = archive.find_labelled(OUTCOMES.c.row > 0, version=model)
        them = read_labelled_rows(archive, outcomes, contract)
        days = pd.Series([service.days[name] for name, _ in them.keys])
        for number, places in days.groupby(days).groups.items():
            truth = them.rows[contract.target].iloc[places]
            values = compute_scores(settings.problem, truth, them.predictions.iloc[places])
            scores.append({"day": number, "model": model, "score": values[settings.metric]})
    return pd.DataFrame(scores, columns=["day", "model", "score"])
