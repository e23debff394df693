"""Incidents: what went wrong in production, how long it lasted, and what is learned from it.

Each is a page of `incidents/`, a post-mortem with its facts as YAML between two lines `---` at the
top.  Its headings are those of Site Reliability Engineering (Beyer et al., 2016), chapter 15 and
appendix D.
"""

import json
import re
from contextlib import suppress
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Annotated, Literal, Self
from unicodedata import normalize

import typer
import yaml
from pydantic import Field, field_validator, model_validator, ValidationError

from mlops_ladder import ProjectError, raise_for_faults, write_file_atomically
from mlops_ladder.markdown import escape_text
from mlops_ladder.registry import versions
from mlops_ladder.strict_model import list_faults, StrictModel

FOLDER = Path("incidents")
TEMPLATE = FOLDER / "template.md"
FRONT_MATTER = re.compile(r"---\n(.*?)^---$", re.DOTALL | re.MULTILINE)
Severity = Literal["low", "medium", "high"]
Cause = Literal["unknown", "model", "deploy", "data", "infrastructure", "other"]
CHANGES = ("model", "deploy")  # causes that are a change of ours
NAME_LENGTH = 60  # characters of a file name, without the day


class Incident(StrictModel):
    """One incident.  `version` is the model that served when it started, "" if none did.

    Times are in UTC if they name no zone.  `restored` is None until the incident is over.
    """

    title: str = Field(min_length=1)
    severity: Severity = "medium"
    cause: Cause = "unknown"
    version: str = ""
    started: datetime
    detected: datetime
    restored: datetime | None = None

    @field_validator("started", "detected", "restored")
    @classmethod
    def add_zone(cls, time: datetime | None) -> datetime | None:
        """Return a time without a zone as one of UTC."""
        return time if not time or time.tzinfo else time.replace(tzinfo=UTC)

    @model_validator(mode="after")
    def check_order(self) -> Self:
        """Raise ValueError unless harm begins, is detected, and ends in this order."""
        if self.detected < self.started:
            raise ValueError(f"detected = {self.detected}: before started = {self.started}")
        if self.restored and self.restored < self.detected:
            raise ValueError(f"restored = {self.restored}: before detected = {self.detected}")
        return self

    @property
    def hours(self) -> float | None:
        """How long it lasted; None while it goes on."""
        return (self.restored - self.started) / timedelta(hours=1) if self.restored else None


def read_incident(path: Path) -> Incident:
    """Return the incident of a page.  Raise ProjectError that names each key that is wrong."""
    try:
        facts = FRONT_MATTER.match(path.read_text(encoding="utf-8"))
        if not facts:
            raise ProjectError(f"{path}: cannot be read: no facts between two lines --- at its top")
        return Incident(**yaml.safe_load(facts[1]))
    except ValidationError as error:
        faults = [*list_faults(error), "correct the file"]
        raise ProjectError(f"{path}: " + "\n  ".join(faults)) from error
    except (OSError, TypeError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProjectError(f"{path}: cannot be read: {error}") from error


def read_incidents() -> dict[Path, Incident]:
    """Return every incident by its page, the oldest first.  Raise ProjectError for faults."""
    incidents, faults = dict[Path, Incident](), []
    for path in sorted(set(FOLDER.glob("*.md")) - {TEMPLATE}):
        try:
            incidents[path] = read_incident(path)
        except ProjectError as error:
            faults.append(error)
    raise_for_faults("", faults)
    return dict(sorted(incidents.items(), key=lambda item: (item[1].started, item[0])))


def make_file_name(title: str) -> str:
    """Return the title as a file name: its letters, in any script, and digits."""
    words = re.sub(r"[\W_]+", "-", normalize("NFKC", title).casefold()).strip("-")[:NAME_LENGTH]
    if not words:
        raise ProjectError(f"TITLE={title!r}: no letter or digit; say in a few words what it is")
    return words.strip("-")


def find_serving_version() -> str:
    """Return the champion's version; "" if there is none, or the registry does not answer."""
    with suppress(ProjectError):
        return str(versions.require_champion().version)
    return ""


def open_incident(title: str, severity: Severity, now: datetime) -> Path:
    """Write the page of a new incident.  Raise ProjectError if there is one of this name."""
    path = FOLDER / f"{now:%Y-%m-%d}-{make_file_name(title)}.md"
    if path.exists():
        raise ProjectError(f"{path}: is there already; give the new one another TITLE")
    heading = title.translate({ord("<"): "‹", ord(">"): "›"})  # the site unescapes titles
    facts = {
        "HEADING": escape_text(heading),
        "NOW": now.isoformat(),
        "SEVERITY": severity,
        "TITLE": json.dumps(heading, ensure_ascii=False),
        "VERSION": json.dumps(find_serving_version()),
    }
    template = TEMPLATE.read_text(encoding="utf-8")
    text = re.sub(rf"\b({'|'.join(facts)})\b", lambda word: facts[word[0]], template)
    write_file_atomically(path, text)
    return path


def end_incident(name: str, cause: Cause | None, now: datetime) -> Path:
    """Write down that an incident is over.  Raise ProjectError unless it goes on."""
    incidents = {path.stem: (path, incident) for path, incident in read_incidents().items()}
    if name not in incidents:
        names = ", ".join(incidents) or "none"
        raise ProjectError(f"RESTORED={name}: no such incident; there are: {names}")
    path, incident = incidents[name]
    if incident.restored:
        raise ProjectError(f"{path}: restored = {incident.restored} already; correct it by hand")
    text = path.read_text(encoding="utf-8")
    for key, value in {"restored": now.isoformat(), "cause": cause or incident.cause}.items():
        line = rf"^({key}:)[^#\n]*?( *#.*)?$"
        text = re.sub(line, rf"\1 {value}\2", text, count=1, flags=re.MULTILINE)
    write_file_atomically(path, text)
    if not read_incident(path).restored:
        raise ProjectError(f"{path}: has no line `restored:` at its top; add one")
    return path


def format_incident(path: Path, incident: Incident) -> str:
    """Return a line about an incident."""
    minutes = "goes on" if incident.hours is None else f"{60 * incident.hours:,.0f} min"
    cells = f"{path.stem:44}  {incident.severity:6}  {incident.cause:14}  {minutes:>10}"
    return f"{cells}  {incident.title}"


def main(
    title: Annotated[str, typer.Option(help="what happens, in a few words: opens one")] = "",
    severity: Annotated[Severity, typer.Option()] = "medium",
    ended: Annotated[str, typer.Option("--restored", help="it is over now", metavar="NAME")] = "",
    cause: Annotated[Cause | None, typer.Option()] = None,
) -> None:
    """Open an incident, write down that one is over, or list all."""
    now = datetime.now(UTC).replace(microsecond=0)
    if title:
        path = open_incident(title, severity, now)
        print(f"Wrote {path}: correct when it started.")
        print(f"Next: docs/runbooks/incident.md; then make incident RESTORED={path.stem}")
    elif ended:
        path = end_incident(ended, cause, now)
        print(f"{path}: over.  Next: write the post-mortem there, and commit it")
    else:
        none = "No incident is written down.  To open one: make incident TITLE=…"
        print("\n".join(format_incident(*item) for item in read_incidents().items()) or none)
