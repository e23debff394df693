"""The triggers that `config/triggers.toml` declares."""

import re
from pathlib import Path

from mlops_ladder.settings import Settings


def test_every_alert_that_starts_a_training_is_a_rule(settings: Settings) -> None:
    """An alert that no rule fires would start nothing."""
    rules = "\n".join(path.read_text(encoding="utf-8") for path in Path("monitoring").glob("*.yml"))
    known = set(re.findall(r"- alert: (\w+)", rules))
    assert set(settings.triggers.alerts) - known == set()


def test_trainings_have_a_budget(settings: Settings) -> None:
    """The cooldown leaves room for the runs of a week."""
    triggers = settings.triggers
    assert 0 < triggers.runs_per_week * triggers.cooldown_hours <= 7 * 24
