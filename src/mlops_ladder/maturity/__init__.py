"""The checks of `make maturity`, one module a domain, and the words in which they are written.

A check is a function that yields what is wrong, a sentence each, and nothing where all is well.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

DOMAINS = """
repo ci doc data model questions delivery approval serving monitoring improvement scaling infra gov
""".split()
TRIALS = [f"trials.{name}" for name in """
repo ci doc data privacy schema agreed model questions delivery registry approval deploy batch
serving operations monitoring improvement gov team schedule rollout scaleout infra
""".split()]

Find = Callable[[Any], Iterable[str]]


class Unknown(Exception):
    """Why something cannot be known here: no token, no network, no program, no record."""


@dataclass(frozen=True)
class Check:
    """A promise of a capability, and what finds out whether it is kept.

    Of kind "sign" (the files are what they should be) and "record" (what was recorded agrees) it is
    given a Repository; of kind "trial" (it works) and "fault" (a planted fault is caught) a Copy.
    """

    capability: str
    kind: str
    promise: str
    find: Find


CHECKS: list[Check] = []
USES: dict[str, Callable[[Any], list[datetime]]] = {}


def _joined(kind: str, capability: str, promise: str) -> Callable[[Find], Find]:
    def join(find: Find) -> Find:
        CHECKS.append(Check(capability, kind, promise, find))
        return find

    return join


def sign(capability: str, promise: str) -> Callable[[Find], Find]:
    """Of the files alone: they are there, and say what they should."""
    return _joined("sign", capability, promise)


def record(capability: str, promise: str) -> Callable[[Find], Find]:
    """Of what was recorded: computed again, or compared with a second source."""
    return _joined("record", capability, promise)


def trial(capability: str, promise: str) -> Callable[[Find], Find]:
    """Of a copy of the repository in which it is really done: it works."""
    return _joined("trial", capability, promise)


def fault(capability: str, promise: str) -> Callable[[Find], Find]:
    """Of a copy of the repository in which a fault is planted: it is caught."""
    return _joined("fault", capability, promise)


def use(capability: str) -> Callable[..., Any]:
    """When the team has used it, as a list of times, from what its use leaves behind."""

    def join(times: Callable[[Any], list[datetime]]) -> Callable[[Any], list[datetime]]:
        USES[capability] = times
        return times

    return join
