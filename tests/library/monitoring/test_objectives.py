"""Objectives and costs: the rules are those of the settings, and a price is what was measured."""

from library.fixture_project import ROOT
import pytest
import yaml

from mlops_ladder import ProjectError
from mlops_ladder.monitoring.costs import format_costs, ServedTraffic
from mlops_ladder.monitoring.objectives import LONG, render_rules, require_bucket, RULES, SHORT
from mlops_ladder.settings import Settings
from mlops_ladder.monitoring.settings import Costs, Objectives


def test_the_rules_are_those_of_the_objectives(settings: Settings) -> None:
    """Where they are not: make objectives."""
    assert (ROOT / RULES).read_text(encoding="utf-8") == render_rules(
        require_bucket(settings.objectives)
    )


def test_each_objective_burns_in_each_window() -> None:
    """Its error budget is what is left to one; a second without its decimals is an edge too."""
    known = yaml.safe_load(render_rules(Objectives(availability=0.999, latency_ms=1000)))
    found = {
        (rule["record"].rpartition(":")[2], rule["labels"]["slo"]): rule["expr"]
        for group in known["groups"]
        for rule in group["rules"]
        if rule["record"].startswith("slo:burn:")
    }
    slos = {"availability", "latency", "quality", "freshness"}
    assert found.keys() == {(window, slo) for window in (*SHORT, *LONG) for slo in slos}
    assert found["1h", "availability"].strip().endswith("[1h]))) / 0.001")
    assert 'le=~"1|1.0"' in found["5m", "latency"]


def test_a_latency_that_the_service_does_not_count_is_refused() -> None:
    """Its histogram has edges, and only there it is known how many were quicker."""
    with pytest.raises(ProjectError, match="latency_ms = 300 is no edge.*250, 500"):
        require_bucket(Objectives(latency_ms=300))


def test_a_cost_is_time_by_price() -> None:
    """An hour at 2 for 10,000 predictions, of which they kept a machine busy for 36 seconds."""
    costs = Costs(currency="CHF", serving_hour=2, replicas=3, training_hour=6)
    served = ServedTraffic(rows=10_000, busy=36, hours=1)
    words = format_costs(served, [600, 1200, 1800], costs)
    assert "1,000 predictions, busy time alone        0.002000 CHF" in words
    assert "1,000 predictions, waiting included       0.600000 CHF" in words
    assert "a training                                2.000000 CHF" in words
    assert "6.000000 CHF" in words and "assumed: one machine, 6 CHF an hour" in words
    assert "a training: none in 30 days" in format_costs(served, [], costs)
