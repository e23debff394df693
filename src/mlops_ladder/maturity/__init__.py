"""The checks of `make maturity`.  A check is a function that yields a sentence for each problem.

signs.toml lists what is asked of files and records; trials/trials.toml lists what a deep run does
in a copy.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Find = Callable[[Any], Iterable[str]]


class Unknown(Exception):
    """The reason why something cannot be known here: no token, network, program or record."""


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
