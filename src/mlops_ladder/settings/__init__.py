"""The settings: arguments over the environment over `config.toml`, read once and frozen."""

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, TomlConfigSettingsSource

from mlops_ladder import project, ProjectError, raise_for_faults
from mlops_ladder.settings import improvement, operations, pipeline
from mlops_ladder.settings.section import StrictModel

CONFIG = Path("config.toml")
FOLDER = Path("config")  # of the sections that a level brings: [drift] stands in config/drift.toml
BROUGHT = {
    2: {"gate", "leaks", "repro", "serving", "tuning"},
    3: {"access", "approval", "drift", "fallback", "labels", "load", "schedule", "staleness"},
    4: {"costs", "objectives", "quality", "receiver", "rollout", "scale", "signing", "triggers"},
}
# Kubernetes tells each pod where services are, by their names: `MODEL_PORT=tcp://10.0.0.7:80`.
KUBERNETES = re.compile(
    r"(\w+_)?(SERVICE_(HOST|PORT\w*)=.*|PORT(=\w+:.*|_\d+_(TCP|UDP|SCTP)\w*=.*))"
)
CODES = "EUR|USD|GBP|CHF|PLN|CZK|SEK|NOK|DKK|JPY|TRY|RUB|INR|BRL|CAD|AUD|HUF|kr|zł|Kč|Fr|Ft|руб|Rs"
SIGNS = rf"(?:[A-Z]?[A-Z]?[$]|[¢-¥฿₠-⃀%円元]|(?:{CODES})\.?)"
# Minus, sign and digits in any order, or the digits of a negative number in brackets or before it
AMOUNT = re.compile(
    rf"(?P<open>\()?(?P<minus>[-+−]?)\s*(?:{SIGNS}\s*)?(?P<inner>[-+−]?)(?P<digits>[\d.,'’].*?|)"
    rf"\s*(?:{SIGNS}\s*)?(?P<after>[-−]?)(?:\s*{SIGNS})?(?(open)\))"
)
SPACES = "\u00a0\u202f\u2009"  # each stands for a blank between thousands
Problem = Literal["classification", "regression"]


class About(StrictModel):
    """What the model is for, in words."""

    question: str = ""
    intended_use: str = ""
    limits: list[str] = []


class Data(StrictModel):
    """Where the rows are, and how a CSV is to be read."""

    path: str
    encoding: str = "utf-8"
    separator: str = Field(default=",", min_length=1)
    decimal: str = Field(default=".", min_length=1, max_length=1)
    thousands: str | None = None
    missing: list[str] = []


def strip_number_signs(text: str) -> str:
    """A number without signs of currency and percent, its minus in front; other text as it is."""
    text = text.strip().translate(dict.fromkeys(map(ord, SPACES), " ") | {ord("’"): "'"})
    parts = AMOUNT.fullmatch(text)
    if not parts or not parts["digits"]:
        return text
    signs = {parts["minus"], parts["inner"], parts["after"], "-" if parts["open"] else ""}
    return ("-" if signs & {"-", "−"} else "") + parts["digits"]


class Settings(BaseSettings):
    """All that can be set.  In the environment: PACKAGE_SEED=1, PACKAGE_DATA__PATH=rows.csv."""

    model_config = SettingsConfigDict(env_nested_delimiter="__", extra="forbid", frozen=True)

    problem: Problem
    metric: str
    seed: int = Field(default=0, ge=0, lt=2**32)
    holdout: float = Field(default=0.25, gt=0, lt=1)
    data: Data
    model: dict[str, Any] = {}
    about: About = About()
    tuning: pipeline.Tuning = pipeline.Tuning()
    gate: pipeline.Gate = pipeline.Gate()
    leaks: pipeline.Leaks = pipeline.Leaks()
    repro: pipeline.Repro = pipeline.Repro()
    serving: pipeline.Serving = pipeline.Serving()
    access: operations.Access = operations.Access()
    approval: operations.Approval = operations.Approval()
    drift: operations.Drift = Field(default_factory=operations.Drift)  # has the project's namespace
    fallback: operations.Fallback = operations.Fallback()
    labels: operations.Labels = operations.Labels()
    load: operations.Load = operations.Load()
    schedule: operations.Schedule = operations.Schedule()
    staleness: operations.Staleness = operations.Staleness()
    costs: improvement.Costs = improvement.Costs()
    objectives: improvement.Objectives = improvement.Objectives()
    quality: improvement.Quality = improvement.Quality()
    receiver: improvement.Receiver = improvement.Receiver()
    rollout: improvement.Rollout = improvement.Rollout()
    scale: improvement.Scale = improvement.Scale()
    signing: improvement.Signing = improvement.Signing()
    triggers: improvement.Triggers = improvement.Triggers()

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *_positional: Any, **sources: Any
    ) -> tuple[Any, ...]:
        """Arguments, then the environment, then the files."""
        found = TomlConfigSettingsSource(settings_cls, list_settings_files())
        return sources["init_settings"], sources["env_settings"], found


