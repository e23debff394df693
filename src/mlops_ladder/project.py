"""Whose project this is: what `[tool.mlops-ladder]` of its pyproject.toml says."""

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mlops_ladder.errors import ProjectError

PYPROJECT = Path("pyproject.toml")
MODES = ("both", "api", "batch")


@dataclass(frozen=True)
class Project:
    """The names of a project, and how much of the ladder it has climbed.

    `package` is the folder in `src` with the project's own code; its name begins settings in the
    environment and names the registered model.  `deploy` is where the service runs; `people`:
    predictions are about persons; `serve`: predictions come from a service ("api"), in batches
    ("batch"), or "both".
    """

    package: str
    level: int
    deploy: str = "compose"
    people: bool = False
    serve: str = "both"

    @property
    def has_service(self) -> bool:
        """Return whether its predictions come from a service, not only in batches."""
        return self.serve != "batch"

    @property
    def predict_target(self) -> str:
        """Return the target of the Makefile that predicts with a new champion."""
        return "serve" if self.has_service else "predict"

    @property
    def prefix(self) -> str:
        """Return the prefix of the settings in the environment."""
        return f"{self.package}_".upper()

    @property
    def namespace(self) -> str:
        """Return the prefix of the names of its namespaces."""
        return self.package.replace("_", "-").strip("-")


def get_project() -> Project:
    """Return the project of the current folder.  Raise ProjectError if there is none."""
    return read_project(Path.cwd())


@lru_cache(maxsize=16)
def read_project(folder: Path) -> Project:
    """Return the project in a folder.

    Raises ProjectError if there is no pyproject.toml, or `[tool.mlops-ladder]` is not valid.
    """
    path = folder / PYPROJECT
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))["tool"]["mlops-ladder"]
        deploy, people = str(table.get("deploy", "")), bool(table.get("people"))
        serve = MODES[MODES.index(table.get("serve", "both"))]
        return Project(str(table["package"]), int(table["level"]), deploy, people, serve)
    except FileNotFoundError as error:
        fault = f"not in {folder}; run this in the project's folder"
        raise ProjectError(f"{PYPROJECT}: {fault}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"{PYPROJECT}: not valid TOML: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        fault = "needs package = the folder in src, level = 0 to 4; serve is both, api or batch"
        raise ProjectError(f"{PYPROJECT}: [tool.mlops-ladder] {fault}") from error
