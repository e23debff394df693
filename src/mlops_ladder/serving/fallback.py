"""A stand-in that answers if no model can, a switch that puts it in, and a mark on strange rows.

While the file of the switch exists (`make off`), the stand-in answers every request.
"""

import logging
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from fastapi import FastAPI, HTTPException, Request

from mlops_ladder import ProjectError
from mlops_ladder.data.columns import Row
from mlops_ladder.data.contract import Contract
from mlops_ladder.export.runtime import BUNDLE, LoadedModel, read_bundle
from mlops_ladder.serving.events import PredictionEvent
from mlops_ladder.serving.model_reloader import FOLDER, ModelReloader, ModelWithBackup, ServedModel
from mlops_ladder.serving.reference_loader import load_reference, Reference
from mlops_ladder.serving.schemas import FLAGS, Types
from mlops_ladder.settings import Settings

LOG = logging.getLogger(__name__)
OFF = "the model is switched off and has no stand-in; to switch it on: make on"


class StandIn(LoadedModel):
    """Answers each row with the `instead` of its bundle; 503 if that is empty."""

    @classmethod
    def from_bundle(cls, bundle: dict[str, Any], instead: dict[str, Any]) -> "StandIn":
        """Return the stand-in of the model of a bundle."""
        changed = {"model_version": f"fallback-{bundle['model_version']}", "instead": instead}
        return cls(bundle | changed, Contract(**bundle["contract"]), lambda _: ([], None))

    def answers(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Return the same answer to each row, marked."""
        instead = self.bundle["instead"]
        if not instead:
            raise HTTPException(503, OFF)
        return [instead | {"fallback": True} for _ in rows]


@dataclass(frozen=True)
class GuardedModel(ModelWithBackup):
    """A model for one request: it marks strange rows, and its stand-in answers if it fails."""

    reference: Reference = Reference()

    def answers(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Return the answers of the model, or of a stand-in that has an answer."""
        has_stand_in = self.backup.bundle["instead"]
        answers = super().answers(rows) if has_stand_in else self.model.answers(rows)
        for number, _ in () if self.failures else self.reference.find_outside(rows):
            answers[number]["abstain"] = True
        return answers


class Safeguard(NamedTuple):
    """The stand-in for the model of a bundle, and the reference by which rows are strange."""

    bundle: dict[str, Any]
    stand_in: StandIn
    reference: Reference


class FallbackSelector:
    """Selects the champion, guarded; or its stand-in; or the stand-in of the newest bundle.

    The folder is read when the champion changes, and as often as the service polls.  A rollout has
    two models that take turns, so two safeguards are kept.  With `marks`, strange rows are marked.
    """

    def __init__(self, settings: Settings, folder: Path = FOLDER) -> None:
        self._settings, self._folder = settings, folder
        self.marks = settings.fallback.abstain
        self._is_off, self._due, self._lacks_model = False, 0.0, False
        self._times: dict[Path, int] = {}
        self._newest: ServedModel | None = None
        self._safeguards: dict[str, Safeguard] = {}

    def __call__(self, _: Request, __: str, served: ServedModel | None) -> ServedModel | None:
        """Return the model that answers a request."""
        return self.select(served)

    def select(self, served: ServedModel | None) -> ServedModel | None:
        """Return the model that answers instead of this one, or safeguards it."""
        if monotonic() >= self._due or self._lacks_model != (served is None):
            self._is_off = Path(self._settings.fallback.switch).exists()
            self._lacks_model = served is None
            if self._lacks_model:
                self._find_newest()
            self._due = monotonic() + self._settings.serving.poll_seconds
        if not served:
            return self._newest
        safeguard = self._safeguards.get(served.number)
        if not safeguard or safeguard.bundle is not served.model.bundle:
            safeguard = self._add_safeguard(served)
        model: LoadedModel = safeguard.stand_in
        if not self._is_off:
            own = served.model.bundle, served.model.contract, served.model.scores
            pair = served.model, safeguard.stand_in
            model = GuardedModel(*own, *pair, reference=safeguard.reference)
        return replace(served, model=model)

    def _add_safeguard(self, served: ServedModel) -> Safeguard:
        fallback, bundle = self._settings.fallback, served.model.bundle
        reference = load_reference(self._folder / served.number, bundle, fallback.margin)
        stand_in = StandIn.from_bundle(bundle, reference.fallback if fallback.enabled else {})
        safeguard = Safeguard(bundle, stand_in, reference if fallback.abstain else Reference())
        self._safeguards = dict([*self._safeguards.items()][-1:]) | {served.number: safeguard}
        return safeguard

    def _find_newest(self) -> None:
        """Find the newest bundle with a stand-in, if a bundle has changed."""
        times = {path.parent: path.stat().st_mtime_ns for path in self._folder.glob(f"*/{BUNDLE}")}
        if times != self._times:
            newest_first = sorted(times, key=times.__getitem__, reverse=True)
            self._newest = next(filter(None, map(self._load_stand_in, newest_first)), None)
        self._times = times

    def _load_stand_in(self, folder: Path) -> ServedModel | None:
        max_rows = self._settings.serving.max_rows_per_request
        try:
            bundle = read_bundle(folder)
            instead = load_reference(folder, bundle).fallback
            model = StandIn.from_bundle(bundle, instead)
            types = Types.from_contract(model.contract, bundle["classes"] or (), max_rows)
        except (ProjectError, KeyError, TypeError, ValueError) as error:
            LOG.error("no stand-in: %s: %s", folder, error)
            return None
        is_wanted = instead and self._settings.fallback.enabled
        return ServedModel(folder.name, "", model, types) if is_wanted else None


class FallbackCounts:
    """An observer: `/health` shows whether a stand-in answers, and how many rows were marked."""

    name = "fallback"

    def __init__(self, selector: FallbackSelector, reloader: ModelReloader) -> None:
        self._selector, self._reloader = selector, reloader
        self._rows: Counter[str] = Counter()

    def __call__(self, event: PredictionEvent) -> None:
        """Count the rows that are marked."""
        for flag in FLAGS:
            self._rows[flag] += sum(flag in answer for answer in event.answers)

    def counts(self) -> dict[str, int]:
        """Return `answering`, 1 while a stand-in answers, and the number of rows by their mark."""
        served = self._selector.select(self._reloader.current)
        is_answering = served is not None and bool(served.model.bundle.get("instead"))
        return {"answering": int(is_answering)} | {flag: self._rows[flag] for flag in FLAGS}

    def close(self) -> None:
        """Do nothing: there is nothing to finish."""


def report_fallback(app: FastAPI, _: Settings) -> None:
    """Let `/health` show whether a stand-in answers."""
    for selector in app.state.selectors:
        if isinstance(selector, FallbackSelector):
            app.state.observers.append(FallbackCounts(selector, app.state.reloader))
