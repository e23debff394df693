"""The settings: arguments over the environment over `config.toml`, read once and frozen."""

import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import TomlConfigSettingsSource

from . import ProjectError

CONFIG = Path("config.toml")
PREFIX = f"{__package__}_".upper()


class Section(BaseModel):
    """A table of `config.toml`; it refuses keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class About(Section):
    """What the model is for, in words."""

    question: str = ""
    intended_use: str = ""
    limits: list[str] = []


class Data(Section):
    """Where the rows are, and how a CSV is to be read."""

    path: str
    encoding: str = "utf-8"
    separator: str = Field(default=",", min_length=1)
    decimal: str = Field(default=".", min_length=1, max_length=1)
    thousands: str | None = None
    missing: list[str] = []


class Settings(BaseSettings):
    """All that can be set.  In the environment: PACKAGE_SEED=1, PACKAGE_DATA__PATH=rows.csv."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, toml_file=CONFIG
    )

    problem: Literal["classification", "regression"]
    metric: str
    seed: int = Field(default=0, ge=0, lt=2**32)
    holdout: float = Field(default=0.25, gt=0, lt=1)
    data: Data
    model: dict[str, Any] = {}
    about: About = About()

    @classmethod
    def settings_customise_sources(  # pylint: disable=too-many-arguments  # as the base class has it
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def breach(error: Any) -> str:
    """One breach in words: the key, the value, what it may be."""
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        section: Any = {"data": Data, "about": About}.get(str(error["loc"][0]), Settings)
        return f"{key}: unknown key; known are {', '.join(section.model_fields)}"
    if error["type"] == "missing":
        return f"{key}: not set; add it to {CONFIG}"
    return f"{key} = {error['input']!r}: {error['msg']}"


def load(**arguments: Any) -> Settings:
    """The settings; arguments win over the environment, which wins over `config.toml`.

    Raises ProjectError that lists every breach: an unknown key, a missing one, a wrong value.
    """
    if not CONFIG.exists():
        raise ProjectError(f"{CONFIG}: not in {Path.cwd()}; run this in the project's folder")
    try:
        settings = Settings(**arguments)
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{CONFIG}: not valid TOML: {error}") from error
    except ValidationError as error:
        raise ProjectError(f"{CONFIG}: " + "\n  ".join(map(breach, error.errors()))) from error
    unknown = [
        name
        for name in os.environ
        if name.startswith(PREFIX)
        and name.removeprefix(PREFIX).split("__")[0].lower() not in set(Settings.model_fields)
    ]
    if unknown:
        raise ProjectError(f"environment: {', '.join(unknown)}: no such setting")
    return settings
