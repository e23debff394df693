"""The clock: within its context, `datetime.now` of this library's modules is the simulated time."""

import sys
from datetime import datetime, timedelta, UTC
from types import ModuleType
from typing import Any, Self

from mlops_ladder import project

START = datetime(2030, 1, 7, tzinfo=UTC)
DAY = timedelta(days=1)


def build_datetime_class(clock: "Clock") -> type[datetime]:
    """Return a datetime class whose `now` is that of the clock."""

    class Simulated(datetime):
        """Creates ordinary datetimes; only `now` is simulated."""

        def __new__(cls, *parts: Any, **named: Any) -> Any:
            return datetime(*parts, **named)

        @classmethod
        def now(cls, tz: object = None) -> Any:
            """Return the time of the simulation, in UTC."""
            assert tz is UTC
            return clock.now

    return Simulated


class Clock:
    """The time of the simulation: `now`, which only `at` changes.

    Other packages, such as MLflow and Prefect, keep the real time.
    """

    def __init__(self) -> None:
        self.now = START
        self._simulated = build_datetime_class(self)
        self._changed: list[ModuleType] = []

    def __enter__(self) -> Self:
        self.at(0)
        return self

    def __exit__(self, *_: object) -> None:
        for module in self._changed:
            setattr(module, "datetime", datetime)

    def at(self, days: float) -> datetime:
        """Set the time to so many days after the start, and return it.

        Replaces `datetime` in each imported module of the library and the project.
        """
        self.now = START + days * DAY
        own = f"{__package__.partition('.')[0]}.", f"{project.get_project().package}."
        for name, module in list(sys.modules.items()):
            is_own = name.startswith(own) and name != __name__
            if is_own and getattr(module, "datetime", None) is datetime:
                setattr(module, "datetime", self._simulated)
                self._changed.append(module)
        return self.now
