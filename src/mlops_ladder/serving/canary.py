"""The canary: two models in one process, each for a share of the clients, or one in the shadow.

No client pays for a candidate: if it fails, the champion answers in its place.  In the shadow the
candidate answers after the client has its answer, and skips requests if it cannot keep up.
"""

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import Full, Queue
from threading import Event, Lock, Thread
from time import perf_counter
from typing import Any, NamedTuple

from fastapi import FastAPI, Request

from mlops_ladder.export.runtime import load_bundle, LoadedModel
from mlops_ladder.serving.assignment import (
    CANDIDATE,
    CandidateReloader,
    CHAMPION,
    hash_unit,
    is_in_share,
    PLAN,
    Plan,
)
from mlops_ladder.serving.events import PredictionEvent
from mlops_ladder.serving.model_reloader import FOLDER, ModelWithBackup, ServedModel
from mlops_ladder.serving.prediction_log import (
    create_prediction_log,
    describe_output,
    PredictionLog,
)
from mlops_ladder.settings import Settings

LOG = logging.getLogger(__name__)
CONTRACT_VIOLATION = 422  # one model's contract may refuse more than the other's
MAX_REQUESTS = 10_000  # open requests that are remembered


class Assignment(NamedTuple):
    """A request of a unit to a variant, and the candidate: None if it cannot be loaded."""

    plan: Plan
    unit: str
    variant: str
    candidate: ServedModel | None = None
    attempt: ModelWithBackup | None = None

    @property
    def has_failed(self) -> bool:
        """Whether the candidate should have answered, and has not."""
        return self.variant == CANDIDATE and not (self.attempt and not self.attempt.failures)


class RolloutSelector:
    """Selects the variant for a request, and remembers it until the request is answered.

    Without a plan, or if the plan is for another champion, the champion answers.
    """

    def __init__(
        self, folder: Path = FOLDER, loading: Callable[[Path], LoadedModel] = load_bundle
    ) -> None:
        self.candidate: CandidateReloader | None = None
        self.folder, self.loading = folder, loading
        self._assignments: OrderedDict[str, Assignment] = OrderedDict()

    def __call__(
        self, request: Request, request_id: str, champion: ServedModel | None
    ) -> ServedModel | None:
        """Return the champion, or the candidate if the unit of this request is in its share."""
        plan = self.candidate.plan if self.candidate else None
        if not self.candidate or not plan or not champion or champion.number != plan.champion:
            return champion
        candidate, selected, attempt = self.candidate.current, champion, None
        unit = hash_unit(plan.rollout, request.headers.get(plan.key_header) or request_id)
        is_chosen = not plan.shadow and is_in_share(unit, plan.share)
        if is_chosen and candidate:
            model = candidate.model
            own = model.bundle, model.contract, model.scores
            attempt = ModelWithBackup(*own, model, champion.model)
            selected = replace(candidate, model=attempt)
        variant = CANDIDATE if is_chosen else CHAMPION
        self._assignments[request_id] = Assignment(plan, unit, variant, candidate, attempt)
        if len(self._assignments) > MAX_REQUESTS:  # disconnected clients leave theirs
            self._assignments.popitem(last=False)
        return selected

    def pop_assignment(self, request_id: str) -> Assignment | None:
        """Return the assignment of a request, and forget it."""
        return self._assignments.pop(request_id, None) if self._assignments else None