def get_settings_file(key: str) -> Path:
    """The file that holds a key or a section."""
    return FOLDER / f"{key}.toml" if any(key in names for names in BROUGHT.values()) else CONFIG


def list_settings_files() -> list[Path]:
    """The files that hold settings."""
    found = {get_settings_file(key) for key in dict(Settings.model_fields)}
    return sorted(path for path in found if path.exists())


def list_known_keys() -> list[str]:
    """The keys that this project may set: those of its level, and of the levels below."""
    level = project.get_project().level
    later = {name for brought, names in BROUGHT.items() if brought > level for name in names}
    return [name for name in dict(Settings.model_fields) if name not in later]


def format_error(error: Any) -> str:
    """One breach in words: the key, the value, what it may be."""
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        field = Settings.model_fields.get(str(error["loc"][0]))
        section: Any = field.annotation if field and len(error["loc"]) > 1 else None
        known = section.model_fields if section else list_known_keys()
        return f"{key}: unknown key; known are {', '.join(known)}"
    if error["type"] == "missing":
        return f"{key}: not set; add it to {CONFIG}"
    given = str(error["input"])
    shown = "" if "@" in given else f" = {error['input']!r}"  # what may hold a password is not told
    return f"{key}{shown}: {error['msg'].removeprefix('Value error, ')}"


def find_error_source(error: Any) -> Path | str:
    """Where the value of a breach comes from: the environment, or the file that has its section."""
    words = [str(it).upper() for it in error["loc"]]
    prefix = project.get_project().prefix
    names = {prefix + "__".join(words[:count]) for count in range(1, len(words) + 1)}
    if found := names & set(os.environ):
        return max(found, key=len)
    path = get_settings_file(str(error["loc"][0]))
    return path if path.exists() else CONFIG


def read_toml(path: Path) -> dict[str, Any]:
    """What a file of settings says.  ProjectError where it is not valid TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ProjectError(f"{path}: not valid TOML: {error}") from error


def load_settings(**arguments: Any) -> Settings:
    """The settings; arguments win over the environment, which wins over `config.toml`.

    Raises ProjectError that lists every breach: an unknown key, a missing one, a wrong value.
    """
    if not CONFIG.exists():
        raise ProjectError(f"{CONFIG}: not in {Path.cwd()}; run this in the project's folder")
    refuse_misplaced()
    try:
        settings = Settings(**arguments | {"_env_prefix": project.get_project().prefix})
    except tomllib.TOMLDecodeError:
        for path in list_settings_files():
            read_toml(path)
        raise
    except ValidationError as error:
        lines = [f"{find_error_source(it)}: {format_error(it)}" for it in error.errors()]
        raise ProjectError("\n  ".join(lines)) from error
    refuse_unknown(settings)
    return settings


def refuse_misplaced() -> None:
    """Raise ProjectError if a section stands in a file where nobody would read it."""
    known = list_known_keys()
    wrong = []
    for path in [CONFIG, *sorted(FOLDER.glob("*.toml"))]:
        for key in read_toml(path):
            if key in known and get_settings_file(key) != path:
                wrong.append(f"{path}: [{key}] belongs in {get_settings_file(key)}")
            elif path.stem in known and path != CONFIG and key != path.stem:
                wrong.append(f"{path}: {key} stands outside of [{path.stem}]")
    raise_for_faults("", wrong)


def refuse_unknown(settings: Settings) -> None:
    """Raise ProjectError where a file or the environment sets what this project cannot set."""
    prefix, known = project.get_project().prefix, list_known_keys()
    given = {name.removeprefix(prefix): name for name in os.environ if name.startswith(prefix)}
    unknown = [
        name
        for key, name in given.items()
        if key.split("__")[0].lower() not in known
        and not KUBERNETES.fullmatch(f"{key}={os.environ[name]}")
    ]
    if unknown:
        raise ProjectError(f"environment: {', '.join(unknown)}: no such setting")
    if later := sorted(settings.model_fields_set - set(known)):
        error = {"loc": (later[0],), "type": "extra_forbidden"}
        raise ProjectError(f"{find_error_source(error)}: {format_error(error)}")
