"""Sections: the tables of a TOML file, and a record that is as strict."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_ladder import ProjectError


class StrictModel(BaseModel):
    """A table of a TOML file, or a record: frozen, and it refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Kind = TypeVar("Kind", bound=StrictModel)


def read_strict_model(kind: type[Kind], path: Path) -> Kind:
    """Return what a TOML file holds; of one that is not there, the defaults.

    Raises ProjectError that names each key that is wrong.
    """
    try:
        return kind(**tomllib.loads(path.read_text("utf-8") if path.exists() else ""))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path}: not valid TOML: {error}") from error
    except ValidationError as error:
        wrong = [(".".join(map(str, it["loc"])), it["input"], it["msg"]) for it in error.errors()]
        lines = [f"{path}: {key} = {value!r}: {told}" for key, value, told in wrong]
        raise ProjectError("\n  ".join(lines)) from error
