"""What watches the service: metrics, dashboards, alerts, drift."""

import re
from collections.abc import Iterator
from typing import Any

from mlops_ladder.maturity import sign
from mlops_ladder.maturity.code import without_library
from mlops_ladder.maturity.repository import Repository

RULES = "monitoring/alerts.yml"
REPOSITORY = f"{'{' * 2} $externalLabels.repository {'}' * 2}"  # makes a link of a page
SEVERITIES = ("page", "ticket")
OURS = re.compile(r"\b(?:serving|drift)_[a-z_]+")

Facts = dict[str, Any]


@sign("monitor.metrics", "the service counts what it does, and dashboards show it")
def dashboards(repository: Repository) -> Iterator[str]:
    """Something exposes metrics; each panel asks for some, under a title."""
    yield from without_library(repository, "monitor.metrics")
    if not repository.ours:
        return
    later = repository.own("monitor.slo")  # its own dashboard
    names = [it for it in repository.glob("monitoring/grafana/*.json") if it not in later]
    if not names:
        yield "monitoring/grafana: no dashboard"
    for name in names:
        panels = (repository.parsed(name) or {}).get("panels", [])
        asking = [it for it in panels if it.get("title") and any(queries(it))]
        if not panels or len(asking) < len(panels):
            yield f"{name}: {len(panels) - len(asking)} of {len(panels)} panels show nothing"


def queries(panel: Facts) -> list[str]:
    """What a panel asks Prometheus."""
    return [str(target.get("expr", "")) for target in panel.get("targets", [])]


@sign("monitor.alerts", "each alert has an owner, a severity and a runbook that says what to do")
def rules(repository: Repository) -> Iterator[str]:
    """Read the rules, and the pages that they name."""
    yield from faulty(repository, RULES)


def faulty(repository: Repository, path: str) -> Iterator[str]:
    """What is wrong with the alerts of a file, and with the pages that they name."""
    found = alerts(repository, path)
    if not found:
        yield f"{path}: no alert"
    for rule in found:
        name, labels = rule["alert"], rule.get("labels", {})
        if not labels.get("owner") or labels.get("severity") not in SEVERITIES:
            yield f"{path}: {name} has no owner, or no severity of {', '.join(SEVERITIES)}"
        named = str(rule.get("annotations", {}).get("runbook", "")).removeprefix(REPOSITORY)
        page, _, heading = named.partition("#")
        if heading not in headings(repository.text(page)):
            yield f"{path}: {name} has no runbook: {page or 'none named'}#{heading}"


def alerts(repository: Repository, path: str = RULES) -> list[Facts]:
    """The rules that alert somebody."""
    known = repository.parsed(path)
    groups = known.get("groups", []) if isinstance(known, dict) else []
    return [rule for group in groups for rule in group.get("rules", []) if "alert" in rule]


def headings(text: str) -> set[str]:
    """The headings of a page, as links name them."""
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {heading.strip().lower().replace(" ", "-") for heading in found}


def wanted(repository: Repository) -> set[str]:
    """The metrics that rules and dashboards ask for."""
    names = [RULES, *repository.glob("monitoring/grafana/*.json")]
    return {name for path in names for name in OURS.findall(repository.text(path))}


@sign("monitor.drift", "something compares what is asked with what was learned from")
def drift(repository: Repository) -> Iterator[str]:
    """Something imports a library that finds drift."""
    yield from without_library(repository, "monitor.drift")


@sign("monitor.skew", "logged rows can be answered again by the training code")
def skew(repository: Repository) -> Iterator[str]:
    """It reads the log, and the model of the registry."""
    yield from without(repository, "monitoring/skew.py", "predict", "window")


@sign("model.explain", "a logged prediction can be taken apart")
def explained(repository: Repository) -> Iterator[str]:
    """Something imports a library that explains; at home the values add up by themselves."""
    if not repository.ours:
        yield from without_library(repository, "model.explain")
    yield from without(
        repository, "governance/explaining.py", "Archive", "contributions", "predict"
    )
    yield from without(repository, "model/shapley.py", "def contributions", "output")


@sign("monitor.staleness", "how old the champion may get is derived, and an alert watches over it")
def staleness(repository: Repository) -> Iterator[str]:
    """A rule asks for the age of the champion."""
    yield from without(repository, "monitoring/staleness.py", "fit", "score")
    if not any("serving_model_trained_timestamp" in str(it["expr"]) for it in alerts(repository)):
        yield f"{RULES}: no alert asks when the champion was trained"


def without(repository: Repository, module: str, *calls: str) -> Iterator[str]:
    """Where a module of the package calls none of these."""
    text = repository.library.get(module, "")
    for call in calls if repository.ours else ():
        if f"{call}(" not in text:
            yield f"{module}: calls no {call}"
