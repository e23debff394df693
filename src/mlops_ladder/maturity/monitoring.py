"""Monitoring of the service: dashboards, alerts with their runbooks, objectives."""

import re
from collections.abc import Iterator
from typing import Any

from mlops_ladder.maturity.repository import Repository

RULES = "monitoring/alerts.yml"
DASHBOARDS = "monitoring/grafana/*.json"
BUDGETS, BURN_RATES = "monitoring/slo_alerts.yml", "monitoring/slo_rules.yml"
REPOSITORY = f"{'{' * 2} $externalLabels.repository {'}' * 2}"  # a template in the links to pages
SEVERITIES = ("page", "ticket")
METRIC = re.compile(r"\b(?:serving|drift)_[a-z_]+")  # our metrics
WINDOWS = ("5m", "30m", "1h", "6h", "3d")  # from The Site Reliability Workbook, chapter 5

Facts = dict[str, Any]


def find_dashboard_faults(repository: Repository) -> Iterator[str]:
    """Yield each dashboard with a panel that has no title, or no query."""
    later = {*repository.own("monitor.slo"), *repository.own("batch.monitor")}  # with their own
    names = [name for name in repository.glob(DASHBOARDS) if name not in later]
    if not names:
        yield "monitoring/grafana: no dashboard"
    for name in names:
        panels = repository.table(name).get("panels", [])
        asking = [
            panel
            for panel in panels
            if panel.get("title") and any(query.get("expr") for query in panel.get("targets", []))
        ]
        if not panels or len(asking) < len(panels):
            yield f"{name}: {len(panels) - len(asking)} of {len(panels)} panels show nothing"


def list_rules(repository: Repository, path: str) -> list[Facts]:
    """Return the rules of a file of Prometheus."""
    groups = repository.table(path).get("groups", [])
    return [rule for group in groups for rule in group.get("rules", [])]


def list_alerts(repository: Repository, path: str = RULES) -> list[Facts]:
    """Return the alerting rules of a file."""
    return [rule for rule in list_rules(repository, path) if "alert" in rule]


def find_alert_faults(repository: Repository, path: str) -> Iterator[str]:
    """Yield what is wrong with the alerts of a file, and with the pages that they name."""
    alerts = list_alerts(repository, path)
    if not alerts:
        yield f"{path}: no alert"
    for alert in alerts:
        name, labels = alert["alert"], alert.get("labels", {})
        if not labels.get("owner") or labels.get("severity") not in SEVERITIES:
            yield f"{path}: {name} has no owner, or no severity of {', '.join(SEVERITIES)}"
        runbook = str(alert.get("annotations", {}).get("runbook", "")).removeprefix(REPOSITORY)
        page, _, heading = runbook.partition("#")
        if heading not in list_anchors(repository.text(page)):
            yield f"{path}: {name} has no runbook: {page or 'none named'}#{heading}"


def list_anchors(text: str) -> set[str]:
    """Return the headings of a page in the form of link anchors."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {heading.strip().lower().replace(" ", "-") for heading in headings}


def list_metrics(repository: Repository) -> set[str]:
    """Return the metrics that rules and dashboards query."""
    texts = map(repository.text, [RULES, *repository.glob(DASHBOARDS)])
    return {name for text in texts for name in METRIC.findall(text)}


def find_objective_faults(repository: Repository) -> Iterator[str]:
    """Yield each objective without a burn rate, by its own budget, in each window."""
    objectives = repository.table("config/objectives.toml", "objectives")
    shares = {name: share for name, share in objectives.items() if name != "latency_ms"}
    if repository.ours and not shares:
        yield "config/objectives.toml: promises nothing"
    rules = {
        (rule.get("record"), rule.get("labels", {}).get("slo")): str(rule.get("expr"))
        for rule in list_rules(repository, BURN_RATES)
    }
    for name, share in shares.items():
        for window in WINDOWS:
            expression = rules.get((f"slo:burn:{window}", name), "")
            if not re.search(rf"\[{window}\].*/ {1 - share:.6g}$", expression):
                yield f"{BURN_RATES}: {name} has no burn rate of {window}; run: make objectives"
