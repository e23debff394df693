"""Alike: a worker does a task only where it has the Python, packages, code and settings of here."""

import os
import platform
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlops_ladder import project, ProjectError
from mlops_ladder.data.provenance import needed
from mlops_ladder.data.sources import checksum
from mlops_ladder.settings import files, FOLDER

PACKAGE = Path(__file__).resolve().parents[1]
CODE, SETTINGS = "code of the project", "settings (its *.toml)"


@cache
def facts() -> dict[str, str]:
    """What has to be the same wherever a task is done, for its result to be the same."""
    found = {*Path().glob("*.toml"), *FOLDER.glob("*.toml"), *Path("governance").glob("*.toml")}
    sent = {path for path in files() if path.parent == FOLDER} | {project.PYPROJECT}  # with a task
    here = sorted(found - sent)
    return {
        "Python": platform.python_version(),
        **dict(line.split("==", 1) for line in needed()),
        CODE: checksum(*sorted(PACKAGE.rglob("*.py")), *own_files()),
        SETTINGS: checksum(*here) if here else "none",
    }


def own_files() -> list[Path]:
    """The files of the project's own package."""
    spec = find_spec(project.current().package)
    return sorted(Path(str(spec.origin)).parent.rglob("*.py")) if spec and spec.origin else []


def differences(wanted: dict[str, str], found: dict[str, str]) -> list[str]:
    """What is not the same, in words."""
    return [
        f"other {name}" if name in (CODE, SETTINGS) else f"{name} {found.get(name)}, not {value}"
        for name, value in wanted.items()
        if found.get(name) != value
    ]


def asked(item: Any, wanted: dict[str, str], function: Callable[..., Any], *more: Any) -> Any:
    """What the function says of an item.  ProjectError where this worker is not as is wanted."""
    if found := differences(wanted, facts()):
        where = f"worker {platform.node()}, process {os.getpid()}, in {Path.cwd()}"
        raise ProjectError(f"[scale]: {where}: {'; '.join(found)}; start it in a copy of this one")
    return function(item, *more)


def itself(it: Any) -> Any:
    """What it is given."""
    return it
