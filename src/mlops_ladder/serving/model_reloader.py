"""The model reloader: the service loads a published champion, without a restart."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from mlops_ladder import ProjectError
from mlops_ladder.data.columns import Row
from mlops_ladder.export.runtime import BUNDLE, load_bundle, LoadedModel, read_verified
from mlops_ladder.serving.schemas import Types

FOLDER = Path("models/serving")
POINTER = "champion.json"
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedModel:
    """A model that answers, its number in the registry, and the types of its requests."""

    number: str
    run_id: str
    model: LoadedModel
    types: Types


@dataclass(frozen=True)
class ModelWithBackup(LoadedModel):
    """A model for one request; if it fails, `backup` answers, and `failures` is not empty."""

    model: LoadedModel
    backup: LoadedModel
    failures: list[Exception] = field(default_factory=list)

    @property
    def version(self) -> str:
        """The version of the model that has answered."""
        return self.backup.version if self.failures else self.model.version

    def answers(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Return the answers of the model, or of its backup."""
        try:
            return self.model.answers(rows)
        # pylint: disable-next=broad-exception-caught  # a model can raise any exception
        except Exception as error:
            LOG.exception("model %s failed; %s answers", self.model.version, self.backup.version)
            self.failures.append(error)
            return self.backup.answers(rows)


class ModelReloader:
    """Holds the model that the pointer in a folder names: `current`, or None before the first.

    A request takes `current` once, so that one model with its own types answers it; `default_types`
    are those before the first model.  `last_error` says why the pointer is not followed; meanwhile
    the model before it answers.
    """

    def __init__(
        self,
        folder: Path,
        default_types: Types,
        loading: Callable[[Path], LoadedModel] = load_bundle,
    ) -> None:
        self.folder = folder
        self.current: ServedModel | None = None
        self.last_error: str | None = None
        self._default_types = default_types
        self._load = loading
        self._pointer: dict[str, Any] = {}

    @property
    def types(self) -> Types:
        """The types of the current model; before the first, those of the project's contract."""
        return self.current.types if self.current else self._default_types

    def refresh(self) -> None:
        """Load the model that the pointer names; if that fails, keep the one before."""
        try:
            pointer = self.read_pointer()
            if pointer != self._pointer:
                self.current = self.load_model(pointer)  # one assignment: requests see no mixture
                self._pointer = pointer
                LOG.warning("serving version %s", self.current.number)
            self.last_error = None
        # pylint: disable-next=broad-exception-caught  # loading can raise any exception
        except Exception as error:
            if str(error) != self.last_error:
                LOG.error("not followed: %s", error)
            self.last_error = str(error) or repr(error)

    def read_pointer(self) -> dict[str, Any]:
        """Return the pointer that the registry published last.  Raise ProjectError without one."""
        path = self.folder / POINTER
        if not path.exists():
            raise ProjectError(f"{path}: no champion is published; run `make pipeline`")
        return dict(json.loads(path.read_bytes()))

    def load_model(self, pointer: dict[str, Any]) -> ServedModel:
        """Return the model that a pointer names.  Raise if it is not whole or does not answer."""
        folder = self.folder / str(pointer["version"])
        read_verified(folder / BUNDLE, pointer["sha256"], POINTER)
        model, max_rows = self._load(folder), self._default_types.max_rows
        types = Types.from_contract(model.contract, model.bundle["classes"] or (), max_rows)
        rows, _ = types.parse_rows(orjson.dumps(types.example))
        model.answers(rows)  # it must answer; and the first answer is slow
        return ServedModel(str(pointer["version"]), str(pointer["run_id"]), model, types)

    async def poll(self, seconds: float) -> None:
        """Refresh again and again, beside the requests."""
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.refresh)
