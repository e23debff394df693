"""A strict record, and TOML files that are read into one."""

import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_ladder.errors import ProjectError


class StrictModel(BaseModel):
    """A table of a TOML file, or a record: frozen, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Kind = TypeVar("Kind", bound=StrictModel)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.  Raise ProjectError if it is not valid."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path}: not valid TOML: {error}") from error


def list_faults(error: ValidationError) -> list[str]:
    """Return a line for each value that is wrong: its key, itself, and the reason."""
    faults = []
    for fault in error.errors():
        key = f"{'.'.join(map(str, fault['loc']))} = {fault['input']!r}: " if fault["loc"] else ""
        faults.append(key + fault["msg"].removeprefix("Value error, "))
    return faults


def read_strict_model(kind: type[Kind], path: Path) -> Kind:
    """Return the content of a TOML file as a model; its defaults if there is no such file.

    Raises ProjectError that names each wrong key.
    """
    try:
        return kind(**(read_toml(path) if path.exists() else {}))
    except ValidationError as error:
        lines = [f"{path}: {fault}" for fault in list_faults(error)]
        raise ProjectError("\n  ".join(lines)) from error
