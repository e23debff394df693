"""Assignment: which of two models answers whom, and the plan that says so.

The same key gets the same model, at every worker and after a restart, without anything that is
kept; and as a share grows, whoever had the candidate keeps it.
"""

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from mlops_ladder.export.runtime import Loaded
from mlops_ladder.serving.model_reloader import Follower
from mlops_ladder.serving.schemas import Types

PLAN = "rollout.json"
CHAMPION, CANDIDATE = "champion", "candidate"
BYTES = 8


class Plan(BaseModel):
    """How the service is to use a version beside its champion; it holds for that champion alone.

    `share` of the units is answered by the version; in the `shadow` none is, and it answers all the
    same, for comparison.  `rollout` names the whole, `step` this part of it.
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


def unit(rollout: str, key: str) -> str:
    """Whoever sends this key, by another name in each rollout: nobody reads the key from it."""
    salt = blake2b(rollout.encode()).digest()
    return blake2b(key.encode(), digest_size=BYTES, key=salt).hexdigest()


def drawn(name: str, share: float) -> bool:
    """Does a share of all units, evenly spread, hold this one?"""
    return int(name, 16) < share * 2.0 ** (8 * BYTES)


class Candidate(Follower):
    """Holds the version of a plan: `current`; and `plan`, as long as its file is there.

    A plan whose version cannot be loaded is a plan all the same, without `current`.
    """

    def __init__(
        self, folder: Path, unserved: Types, loading: Callable[[Path], Loaded], file: Path
    ) -> None:
        super().__init__(folder, unserved, loading)
        self.file = file
        self.plan: Plan | None = None
        self._read: Plan | None = None

    def look(self) -> None:
        """Know the plan and its version; without a plan, neither."""
        if self.file.exists():
            super().look()
            if self.trouble:
                self.current, self._followed = None, {}
        else:
            self._read, self.current, self.trouble, self._followed = None, None, None, {}
        self.plan = self._read

    def pointer(self) -> dict[str, Any]:
        """The version of the plan.  Raises where the file holds no plan."""
        self._read = None
        self._read = Plan.model_validate_json(self.file.read_bytes())
        return self._read.model_dump(include={"version", "run_id", "sha256"})
