"""The checks of `make maturity`.  A check is a function that yields a sentence for each problem.

signs.toml lists what is asked of files and records; the modules in `trials` register what a deep run
does in a copy.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Find = Callable[[Any], Iterable[str]]


class Unknown(Exception):
    """Why something cannot be known here: no token, no network, no program, no record."""


@dataclass(frozen=True)
class Check:
    """A promise of a capability, and the function that yields the problems with it.

    The function of a "sign" (of the files) or a "record" (of what was recorded) gets a Repository;
    that of a "trial" (it works) or a "fault" (a planted fault is caught) gets a Copy.
    """

    capability: str
    kind: str
    promise: str
    find: Find


CHECKS: list[Check] = []
USES: dict[str, Callable[[Any], list[datetime]]] = {}


def _register(kind: str, capability: str, promise: str) -> Callable[[Find], Find]:
    def register(find: Find) -> Find:
        CHECKS.append(Check(capability, kind, promise, find))
        return find

    return register


def trial(capability: str, promise: str) -> Callable[[Find], Find]:
    """Register a check that does something in a copy of the repository: it works."""
    return _register("trial", capability, promise)


def fault(capability: str, promise: str) -> Callable[[Find], Find]:
    """Register a check that plants a fault in a copy of the repository: it is caught."""
    return _register("fault", capability, promise)
