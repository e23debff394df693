"""Both arms of a rollout, noted; and the shadow: a candidate that answers, and nobody hears it.

It answers after the client was answered, or not at all where it cannot keep up.
"""

import logging
from collections import Counter
from collections.abc import Callable
from queue import Full, Queue
from threading import Event, Lock
from time import perf_counter
from typing import Any, TYPE_CHECKING

import orjson

from mlops_ladder.serving.assignment import CANDIDATE, Candidate, CHAMPION
from mlops_ladder.serving.events import Record, Served
from mlops_ladder.serving.model_reloader import Champion
from mlops_ladder.serving.prediction_log import PredictionLog, Store
from mlops_ladder.settings import Settings

if TYPE_CHECKING:
    from mlops_ladder.serving.canary import Asked

LOG = logging.getLogger(__name__)
REFUSED = 422  # by the contract of a model, which may refuse more than that of the other


class Notes:
    """An observer that notes what came of a request, by arm, and asks the shadow.

    `taken` gives who was chosen to answer a request.
    """

    name = "rollout"

    def __init__(
        self, settings: Settings, candidate: Candidate, taken: "Callable[[str], Asked | None]"
    ) -> None:
        self._settings, self._candidate, self._taken = settings, candidate, taken
        self._count: Counter[str] = Counter()
        self._log: PredictionLog | None = None
        self._lock, self._ended = Lock(), Event()
        self._shadow: Queue[tuple[Asked, Served] | None] = Queue(settings.rollout.capacity)

    def __call__(self, event: Served) -> None:
        """Note a request that a model has answered, or could not; then ask the shadow."""
        asked = self._taken(event.request_id)
        if not asked or 400 <= event.status < 500 and event.status != REFUSED:
            return
        stood_in = any("fallback" in answer for answer in event.answers)
        self._note(asked, event, asked.arm, asked.lost or event.status != 200 or stood_in)
        if asked.plan.shadow and event.status == 200:
            try:
                self._shadow.put_nowait((asked, event))
            except Full:
                self._count["dropped"] += 1

    def _note(self, asked: "Asked", event: Served, arm: str, failed: bool) -> None:
        plan = asked.plan
        known = {"rollout": plan.rollout, "step": plan.step, "unit": asked.unit, "arm": arm}
        known |= {"failed": failed, "shadow": plan.shadow and arm == CANDIDATE}
        with self._lock:  # the shadow is a thread of its own
            self._count[arm] += 1
            self._count["failed"] += failed and arm == CANDIDATE
            self._log = self._log or opened_log(self._settings)
            self._log.put(event, lambda event: noted(event, known))

    def answer(self) -> None:
        """Answer in the shadow, one request after the other, until the end."""
        while (waits := self._shadow.get()) and not self._ended.is_set():
            asked, event = waits
            said = shadowed(asked.candidate, event)
            self._note(asked, said, CANDIDATE, said.status != 200)

    def follow(self) -> None:
        """Look for a plan, again and again, until the end."""
        self._candidate.look()
        while not self._ended.wait(self._settings.serving.poll_seconds):
            self._candidate.look()

    def counts(self) -> dict[str, int]:
        """The version of the plan, its share in percent, and the requests of each arm."""
        plan = self._candidate.plan
        if not plan:
            return {"version": 0}
        shown = {"version": int(plan.version), "percent": round(100 * plan.share)}
        names = (CHAMPION, CANDIDATE, "failed", "dropped")
        return shown | {"shadow": int(plan.shadow)} | {name: self._count[name] for name in names}

    def close(self) -> None:
        """Write what is noted.  What waits in the shadow is not answered any more."""
        self._ended.set()
        if self._shadow.empty():
            self._shadow.put(None)
        with self._lock:
            log = self._log
        if log:
            log.close()


def shadowed(candidate: Champion | None, event: Served) -> Served:
    """What a candidate says of a request that is answered: as the champion read it."""
    started, answers, status = perf_counter(), list[dict[str, Any]](), 200
    try:
        if not candidate:
            raise ValueError("the candidate cannot be loaded")
        answers = candidate.model.answers(list(event.rows))
    except Exception as error:  # pylint: disable=broad-exception-caught  # whatever a model raises
        LOG.warning("in the shadow: %s", str(error).partition("\n")[0])
        status = 500
    seconds = perf_counter() - started
    return event._replace(status=status, seconds=seconds, answers=answers)


def noted(event: Served, known: dict[str, Any]) -> Record:
    """A request as a row of the table of arms."""
    return known | {
        "request_id": event.request_id,
        "time": event.time,
        "output": orjson.dumps(event.answers).decode(),
        "rows": len(event.rows),
        "latency_ms": round(event.seconds * 1000, 3),
    }


def opened_log(settings: Settings) -> PredictionLog:
    """The table of arms, beside the prediction log, written as that is."""

    def store() -> Store:
        # pylint: disable=import-outside-toplevel  # 0.3 s that nobody need wait for
        from mlops_ladder.serving.store import Store as Database
        from mlops_ladder.serving.variant_log import ARMS

        return Database(settings.serving.log, ARMS)

    return PredictionLog(store, settings.serving.log_capacity)
