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


def read_strict_model(kind: type[Kind], path: Path) -> Kind:
    """Return the content of a TOML file as a model; its defaults if there is no such file.

    Raises ProjectError that names each wrong key.
    """
    try:
        return kind(**(read_toml(path) if path.exists() else {}))
    except ValidationError as error:
        faults = [
            f"{path}: {'.'.join(map(str, each['loc']))} = {each['input']!r}: {each['msg']}"
            for each in error.errors()
        ]
        raise ProjectError("\n  ".join(faults)) from error
