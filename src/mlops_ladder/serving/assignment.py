"""Assignment: the plan of a rollout, and the model that it gives to a client.

The same key gets the same model, in every worker and after a restart, without any state; and as a
share grows, a client that had the candidate keeps it.
"""

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from mlops_ladder.export.runtime import LoadedModel
from mlops_ladder.serving.model_reloader import ModelReloader
from mlops_ladder.serving.schemas import Types

PLAN = "rollout.json"
CHAMPION, CANDIDATE = "champion", "candidate"
UNIT_BYTES = 8


class Plan(BaseModel):
    """How the service uses a version beside its champion; it is valid for that champion only.

    `share` of the units is answered by the version.  In the `shadow` no unit is, and the version
    answers for comparison only.  `rollout` names the rollout, `step` the part of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rollout: str
    step: int
    share: float
    shadow: bool
    champion: str
    version: str
    run_id: str
    sha256: str
    key_header: str


def hash_unit(rollout: str, key: str) -> str:
    """Return a pseudonym of the client with this key; it differs between rollouts."""
    salt = blake2b(rollout.encode()).digest()
    return blake2b(key.encode(), digest_size=UNIT_BYTES, key=salt).hexdigest()


def is_in_share(unit: str, share: float) -> bool:
    """Return whether a unit is in this share of all units, which are evenly spread."""
    return int(unit, 16) < share * 2.0 ** (8 * UNIT_BYTES)


class CandidateReloader(ModelReloader):
    """Holds the version of a plan: `current`; and the `plan`, as long as its file exists.

    If the version cannot be loaded, there is a plan without `current`.
    """

    def __init__(
        self, folder: Path, default_types: Types, loading: Callable[[Path], LoadedModel], file: Path
    ) -> None:
        super().__init__(folder, default_types, loading)
        self.file = file
        self.plan: Plan | None = None
        self._read: Plan | None = None

    def refresh(self) -> None:
        """Load the plan and its version; without a plan, hold neither."""
        if self.file.exists():
            super().refresh()
        else:
            self._read, self.last_error = None, None
        if self.last_error or not self._read:
            self.current, self._pointer = None, {}
        self.plan = self._read

    def read_pointer(self) -> dict[str, Any]:
        """Return the version of the plan.  Raise if the file holds no plan."""
        self._read = None
        self._read = Plan.model_validate_json(self.file.read_bytes())
        return self._read.model_dump(include={"version", "run_id", "sha256"})