class VariantLog:
    """An observer that logs each request of a rollout with its variant, and runs the shadow."""

    name = "rollout"

    def __init__(
        self, settings: Settings, candidate: CandidateReloader, selector: RolloutSelector
    ) -> None:
        self._settings, self._candidate, self._selector = settings, candidate, selector
        self._count: Counter[str] = Counter()
        self._log: PredictionLog | None = None
        self._lock, self._ended = Lock(), Event()
        self._shadow: Queue[Any] = Queue(settings.rollout.capacity)  # assignments with events

    def __call__(self, event: PredictionEvent) -> None:
        """Log a request that a model has answered or failed to answer; queue it for the shadow."""
        assignment = self._selector.pop_assignment(event.request_id)
        is_refused = 400 <= event.status < 500 and event.status != CONTRACT_VIOLATION
        if not assignment or is_refused:
            return
        stood_in = any("fallback" in answer for answer in event.answers)
        has_failed = assignment.has_failed or event.status != 200 or stood_in
        self._write(assignment, event, assignment.variant, has_failed)
        if assignment.plan.shadow and event.status == 200:
            try:
                self._shadow.put_nowait((assignment, event))
            except Full:
                self._count["dropped"] += 1

    def _write(
        self, assignment: Assignment, event: PredictionEvent, variant: str, has_failed: bool
    ) -> None:
        plan = assignment.plan
        record = {"rollout": plan.rollout, "step": plan.step, "unit": assignment.unit}
        record |= {"shadow": plan.shadow and variant == CANDIDATE}
        record |= {"arm": variant, "failed": has_failed}
        with self._lock:  # the shadow is a thread of its own
            self._count[variant] += 1
            self._count["failed"] += has_failed and variant == CANDIDATE
            self._log = self._log or create_prediction_log(self._settings, "VARIANTS")
            self._log.put(event, lambda event: record | describe_output(event))

    def run_shadow(self) -> None:
        """Let the candidate answer queued requests, one after the other, until the end."""
        while (queued := self._shadow.get()) and not self._ended.is_set():
            assignment, event = queued
            shadow = answer_in_shadow(assignment.candidate, event)
            self._write(assignment, shadow, CANDIDATE, shadow.status != 200)

    def poll_plan(self) -> None:
        """Refresh the plan again and again, until the end."""
        self._candidate.refresh()
        while not self._ended.wait(self._settings.serving.poll_seconds):
            self._candidate.refresh()

    def counts(self) -> dict[str, int]:
        """Return version and share of the plan, and the requests of each variant."""
        plan = self._candidate.plan
        if not plan:
            return {"version": 0}
        shown = {"version": int(plan.version), "percent": round(100 * plan.share)}
        names = (CHAMPION, CANDIDATE, "failed", "dropped")
        return shown | {"shadow": int(plan.shadow)} | {name: self._count[name] for name in names}

    def close(self) -> None:
        """Write the log.  Requests that still wait for the shadow are dropped."""
        self._ended.set()
        if self._shadow.empty():
            self._shadow.put(None)
        with self._lock:
            if self._log:
                self._log.close()


def answer_in_shadow(candidate: ServedModel | None, event: PredictionEvent) -> PredictionEvent:
    """Return the candidate's answer to a request, with the rows as the champion read them."""
    started, answers, status = perf_counter(), list[dict[str, Any]](), 200
    try:
        if not candidate:
            raise ValueError("the candidate cannot be loaded")
        answers = candidate.model.answers(list(event.rows))
    except Exception as error:  # pylint: disable=broad-exception-caught  # models raise anything
        LOG.warning("in the shadow: %s", str(error).partition("\n")[0])
        status = 500
    seconds = perf_counter() - started
    return event._replace(status=status, seconds=seconds, answers=answers)


def create_rollout_selector(_: Settings) -> RolloutSelector:
    """Return a selector that has no candidate until `follow_rollout` gives it one."""
    return RolloutSelector()


def follow_rollout(app: FastAPI, settings: Settings) -> None:
    """Let the service follow the plan of a rollout, log its variants, and show it at `/health`."""
    for selector in app.state.selectors:
        if isinstance(selector, RolloutSelector):
            own = selector.folder, app.state.reloader.types, selector.loading
            selector.candidate = CandidateReloader(*own, settings.rollout.plans / PLAN)
            log = VariantLog(settings, selector.candidate, selector)
            app.state.observers.append(log)
            for run in (log.poll_plan, log.run_shadow):
                Thread(target=run, name=f"rollout {run.__name__}", daemon=True).start()
