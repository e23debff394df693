"""A stand-in where no model can answer, a switch that puts it in, and a mark on strange rows.

While the file of the switch is there (`make off`), the stand-in answers every request.
"""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, NoReturn

from fastapi import FastAPI, HTTPException, Request

from mlops_ladder import ProjectError
from mlops_ladder.data.columns import Row
from mlops_ladder.data.contract import Contract
from mlops_ladder.export.runtime import BUNDLE, Loaded, read_bundle
from mlops_ladder.serving.events import Served
from mlops_ladder.serving.model_reloader import Champion, Covered, FOLDER, Follower
from mlops_ladder.serving.reference_loader import Reference, reference
from mlops_ladder.serving.schemas import FLAGS, Types
from mlops_ladder.settings import Settings

LOG = logging.getLogger(__name__)
OFF = "the model is switched off, and nothing is known to answer instead; to end that: make on"

Answers = list[dict[str, Any]]


class StandIn(Loaded):
    """Answers each row with what its bundle says under `instead`; 503 where that is nothing."""

    @classmethod
    def of(cls, bundle: dict[str, Any], instead: dict[str, Any]) -> "StandIn":
        """The stand-in of the model of a bundle."""
        named = {"model_version": f"fallback-{bundle['model_version']}", "instead": instead}
        return cls(bundle | named, Contract(**bundle["contract"]), unscored)

    def answers(self, rows: list[Row]) -> Answers:
        """The same answer to each row, marked."""
        instead = self.bundle["instead"]
        if not instead:
            raise HTTPException(503, OFF)
        return [instead | {"fallback": True} for _ in rows]


def unscored(_: list[Row]) -> NoReturn:
    """A stand-in has no scores."""
    raise ProjectError("a stand-in has no model")


@dataclass(frozen=True)
class Guarded(Covered):
    """A model, for one request: it marks strange rows, and a stand-in answers where it fails."""

    strange: Reference = Reference()

    def answers(self, rows: list[Row]) -> Answers:
        """The answers of the model, or of its stand-in if that has something to say."""
        guarded = self.cover.bundle["instead"]
        answers = super().answers(rows) if guarded else self.model.answers(rows)
        for place, _ in () if self.failed else self.strange.outside(rows):
            answers[place]["abstain"] = True
        return answers


class Prepared(NamedTuple):
    """What stands in for the model of a bundle, and what is strange to it."""

    bundle: dict[str, Any]
    stand_in: StandIn
    strange: Reference


class Choice:
    """Who answers a request: the champion, guarded; its stand-in; None where nothing is known.

    It looks at the folder when the champion changes, and as often as the service looks for one.
    Two models may take turns: what is known of both is kept.  Whether answers to strange rows are
    marked, `marks` says.
    """

    def __init__(self, settings: Settings, folder: Path = FOLDER) -> None:
        self._settings, self._folder = settings, folder
        self.marks = settings.fallback.abstain
        self._off, self._due, self._without = False, 0.0, False
        self._times: dict[Path, int] = {}
        self._newest: Champion | None = None
        self._prepared: dict[str, Prepared] = {}

    def __call__(self, _: Request, __: str, champion: Champion | None) -> Champion | None:
        """Who answers a request to this champion."""
        return self.of(champion)

    def of(self, champion: Champion | None) -> Champion | None:
        """Who answers instead of this champion, or as it."""
        if monotonic() >= self._due or self._without != (champion is None):
            self._look(champion is None)
        if not champion:
            return self._newest
        model = champion.model
        known = self._prepared.get(champion.number)
        if not known or known.bundle is not model.bundle:
            known = self._prepare(champion)
        answering: Loaded = known.stand_in
        if not self._off:
            parts = model.bundle, model.contract, model.scores
            answering = Guarded(*parts, model, known.stand_in, strange=known.strange)
        return Champion(champion.number, champion.run_id, answering, champion.types)

    def _look(self, without: bool) -> None:
        self._off = Path(self._settings.fallback.switch).exists()
        if without:
            self._search()
        self._without = without
        self._due = monotonic() + self._settings.serving.poll_seconds

    def _prepare(self, champion: Champion) -> Prepared:
        """Know the stand-in of a champion, and what is strange to it."""
        wanted, bundle = self._settings.fallback, champion.model.bundle
        found = reference(self._folder / champion.number, bundle, wanted.margin)
        model = StandIn.of(bundle, found.fallback if wanted.enabled else {})
        known = Prepared(bundle, model, found if wanted.abstain else Reference())
        self._prepared = dict([*self._prepared.items()][-1:]) | {champion.number: known}
        return known

    def _search(self) -> None:
        """Know the stand-in of the newest bundle that has one; nothing where none was changed."""
        times = {path.parent: path.stat().st_mtime_ns for path in self._folder.glob(f"*/{BUNDLE}")}
        if times != self._times:
            places = sorted(times, key=times.__getitem__, reverse=True)
            self._newest = next(filter(None, map(self._known, places)), None)
        self._times = times

    def _known(self, place: Path) -> Champion | None:
        """The stand-in of the bundle in this folder, or None where it has none."""
        try:
            bundle = read_bundle(place)
            contract, instead = Contract(**bundle["contract"]), reference(place, bundle).fallback
            model = StandIn.of(bundle, instead)
            types = Types.of(
                contract, bundle["classes"] or (), self._settings.serving.max_rows_per_request
            )
        except (ProjectError, KeyError, TypeError, ValueError) as error:
            LOG.error("no stand-in: %s: %s", place, error)
            return None
        wanted = instead and self._settings.fallback.enabled
        return Champion(place.name, "", model, types) if wanted else None


class Watch:
    """What `/health` shows: does a stand-in answer, and how many rows it answered or marked."""

    name = "fallback"

    def __init__(self, choice: Choice, follower: Follower) -> None:
        self._choice, self._follower = choice, follower
        self._rows: Counter[str] = Counter()

    def __call__(self, event: Served) -> None:
        """Count the rows that are marked."""
        for name in FLAGS:
            self._rows[name] += sum(name in answer for answer in event.answers)

    def counts(self) -> dict[str, int]:
        """`answering`: 1 while a stand-in does; else rows."""
        chosen = self._choice.of(self._follower.current)
        answering = chosen is not None and bool(chosen.model.bundle.get("instead"))
        return {"answering": int(answering)} | {name: self._rows[name] for name in FLAGS}

    def close(self) -> None:
        """Nothing to finish."""


def opened(settings: Settings) -> Choice:
    """Who answers, as the settings have it."""
    return Choice(settings)


def extend(app: FastAPI, _: Settings) -> None:
    """Let `/health` say whether a stand-in answers."""
    for choice in app.state.choices:
        if isinstance(choice, Choice):
            app.state.observers.append(Watch(choice, app.state.follower))
