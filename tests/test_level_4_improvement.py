"""Level 4: the rules of quality, triggers and error budgets, with faults planted in them."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT, Generate, fails, ok, plant
from watchers import SPOILT, needed, spoil

FILES = ("quality_alerts", "triggers_alerts")
ALERTS = [
    (name, rule["alert"])
    for name in FILES
    for group in yaml.safe_load((PROJECT / f"monitoring/{name}.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]
]
BUDGETS = ("promtool", "test", "rules", "slo_alerts_test.yml")


@pytest.fixture(name="rules")
def _rules(generate: Generate, tmp_path: Path) -> Path:
    """A copy of what a project of level 4 tells Prometheus and Alertmanager."""
    needed()
    shutil.copytree(generate(maturity_level="4") / "monitoring", tmp_path / "monitoring")
    return tmp_path / "monitoring"


def test_the_rules_are_what_prometheus_takes(rules: Path) -> None:
    """All files together; and the routes by which a training is told."""
    ok("promtool", "check", "config", "prometheus.yml", at=rules)
    plant(rules / "retraining.yml", "ALERT_WEBHOOK", "http://127.0.0.1:1/")
    plant(rules / "retraining.yml", "RECEIVER_URL", "http://127.0.0.1:2")
    ok("amtool", "check-config", "retraining.yml", at=rules)


def test_who_is_told_of_alerts_is_told_as_before(rules: Path) -> None:
    """The routes for a training are those of everybody, with one more that goes on."""
    told, before = (
        yaml.safe_load((rules / name).read_text("utf-8"))
        for name in ("retraining.yml", "alertmanager.yml")
    )
    assert told["route"]["routes"].pop(0)["continue"] is True
    assert told["receivers"].pop()["name"] == "retraining"
    assert told == before


@pytest.mark.parametrize(("name", "alert"), ALERTS)
@pytest.mark.parametrize("fault", SPOILT)
def test_a_rule_that_is_wrong_is_found(rules: Path, name: str, alert: str, fault: str) -> None:
    """The tests of the rules fail where one of them never fires, always does, or waits too long."""
    path = rules / f"{name}.yml"
    spoil(path, alert, fault)
    fails("promtool", "test", "rules", f"{name}_test.yml", at=rules)


@pytest.mark.slow
@pytest.mark.drawn(2)
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("slo_alerts.yml", r"(burn:3d\{[^}]*availability[^}]*\}) > 1\b", r"\1 > 10"),
        ("slo_alerts.yml", r"(burn:3d\{[^}]*quality[^}]*\}) > 1\b", r"\1 > 100"),
        ("slo_alerts.yml", r"14\.4", "144"),
        ("slo_alerts.yml", r"> 6\b", "> 60"),
        ("slo_alerts.yml", r"> 6\b", "> 0.1"),
        ("slo_rules.yml", r"0\.005", "0.5"),
        ("slo_rules.yml", r'status=~"5\.\."', 'status=~"6.."'),
    ],
    ids=[
        "a leak",
        "a leak of the model",
        "a blaze",
        "hours of it",
        "too early",
        "a budget",
        "what an error is",
    ],
)
def test_a_budget_that_is_judged_wrongly_is_found(
    rules: Path, name: str, old: str, new: str
) -> None:
    """A slow leak that nobody sees, a page for nothing, another budget."""
    text = (rules / name).read_text(encoding="utf-8")
    wrong = re.sub(old, new, text)
    assert wrong != text
    (rules / name).write_text(wrong, encoding="utf-8")
    fails(*BUDGETS, at=rules)
