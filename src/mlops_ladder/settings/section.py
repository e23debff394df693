"""A section of a TOML file."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A table of a TOML file; it refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
