"""Metrics in Prometheus' format at `GET /metrics`.

Several workers share a folder, PROMETHEUS_MULTIPROC_DIR: whichever is asked answers for all.
Whoever starts them empties it before: what ended workers have counted there is counted still.
"""

import os
from collections import Counter
from collections.abc import Sequence
from threading import Event, Lock, Thread
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.routing import Route

from ..settings import Settings
from .events import Observer, Served
from .following import Champion, Follower
from .instruments import KIND, SHARED, Instruments, leave, observe_all
from .reference import Reference, cuts, reference

REFRESH = 1.0  # seconds after which the other workers see what waits in the log of this one
DAY = 24 * 3600  # seconds
SHARES = tuple(tenth / 10 for tenth in range(1, 11))


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
        self._settings = settings
        self._made = Instruments()
        self._made.max_age.set(settings.staleness.max_age_days * DAY)
        if self._classifies:
            self._made.scored(SHARES)
        self._champion: Champion | None = None
        self._reference = Reference()
        self._logged: Counter[str] = Counter()
        self._lock, self._ended = Lock(), Event()

    @property
    def _classifies(self) -> bool:
        return self._settings.problem == "classification"

    def __call__(self, event: Served) -> None:
        """Count a request; of a refused one only its status and its time."""
        made, said = self._made, event.answers
        made.requests[event.status].inc()
        made.seconds.observe(event.seconds)
        if event.status != 200:
            return
        if self.follower and self.follower.current is not self._champion:
            self.learn()
        made.answers[event.model_version].inc()
        made.total["rows"].inc(len(event.rows))
        flagged = [
            (row, answer)
            for row, answer in zip(event.rows, said, strict=True)
            if "abstain" in answer or "fallback" in answer
        ]
        strange = [row for row, _ in flagged] if self.marked else event.rows
        for _, column in self._reference.outside(strange):
            made.outside[column].inc()
        if flagged:
            made.total["abstained"].inc(sum("abstain" in answer for _, answer in flagged))
            made.total["fallback"].inc(sum("fallback" in answer for _, answer in flagged))
            said = [answer for answer in said if "fallback" not in answer]
        self._judge(said)

    def _judge(self, said: Sequence[dict[str, Any]]) -> None:
        """Count what the model has predicted, and how sure it was."""
        values = [answer["prediction"] for answer in said]
        if self._classifies:
            if len(values) == 1:  # most requests: a Counter takes as long as all the rest
                self._made.predictions[values[0]].inc()
            else:
                for label, count in Counter(values).items():
                    self._made.predictions[label].inc(count)
            values = [
                max(answer["probability"].values()) for answer in said if "probability" in answer
            ]
        if self._made.score:
            observe_all(self._made.score, values)

    def learn(self) -> None:
        """Know the champion that serves now: its classes, and what its training saw."""
        champion = self.follower.current if self.follower else None
        if champion is self._champion or not (champion and self.follower):
            return
        with self._lock:
            bundle, place = champion.model.bundle, self.follower.folder / champion.number
            found = reference(place, bundle, self._settings.fallback.margin)
            for name, *_ in (*found.ranges, *found.known):
                self._made.outside[name].inc(0)  # so that the first one is seen to be one more
            for label in (bundle["classes"] or ()) if self._classifies else ():
                self._made.predictions[label].inc(0)
            if not self._made.score:
                self._made.scored(cuts(found.scores))
            self._reference, self._champion = found, champion

    def counts(self) -> dict[str, int]:
        """Nothing: `/metrics` says it all."""
        return {}

    def refresh(self) -> None:
        """Bring up to date what no request tells: the log, and whether a model is held."""
        self.learn()
        log = next((other.counts() for other in self.others if other.name == "log"), {})
        with self._lock:
            for name in ("dropped", "failed"):
                more = log.get(name, 0) - self._logged[name]
                self._made.total[f"log_{name}"].inc(max(more, 0))
                self._logged[name] += max(more, 0)
            self._made.waiting.set(log.get("waiting", 0))
            self._made.ready.set(bool(self.follower and self.follower.current))

    def text(self) -> bytes:
        """All metrics as Prometheus reads them."""
        self.refresh()
        if not self._champion:
            return self._made.text({}, None)
        model = self._champion.model
        known = {
            "version": self._champion.number,
            "model_version": model.version,
            "runtime": str(model.bundle["runtime"]),
        }
        return self._made.text(known, self._reference.trained_at)

    def keep(self) -> None:
        """Refresh until the end: among several workers another one may be asked."""
        while not self._ended.wait(REFRESH):
            self.refresh()

    def close(self) -> None:
        """Be counted among the workers no longer."""
        self._ended.set()
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

    app.router.routes.insert(0, Route("/metrics", metrics))
    if SHARED in os.environ:
        Thread(target=seen.keep, name="metrics", daemon=True).start()
