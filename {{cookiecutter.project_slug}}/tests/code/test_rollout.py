"""The rollout that `config/rollout.toml` declares."""

from mlops_ladder.settings import Settings


def test_the_steps_of_a_rollout_grow(settings: Settings) -> None:
    """Each step gives the new version a larger share of the clients, and none all of them."""
    shares = settings.rollout.shares
    assert shares == sorted(set(shares)) and 0 < min(shares) and max(shares) < 1


def test_chance_takes_few_models_back(settings: Settings) -> None:
    """At most a tenth of the harmless models, and each step has requests to judge by."""
    assert settings.rollout.false_aborts <= 0.1 and settings.rollout.units >= 100
