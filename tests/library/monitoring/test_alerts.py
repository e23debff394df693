"""The alert rules and the dashboards: somebody is told, knows what to do, and sees something."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from library.fixture_project import ROOT
import pytest
import yaml

from mlops_ladder.settings import Settings

FOLDER = ROOT / "monitoring"
RULES: list[dict[str, Any]] = [
    rule
    for path in sorted(FOLDER.glob("*alerts.yml"))
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
PANELS: list[tuple[str, dict[str, Any]]] = [
    (path.stem, panel)
    for path in sorted(FOLDER.glob("grafana/*.json"))
    for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]
]


EXPRESSIONS: list[tuple[str, str]] = [
    (path.stem, rule["expr"])
    for path in sorted([*FOLDER.glob("*alerts.yml"), *FOLDER.glob("*rules.yml")])
    for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
QUERIES = [(board, target["expr"]) for board, panel in PANELS for target in panel["targets"]]
SELECTED = re.compile(r"(?<![\w:$.])([a-zA-Z_]\w*[_:][\w:]*)(?![\w:]|\s*\()\s*(\{[^}]*\})?")
LABELS = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\b(?:\s*\([^)]*\))?")
AGGREGATED = re.compile(r"\b(?:sum|min|max|avg|count|group|topk|quantile)\b(?!\s*by \(namespace\b)")


def mixed(expression: str, namespace: str) -> list[str]:
    """The metrics and aggregations of an expression that mix namespaces or projects."""
    found = []
    for metric, labels in SELECTED.findall(LABELS.sub("", expression)):
        kind, wanted = next(iter(re.findall(r'\bnamespace(=~?)"([^"]*)"', labels)), ("", ""))
        wanted = wanted if kind == "=~" else re.escape(wanted)
        if not re.fullmatch(wanted, namespace) or re.fullmatch(wanted, f"another-{namespace}"):
            found.append(metric)
    return found + ([] if "$namespace" in expression else AGGREGATED.findall(expression))


def anchors(page: Path) -> set[str]:
    """The headings of a page, as a link names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {heading.strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_an_alert_has_an_owner_a_severity_and_a_runbook(rule: dict[str, Any]) -> None:
    """Whoever is told knows whose it is, how urgent it is, and finds what to do."""
    assert rule["labels"]["owner"] and rule["labels"]["severity"] in ("page", "ticket")
    page, _, anchor = rule["annotations"]["runbook"].rpartition(" ")[2].lstrip("}").partition("#")
    assert rule["annotations"]["summary"] and anchor in anchors(ROOT / page)


def test_every_alert_is_tested() -> None:
    """`make alerts` sees each of them fire."""
    tested = {
        test["alertname"]
        for path in FOLDER.glob("*alerts_test.yml")
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]
        for test in case.get("alert_rule_test", [])
        if test.get("exp_alerts")
    }
    assert tested == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize(("name", "expression"), EXPRESSIONS)
def test_a_rule_keeps_namespaces_apart(name: str, expression: str, settings: Settings) -> None:
    """Neither staging nor another project hides what goes on in production, or adds to it."""
    assert name and mixed(expression, settings.drift.namespace) == []


@pytest.mark.parametrize(("board", "query"), QUERIES)
def test_a_panel_shows_one_namespace(board: str, query: str, settings: Settings) -> None:
    """The dashboard says which one, at its head."""
    assert board and '"$namespace"' in query
    shown = query.replace('"$namespace"', f'"{settings.drift.namespace}"') + " # $namespace"
    assert mixed(shown, settings.drift.namespace) == []


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("absent(serving_model_ready)", ["serving_model_ready"]),
        ('max by (namespace) (ready_now{namespace=~".*"}) == 0', ["ready_now"]),
        ('max(ready_now{namespace="x-production"}) == 0', ["max"]),
        ('sum by (le) (rate(a_bucket{le="1", namespace="x-production"}[5m]))', ["sum"]),
        ('slo:burn:1h{namespace="x-production"} > 6 and slo:burn:5m > 6', ["slo:burn:5m"]),
        ('avg_over_time(slo:now{namespace="x-production"}[5m])', []),
        ('sum by (namespace, le) (rate(a_b{namespace=~"x-(staging|production)"}[5m]))', []),
    ],
)
def test_a_rule_that_mixes_namespaces_is_found(expression: str, found: list[str]) -> None:
    """Without a selection, with one of everything, or added up over namespaces."""
    assert mixed(expression, "x-production") == found


@pytest.mark.parametrize(
    ("board", "panel"), PANELS, ids=[f"{board}-{panel['title']}" for board, panel in PANELS]
)
def test_a_panel_can_be_read(board: str, panel: dict[str, Any]) -> None:
    """It says what it shows and in which unit, and asks Prometheus for it."""
    assert board and panel["title"] and panel["fieldConfig"]["defaults"]["unit"]
    assert all(target["expr"] for target in panel["targets"]) and panel["targets"]


@pytest.mark.skipif(not shutil.which("promtool"), reason="no promtool here: make alerts")
def test_the_rules_fire_where_they_should() -> None:
    """Prometheus's own tool finds no fault in them, and every case of their tests holds."""
    for kind, pattern in (("check", "*alerts.yml"), ("test", "*alerts_test.yml")):
        words = [kind, "rules", *(path.name for path in sorted(FOLDER.glob(pattern)))]
        done = subprocess.run(
            ["promtool", *words], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
