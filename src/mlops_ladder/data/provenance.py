"""Provenance: the commit, data, lock and packages that a model comes from."""

import os
import subprocess
import tomllib
from importlib.metadata import distributions, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from mlops_ladder import ProjectError
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.data.sources import compute_sha256
from mlops_ladder.project import PYPROJECT
from mlops_ladder.settings import Settings

LIBRARY, LOCK = "mlops-ladder", Path("uv.lock")
UNKNOWN = "unknown"


def run_git(*arguments: str) -> str | None:
    """Return the output of git; None without a repository, a commit or git."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def get_provenance_tags(settings: Settings) -> dict[str, str]:
    """Return the five tags of the origin of a run: commit, tree, data, lock, seed."""
    commit, changes = run_git("rev-parse", "HEAD"), run_git("status", "--porcelain")
    if commit is None and (built := os.environ.get("SOURCE_COMMIT")):
        commit, changes = built, ""  # an image holds a commit, and no repository
    try:
        data = compute_sha256(*list_data_files(settings.data.path))
    except ProjectError:  # read_data() reads from elsewhere
        data = UNKNOWN
    return {
        "git.commit": commit or UNKNOWN,
        "git.dirty": UNKNOWN if changes is None else str(bool(changes)).lower(),
        "data.sha256": data,
        "env.lock_sha256": compute_sha256(LOCK) if LOCK.exists() else UNKNOWN,
        "seed": str(settings.seed),
    }


def list_requirements() -> list[str]:
    """Return the packages that this project and the library require, with installed versions.

    The library is not among them: the code that a model needs of it is saved with the model.
    """
    lines = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["dependencies"]
    needs = [Requirement(line) for line in [*(requires(LIBRARY) or []), *lines]]
    names = {need.name for need in needs if not need.marker or need.marker.evaluate({"extra": ""})}
    return [f"{name}=={version(name)}" for name in sorted(names - {LIBRARY})]


def list_packages() -> list[str]:
    """Return every installed package with its version, sorted."""
    return sorted({f"{package.name.lower()}=={package.version}" for package in distributions()})
