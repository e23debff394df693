"""Level 3: metrics, dashboards and alerts, with a real Prometheus and a real Alertmanager."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Generate, fails, ok, plant
from watchers import needed

ALERTS = [
    rule["alert"]
    for group in yaml.safe_load(
        (
            Path(__file__).parents[1] / "{{cookiecutter.project_slug}}/monitoring/alerts.yml"
        ).read_text(encoding="utf-8")
    )["groups"]
    for rule in group["rules"]
]


@pytest.fixture(name="rules")
def _rules(generate: Generate, tmp_path: Path) -> Path:
    """A copy of what a project of level 3 tells Prometheus and Alertmanager."""
    needed()
    shutil.copytree(generate(maturity_level="3") / "monitoring", tmp_path / "monitoring")
    return tmp_path / "monitoring"


def judged(rules: Path) -> tuple[str, ...]:
    """The command that tests the rules."""
    assert (rules / "alerts.yml").exists()
    return "promtool", "test", "rules", "alerts_test.yml"


def test_the_configuration_is_what_prometheus_and_alertmanager_take(rules: Path) -> None:
    """Their own tools find no fault."""
    ok("promtool", "check", "rules", "alerts.yml", at=rules)
    ok("promtool", "check", "config", "prometheus.yml", at=rules)
    plant(rules / "alertmanager.yml", "ALERT_WEBHOOK", "http://127.0.0.1:1/")
    ok("amtool", "check-config", "alertmanager.yml", at=rules)
    ok(*judged(rules), at=rules)


@pytest.mark.parametrize("alert", ALERTS)
@pytest.mark.parametrize("fault", ["never fires", "always fires", "waits a day"])
def test_a_rule_that_is_wrong_is_found(rules: Path, alert: str, fault: str) -> None:
    """The tests of the rules fail where one of them never fires, always does, or waits too long."""
    known = yaml.safe_load((rules / "alerts.yml").read_text(encoding="utf-8"))
    rule = next(it for group in known["groups"] for it in group["rules"] if it["alert"] == alert)
    changes = {
        "never fires": {"expr": f"({rule['expr']}) and vector(1) == 2"},
        "always fires": {"expr": "vector(1)"},
        "waits a day": {"for": "100h"},
    }
    rule |= changes[fault]
    (rules / "alerts.yml").write_text(yaml.safe_dump(known), encoding="utf-8")
    fails(*judged(rules), at=rules)


def metrics(text: str) -> set[str]:
    """The metrics that a PromQL expression, or all of a file, asks for."""
    return set(re.findall(r"\b(?:serving|drift)_[a-z_]+", text))


def panels(project: Path) -> list[tuple[str, str]]:
    """The title of every panel, and each query of it."""
    found: list[tuple[str, str]] = []
    for path in sorted(project.glob("monitoring/grafana/*.json")):
        board: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for panel in board["panels"]:
            found += [(panel["title"], target["expr"]) for target in panel["targets"]]
    return found
