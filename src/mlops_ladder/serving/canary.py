"""The canary: two models in one process, each with its share of the clients, or one in the shadow.

No client pays for a candidate: where it fails, the champion answers in its place.  In the shadow it
answers after the client was answered, or not at all where it cannot keep up.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from pathlib import Path
from queue import Full, Queue
from threading import Event, Lock, Thread
from time import perf_counter
from typing import Any, NamedTuple

import orjson
from fastapi import FastAPI, Request

from mlops_ladder.export.runtime import load, Loaded
from mlops_ladder.serving.assignment import CANDIDATE, Candidate, CHAMPION, drawn, PLAN, Plan, unit
from mlops_ladder.serving.events import Record, Served
from mlops_ladder.serving.model_reloader import Champion, Covered, FOLDER
from mlops_ladder.serving.prediction_log import opened as open_log, PredictionLog
from mlops_ladder.settings import Settings

LOG = logging.getLogger(__name__)
REFUSED = 422  # by the contract of a model, which may refuse more than that of the other
LOG = logging.getLogger(__name__)
MOST = 10_000  # requests under way that are remembered


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
            self._log = self._log or open_log(self._settings, "ARMS")
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


class Asked(NamedTuple):
    """A request of a unit to an arm, and the candidate: None where it cannot be loaded."""

    plan: Plan
    unit: str
    arm: str
    candidate: Champion | None = None
    covered: Covered | None = None

    @property
    def lost(self) -> bool:
        """Should the candidate have answered, and has not?"""
        return self.arm == CANDIDATE and (not self.covered or bool(self.covered.failed))


class Router:
    """Chooses who answers a request, and remembers it until the request is answered.

    The champion does without a plan, and beside another champion than the plan's.
    """

    def __init__(self, folder: Path = FOLDER, loading: Callable[[Path], Loaded] = load) -> None:
        self.candidate: Candidate | None = None
        self.folder, self.loading = folder, loading
        self._asked: OrderedDict[str, Asked] = OrderedDict()

    def __call__(self, request: Request, number: str, champion: Champion | None) -> Champion | None:
        """The champion, or the candidate where the unit of this request is drawn."""
        plan = self.candidate.plan if self.candidate else None
        if not plan or not champion or champion.number != plan.champion:
            return champion
        assert self.candidate
        candidate = self.candidate.current
        name = unit(plan.rollout, request.headers.get(plan.key_header) or number)
        if plan.shadow or not drawn(name, plan.share):
            return self._remembered(number, Asked(plan, name, CHAMPION, candidate), champion)
        if not candidate:
            return self._remembered(number, Asked(plan, name, CANDIDATE), champion)
        model = candidate.model
        covered = Covered(model.bundle, model.contract, model.scores, model, champion.model)
        chosen = Champion(candidate.number, candidate.run_id, covered, candidate.types)
        return self._remembered(number, Asked(plan, name, CANDIDATE, candidate, covered), chosen)

    def _remembered(self, number: str, asked: Asked, chosen: Champion) -> Champion:
        self._asked[number] = asked
        if len(self._asked) > MOST:  # of clients that went away
            self._asked.popitem(last=False)
        return chosen

    def taken(self, number: str) -> Asked | None:
        """Who was chosen to answer this request; it is remembered no longer."""
        return self._asked.pop(number, None) if self._asked else None


def opened(_: Settings) -> Router:
    """Who answers; nobody but the champion until `extend` has it follow a plan."""
    return Router()


def extend(app: FastAPI, settings: Settings) -> None:
    """Have the service follow the plan of a rollout, note what comes of it, and tell `/health`."""
    for router in app.state.choices:
        if isinstance(router, Router):
            found = router.folder, app.state.follower.types, router.loading
            router.candidate = Candidate(*found, settings.rollout.plans / PLAN)
            notes = Notes(settings, router.candidate, router.taken)
            app.state.observers.append(notes)
            for run in (notes.follow, notes.answer):
                Thread(target=run, name=f"rollout {run.__name__}", daemon=True).start()
