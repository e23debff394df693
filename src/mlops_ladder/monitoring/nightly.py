"""What the schedule does with the prediction log each night, by the champion of the registry."""

from collections.abc import Callable

from mlops_ladder.monitoring import drift, skew
from mlops_ladder.monitoring.archive import NoLog
from mlops_ladder.registry import promotion, versions
from mlops_ladder.settings import Settings


def looked(command: Callable[[], None]) -> tuple[bool, str]:
    """Was there anything to look at, and in words.  Raises what the command finds."""
    try:
        if not versions.held().champion:
            return False, "there is no champion yet"
        promotion.publish()
        command()
    except NoLog as nothing:
        return False, f"nothing to look at: {nothing}"
    return True, "nothing found"


def inputs(_: Settings) -> tuple[bool, str]:
    """Have the inputs drifted?  ProjectError, which is told, where they have."""
    return looked(lambda: drift.main(fail=True))


def answers(_: Settings) -> tuple[bool, str]:
    """Does the service answer as the training code does?  ProjectError where it does not."""
    return looked(skew.main)
