"""What was served and is not counted yet: a request only notes, all are counted at once."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mlops_ladder.serving.instruments import Instruments, observe_all

T = TypeVar("T")


@dataclass
class Noted:
    """Lists of numbers and words: they cost the garbage collector nothing.

    `log` holds what the prediction log has said before.
    """

    statuses: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    predictions: list[Any] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    log: Counter[str] = field(default_factory=Counter)

    def count(self, made: Instruments, log: dict[str, int]) -> None:
        """Count all of it, and what the log by now says more.  For one thread at a time."""
        for status, count in Counter(taken(self.statuses)).items():
            made.requests[status].inc(count)
        for version, count in Counter(taken(self.versions)).items():
            made.answers[version].inc(count)
        for label, count in Counter(taken(self.predictions)).items():
            made.predictions[label].inc(count)
        rows = taken(self.rows)
        made.total["rows"].inc(sum(rows))
        observe_all(made.seconds, taken(self.seconds))
        if made.score:
            observe_all(made.score, taken(self.scores))
        for name in ("dropped", "failed"):
            more = max(log.get(name, 0) - self.log[name], 0)
            made.total[f"log_{name}"].inc(more)
            self.log[name] += more


def taken(values: list[T]) -> list[T]:
    """What is in a list; it is empty afterwards, but for what other threads put there meanwhile."""
    found = values[:]
    del values[: len(found)]
    return found
