"""The clock: within it, the modules of this package are told the time of the simulation."""

import sys
from datetime import datetime, timedelta, UTC
from types import ModuleType, TracebackType
from typing import Any, Self

from mlops_ladder import project

START = datetime(2030, 1, 7, tzinfo=UTC)
DAY = timedelta(days=1)


def told(clock: "Clock") -> type[datetime]:
    """A datetime whose `now` is that of the clock."""

    class Simulated(datetime):
        """Makes plain times, as a datetime does; the present one is simulated."""

        def __new__(cls, *parts: Any, **named: Any) -> Any:
            return datetime(*parts, **named)

        @classmethod
        def now(cls, tz: object = None) -> Any:
            """The time of the simulation, in UTC."""
            assert tz is UTC
            return clock.now

    return Simulated


class Clock:
    """The time of the simulation: `now`, which only `at` moves.

    A module that is imported later is told the time once `hold` is called again.  Other packages,
    MLflow and Prefect among them, keep the real time.
    """

    def __init__(self) -> None:
        self.now = START
        self._simulated = told(self)
        self._changed: list[ModuleType] = []

    def __enter__(self) -> Self:
        self.hold()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _: object, __: TracebackType | None
    ) -> None:
        for module in self._changed:
            setattr(module, "datetime", datetime)

    def at(self, days: float) -> datetime:
        """Have it be so many days after the start."""
        self.now = START + days * DAY
        return self.now

    def hold(self) -> None:
        """Tell the modules that are imported by now."""
        own = f"{__package__.partition('.')[0]}.", f"{project.get_project().package}."
        for name, module in list(sys.modules.items()):
            known = getattr(module, "datetime", None)
            if name.startswith(own) and name != __name__ and known is datetime:
                setattr(module, "datetime", self._simulated)
                self._changed.append(module)
