"""The settings: arguments over the environment over `config.toml`, read once and frozen.

`config.toml` holds the sections of level 0; each section of a higher level has a file in `config`.
"""

import os
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, TomlConfigSettingsSource

from mlops_ladder import ProjectError, raise_for_faults
from mlops_ladder.batch.settings import Batches
from mlops_ladder.labelling.settings import Labels
from mlops_ladder.monitoring.settings import Costs, Drift, Objectives, Quality, Staleness
from mlops_ladder.pipeline.settings import Leaks, Receiver, Repro, Schedule, Triggers, Tuning
from mlops_ladder.project import get_project
from mlops_ladder.registry.settings import Approval, Gate, Signing
from mlops_ladder.scaling.settings import Scale
from mlops_ladder.serving.settings import Access, Fallback, Load, Rollout, Serving
from mlops_ladder.strict_model import read_toml, StrictModel

CONFIG = Path("config.toml")
FOLDER = Path("config")
SECTIONS_BY_LEVEL = {
    2: "gate leaks repro serving tuning".split(),
    3: "access approval batch drift fallback labels load schedule staleness".split(),
    4: "costs objectives quality receiver rollout scale signing triggers".split(),
}
# Kubernetes sets such variables in each pod, named after services: `MODEL_PORT=tcp://10.0.0.7:80`.
KUBERNETES = re.compile(
    r"(\w+_)?(SERVICE_(HOST|PORT\w*)=.*|PORT(=\w+:.*|_\d+_(TCP|UDP|SCTP)\w*=.*))"
)

Problem = Literal["classification", "regression"]


class About(StrictModel):
    """What the model is for, in words."""

    question: str = ""
    intended_use: str = ""
    limits: list[str] = []


class Data(StrictModel):
    """The path of the rows, and the dialect of a CSV file."""

    path: str
    encoding: str = "utf-8"
    separator: str = Field(default=",", min_length=1)
    decimal: str = Field(default=".", min_length=1, max_length=1)
    thousands: str | None = None
    missing: list[str] = []


class Settings(BaseSettings):
    """All settings.  In the environment: PACKAGE_SEED=1, PACKAGE_DATA__PATH=rows.csv."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", extra="forbid", frozen=True)

    problem: Problem
    metric: str
    seed: int = Field(default=0, ge=0, lt=2**32)
    holdout: float = Field(default=0.25, gt=0, lt=1)
    data: Data
    model: dict[str, Any] = {}
    about: About = About()
    tuning: Tuning = Tuning()
    gate: Gate = Gate()
    leaks: Leaks = Leaks()
    repro: Repro = Repro()
    serving: Serving = Serving()
    access: Access = Access()
    approval: Approval = Approval()
    batch: Batches = Batches()
    drift: Drift = Field(default_factory=Drift)  # its namespace is the project's
    fallback: Fallback = Fallback()
    labels: Labels = Labels()
    load: Load = Load()
    schedule: Schedule = Schedule()
    staleness: Staleness = Staleness()
    costs: Costs = Costs()
    objectives: Objectives = Objectives()
    quality: Quality = Quality()
    receiver: Receiver = Receiver()
    rollout: Rollout = Rollout()
    scale: Scale = Scale()
    signing: Signing = Signing()
    triggers: Triggers = Triggers()

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *_positional: Any, **sources: Any
    ) -> tuple[Any, ...]:
        """Return the sources by precedence: arguments, the environment, the files."""
        files = TomlConfigSettingsSource(settings_cls, list_settings_files())
        return sources["init_settings"], sources["env_settings"], files


def get_settings_file(key: str) -> Path:
    """Return the file that holds a key or a section."""
    has_file = any(key in sections for sections in SECTIONS_BY_LEVEL.values())
    return FOLDER / f"{key}.toml" if has_file else CONFIG


def list_settings_files() -> list[Path]:
    """Return the files of settings that exist."""
    paths = {get_settings_file(key) for key in dict(Settings.model_fields)}
    return sorted(path for path in paths if path.exists())


def list_known_keys() -> list[str]:
    """Return the keys that this project may set: those of its level and of the levels below."""
    level = get_project().level
    later = {key for first, keys in SECTIONS_BY_LEVEL.items() if first > level for key in keys}
    return [key for key in dict(Settings.model_fields) if key not in later]


def load_settings(**arguments: Any) -> Settings:
    """Return the settings; arguments win over the environment, which wins over the files.

    Raises ProjectError that lists every error: an unknown key, a missing one, a wrong value.
    """
    if not CONFIG.exists():
        raise ProjectError(f"{CONFIG}: not in {Path.cwd()}; run this in the project's folder")
    raise_for_misplaced_keys()
    try:
        settings = Settings(**arguments | {"_env_prefix": get_project().prefix})
    except ValidationError as error:
        lines = [f"{find_error_source(each)}: {format_error(each)}" for each in error.errors()]
        raise ProjectError("\n  ".join(lines)) from error
    raise_for_unknown_keys(settings)
    return settings


def raise_for_misplaced_keys() -> None:
    """Raise ProjectError if a section is in a file from which it is not read."""
    keys = list_known_keys()
    faults = []
    for path in [CONFIG, *sorted(FOLDER.glob("*.toml"))]:
        for key in read_toml(path):
            if key in keys and get_settings_file(key) != path:
                faults.append(f"{path}: [{key}] belongs in {get_settings_file(key)}")
            elif path.stem in keys and path != CONFIG and key != path.stem:
                faults.append(f"{path}: {key} stands outside of [{path.stem}]")
    raise_for_faults("", faults)


def raise_for_unknown_keys(settings: Settings) -> None:
    """Raise ProjectError if a file or the environment sets a key that this project may not set."""
    prefix, keys = get_project().prefix, list_known_keys()
    unknown = []
    for name in filter(lambda name: name.startswith(prefix), os.environ):
        key = name.removeprefix(prefix)
        is_known = key.split("__")[0].lower() in keys
        if not is_known and not KUBERNETES.fullmatch(f"{key}={os.environ[name]}"):
            unknown.append(name)
    if unknown:
        raise ProjectError(f"environment: {', '.join(unknown)}: no such setting")
    if later := sorted(settings.model_fields_set - set(keys)):
        error = {"loc": (later[0],), "type": "extra_forbidden"}
        raise ProjectError(f"{find_error_source(error)}: {format_error(error)}")


def format_error(error: Any) -> str:
    """Return an error of pydantic as a line: the key, its value, and which values are allowed."""
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        field = Settings.model_fields.get(str(error["loc"][0]))
        section: Any = field.annotation if field and len(error["loc"]) > 1 else None
        keys = section.model_fields if section else list_known_keys()
        return f"{key}: unknown key; known are {', '.join(keys)}"
    if error["type"] == "missing":
        return f"{key}: not set; add it to {CONFIG}"
    value = error["input"]
    shown = "" if "@" in str(value) else f" = {value!r}"  # an address may hold a password
    return f"{key}{shown}: {error['msg'].removeprefix('Value error, ')}"


def find_error_source(error: Any) -> Path | str:
    """Return the variable or the file that sets the value of an error."""
    words = [str(word).upper() for word in error["loc"]]
    prefix = get_project().prefix
    names = {prefix + "__".join(words[:count]) for count in range(1, len(words) + 1)}
    if variables := names & set(os.environ):
        return max(variables, key=len)
    path = get_settings_file(str(error["loc"][0]))
    return path if path.exists() else CONFIG
