"""Metrics in Prometheus' format at `GET /metrics`.

A request is noted, in less than a hundredth of its time; a thread counts what was noted, all at
once.  A process that is killed loses no more than the last REFRESH seconds.

Several workers share a folder, PROMETHEUS_MULTIPROC_DIR: whichever is asked answers for all.
Whoever starts them empties it before: what ended workers have counted there is counted still.
"""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from starlette.routing import Route

from mlops_ladder.serving.events import Observer, Served
from mlops_ladder.serving.instruments import Instruments, KIND, leave, observe_all
from mlops_ladder.serving.model_reloader import Champion, Follower
from mlops_ladder.serving.reference_loader import cuts, Reference, reference
from mlops_ladder.settings import Settings

T = TypeVar("T")
LOG = logging.getLogger(__name__)
REFRESH = 0.2  # seconds between two counts: of more at once a request would wait for them
DAY = 24 * 3600  # seconds
SHARES = tuple(tenth / 10 for tenth in range(1, 11))


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


class Metrics:
    """An observer that counts what is served.  What it counts with is made before the requests.

    `follower` and `others`, the other observers, are asked for the rest; `extend` names them.
    Where answers to strange rows are `marked`, only those rows are looked at again.
    """

    name = "metrics"

    def __init__(self, settings: Settings) -> None:
        self.follower: Follower | None = None
        self.others: Sequence[Observer] = ()
        self.marked = False
        self._margin = settings.fallback.margin
        self._made, self._noted = Instruments(), Noted()
        self._made.max_age.set(settings.staleness.max_age_days * DAY)
        self._champion: Champion | None = None
        self._reference = Reference()
        self._lock, self._ended = Lock(), Event()

    @property
    def _classifies(self) -> bool:
        return bool(self._champion and self._champion.model.bundle["classes"] is not None)

    def __call__(self, event: Served) -> None:
        """Note a request; of a refused one only its status and its time."""
        noted, said = self._noted, event.answers
        noted.statuses.append(event.status)
        noted.seconds.append(event.seconds)
        if event.status != 200:
            return
        if self.follower and self.follower.current is not self._champion:
            self.learn()
        noted.versions.append(event.model_version)
        noted.rows.append(len(event.rows))
        flagged = [
            (row, answer)
            for row, answer in zip(event.rows, said, strict=True)
            if "abstain" in answer or "fallback" in answer or "outside" in answer
        ]
        strange = [row for row, _ in flagged] if self.marked else event.rows
        for _, column in self._reference.outside(strange):
            self._made.strange[column].inc()
        if flagged:
            for name in [name for _, answer in flagged for name in answer.get("outside", ())]:
                self._made.outside[name].inc()
            self._made.total["abstained"].inc(sum("abstain" in answer for _, answer in flagged))
            self._made.total["fallback"].inc(sum("fallback" in answer for _, answer in flagged))
            said = [answer for answer in said if "fallback" not in answer]
        self._judge(said)

    def _judge(self, said: Sequence[dict[str, Any]]) -> None:
        """Note what the model has predicted, and how sure it was."""
        values = [answer["prediction"] for answer in said]
        if not self._classifies:
            self._noted.scores.extend(values)
            return
        self._noted.predictions.extend(values)
        sure = [answer for answer in said if "probability" in answer]
        self._noted.scores.extend([it["probability"][str(it["prediction"])] for it in sure])

    def learn(self) -> None:
        """Know the champion that serves now: its classes, and what its training saw."""
        champion = self.follower.current if self.follower else None
        if champion is self._champion or not (champion and self.follower):
            return
        with self._lock:
            bundle, place = champion.model.bundle, self.follower.folder / champion.number
            found = reference(place, bundle, self._margin)
            for name, *_ in (*found.ranges, *found.known):
                self._made.strange[name].inc(0)  # so that the first one is seen to be one more
            for label in bundle["classes"] or ():
                self._made.predictions[label].inc(0)
            if not self._made.score:
                self._made.scored(cuts(found.scores) if bundle["classes"] is None else SHARES)
            self._reference, self._champion = found, champion

    def counts(self) -> dict[str, int]:
        """Nothing: `/metrics` says it all."""
        return {}

    def refresh(self) -> None:
        """Bring up to date: the requests, the log, and whether a model is held."""
        self.learn()
        log = next((other.counts() for other in self.others if other.name == "log"), {})
        with self._lock:
            self._noted.count(self._made, log)
            self._made.waiting.set(log.get("waiting", 0))
            self._made.ready.set(bool(self.follower and self.follower.current))

    def text(self) -> bytes:
        """All metrics as Prometheus reads them."""
        self.refresh()
        if not self._champion:
            return self._made.text({}, None)
        model = self._champion.model
        known = {"version": self._champion.number, "model_version": model.version}
        known |= {"runtime": str(model.bundle["runtime"])}
        return self._made.text(known, self._reference.trained_at)

    def keep(self) -> None:
        """Refresh until the end: what is noted takes memory, and another worker may be asked."""
        over = False
        while not over:
            over = self._ended.wait(REFRESH)
            try:
                self.refresh()
            except Exception:  # pylint: disable=broad-exception-caught  # observers raise anything
                LOG.exception("metrics were not refreshed")

    def close(self) -> None:
        """Count the last requests, and be among the workers no longer."""
        self._ended.set()
        self.keep()
        leave(os.getpid())


def opened(settings: Settings) -> Metrics:
    """The observer that counts for `/metrics`."""
    return Metrics(settings)


def extend(app: FastAPI, _: Settings) -> None:
    """Let the service answer `GET /metrics` with what its observer counts."""
    seen = next(other for other in app.state.observers if isinstance(other, Metrics))
    seen.follower, seen.others = app.state.follower, app.state.observers
    seen.marked = any(getattr(choice, "marks", False) for choice in app.state.choices)

    def metrics(_: Request) -> Response:
        return Response(seen.text(), headers={"Content-Type": KIND})

    app.router.routes.append(Route("/metrics", metrics))
    Thread(target=seen.keep, name="metrics", daemon=True).start()
