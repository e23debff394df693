"""Following: the published champion, served as soon as it is whole, without a restart."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from mlops_ladder import ProjectError
from mlops_ladder.data.columns import Row
from mlops_ladder.export.runtime import BUNDLE, load, Loaded
from mlops_ladder.serving.schemas import Types

FOLDER = Path("models/serving")
POINTER = "champion.json"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Champion:
    """A model that serves, its number in the registry, and the types of its requests."""

    number: str
    run_id: str
    model: Loaded
    types: Types


@dataclass(frozen=True)
class Covered(Loaded):
    """A model for one request; where it fails, `cover` answers, and `failed` says so."""

    model: Loaded
    cover: Loaded
    failed: list[bool] = field(default_factory=list)

    @property
    def version(self) -> str:
        """The name of what has answered."""
        return self.cover.version if self.failed else self.model.version

    def answers(self, rows: list[Row]) -> list[dict[str, Any]]:
        """The answers of the model, or of its cover."""
        try:
            return self.model.answers(rows)
        except Exception:  # pylint: disable=broad-exception-caught  # whatever a model raises
            LOG.exception("model %s failed; %s answers", self.model.version, self.cover.version)
            self.failed.append(True)
            return self.cover.answers(rows)


class Follower:
    """Holds the champion that the pointer in a folder names: `current`, or None before the first.

    A request takes `current` once, so that it meets one model with its own types; `unserved` are
    those before the first.  `trouble` says why the pointer is not followed; the model before it
    then serves on.
    """

    def __init__(
        self, folder: Path, unserved: Types, loading: Callable[[Path], Loaded] = load
    ) -> None:
        self.folder = folder
        self.current: Champion | None = None
        self.trouble: str | None = None
        self._unserved = unserved
        self._load = loading
        self._followed: dict[str, Any] = {}

    @property
    def types(self) -> Types:
        """The types of the champion; without one, those of the project's contract."""
        return self.current.types if self.current else self._unserved

    def look(self) -> None:
        """Serve what the pointer names; where that cannot be, go on as before and say why."""
        try:
            pointer = self.pointer()
            if pointer != self._followed:
                self.current = self.champion(pointer)  # one assignment: no request sees a half
                self._followed = pointer
                LOG.warning("serving version %s", self.current.number)
            self.trouble = None
        except Exception as error:  # pylint: disable=broad-exception-caught  # whatever is broken
            if str(error) != self.trouble:
                LOG.error("not followed: %s", error)
            self.trouble = str(error) or repr(error)

    def pointer(self) -> dict[str, Any]:
        """What the registry published last.  Raises ProjectError where that is nothing."""
        path = self.folder / POINTER
        if not path.exists():
            raise ProjectError(f"{path}: no champion is published; run `make pipeline`")
        return dict(json.loads(path.read_bytes()))

    def champion(self, pointer: dict[str, Any]) -> Champion:
        """The model that a pointer names, whole and answering.  Raises where it is not."""
        folder = self.folder / str(pointer["version"])
        found = sha256((folder / BUNDLE).read_bytes()).hexdigest()
        if found != pointer["sha256"]:
            raise ProjectError(
                f"{folder / 'bundle.json'}: sha256 is {found[:12]}…, published was"
                f" {pointer['sha256'][:12]}…; publish it again: `make pipeline` or `make rollback`"
            )
        model = self._load(folder)
        types = Types.of(model.contract, model.bundle["classes"] or (), self._unserved.limit)
        rows, _ = types.read(orjson.dumps(types.example))
        model.answers(rows)  # it does answer, and the first time is slow
        return Champion(str(pointer["version"]), str(pointer["run_id"]), model, types)

    async def follow(self, seconds: float) -> None:
        """Look again and again, beside the requests."""
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.look)
