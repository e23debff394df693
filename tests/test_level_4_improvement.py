"""Level 4: the rules of quality, triggers and error budgets, with faults planted in them."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from conftest import fails, Generate, ok, plant, PROJECT
from watchers import needed, spoil, SPOILT

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


def receivers(rules: Path, name: str, **labels: str) -> list[str]:
    """Who gets an alert with these labels, by Alertmanager's own tool."""
    words = [f"{label}={value}" for label, value in labels.items()]
    done = ok("amtool", "config", "routes", "test", f"--config.file={name}", *words, at=rules)
    return done.strip().split(",")


@pytest.mark.parametrize(
    "path", sorted(PROJECT.glob("monitoring/*alerts.yml")), ids=lambda it: it.stem
)
def test_the_team_gets_every_alert_and_the_receiver_those_that_train(
    rules: Path, path: Path
) -> None:
    """What may start a training is told to both; of staging and of other projects to the team alone."""
    plant(rules / "retraining.yml", "ALERT_WEBHOOK", "http://127.0.0.1:1/")
    plant(rules / "retraining.yml", "RECEIVER_URL", "http://127.0.0.1:2")
    training = {"ColumnDrifted", "ModelOld", "QualityDegraded"}
    for group in yaml.safe_load(path.read_text("utf-8"))["groups"]:
        for rule in group["rules"]:
            alert = {"alertname": rule["alert"], **rule["labels"]}
            both = ["retraining", "team"] if rule["alert"] in training else ["team"]
            told = receivers(rules, "retraining.yml", namespace="flight-delays-production", **alert)
            assert told == both, alert
            for other in ("flight-delays-staging", "another-production"):
                assert receivers(rules, "retraining.yml", namespace=other, **alert) == ["team"]


def test_the_routes_are_the_same_but_for_the_training(rules: Path) -> None:
    """One route more at the head, which goes on, and one at the end that takes all the rest."""
    told, before = (
        yaml.safe_load((rules / name).read_text("utf-8"))
        for name in ("retraining.yml", "alertmanager.yml")
    )
    first, *routes, last = told["route"].pop("routes")
    assert first["continue"] is True and last == {"receiver": "team"}
    assert routes == before["route"].pop("routes")
    assert told["receivers"].pop()["name"] == "retraining"
    assert told == before


def test_one_namespace_does_not_silence_another(rules: Path) -> None:
    """A staging that is down mutes no alert of production, nor are they told as one."""
    for name in ("retraining.yml", "alertmanager.yml"):
        known = yaml.safe_load((rules / name).read_text("utf-8"))
        assert "namespace" in known["route"]["group_by"]
        assert all("namespace" in it["equal"] for it in known["inhibit_rules"])


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
