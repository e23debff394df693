"""The canary: two models in one process, each with its share of the clients, or one in the shadow.

No client pays for a candidate: where it fails, the champion answers in its place.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

from fastapi import FastAPI, Request

from mlops_ladder.data.columns import Row
from mlops_ladder.export.runtime import load, Loaded
from mlops_ladder.serving.assignment import CANDIDATE, Candidate, CHAMPION, drawn, PLAN, Plan, unit
from mlops_ladder.serving.model_reloader import Champion, FOLDER
from mlops_ladder.serving.shadow import Notes
from mlops_ladder.settings import Settings

LOG = logging.getLogger(__name__)
MOST = 10_000  # requests under way that are remembered


@dataclass(frozen=True)
class Covered(Loaded):
    """A candidate for one request; where it fails, the champion answers, and `failed` says so."""

    model: Loaded
    champion: Loaded
    failed: list[bool] = field(default_factory=list)

    @property
    def version(self) -> str:
        """The name of what has answered."""
        return self.champion.version if self.failed else self.model.version

    def answers(self, rows: list[Row]) -> list[dict[str, Any]]:
        """The answers of the candidate, or of the champion."""
        try:
            return self.model.answers(rows)
        except Exception:  # pylint: disable=broad-exception-caught  # whatever a model raises
            LOG.exception("the candidate failed; the champion answers")
            self.failed.append(True)
            return self.champion.answers(rows)


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
