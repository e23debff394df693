"""Incidents: what went wrong in production, from when to when, and what is learned from it.

Each is a file of `incidents/`, with its post-mortem beside it; both are committed.  The headings
are those of Site Reliability Engineering (Beyer et al., 2016), chapter 15 and appendix D.
"""

import re
import tomllib
from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from unicodedata import normalize

import tomlkit
import typer
from pydantic import Field, field_validator, model_validator, ValidationError

from mlops_ladder import ProjectError, write_whole
from mlops_ladder.markdown import as_words
from mlops_ladder.registry import versions
from mlops_ladder.settings.section import Section

FOLDER = Path("incidents")
TEMPLATE = FOLDER / "template.md"
Severity = Literal["low", "medium", "high"]
Cause = Literal["unknown", "model", "deploy", "data", "infrastructure", "other"]
CHANGES = ("model", "deploy")  # causes that are a change of ours
COMMENTS = {
    "severity": "low, medium or high",
    "cause": "model (a promotion), deploy (of the code), data, infrastructure, other or unknown",
    "version": "the version that served when it started",
    "started": "when harm began",
    "detected": "when somebody, or an alert, saw it",
}
LONGEST = 60  # characters of a file name, without the day


class Incident(Section):
    """One incident.  `version` is the model that served when it started, "" where none did.

    Times are in UTC where they name no zone; `restored` is missing as long as it lasts.
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
    def zoned(cls, time: datetime | None) -> datetime | None:
        """A time without a zone is one of UTC."""
        return time if not time or time.tzinfo else time.replace(tzinfo=UTC)

    @model_validator(mode="after")
    def ordered(self) -> Self:
        """Harm begins, is detected, and ends, in this order."""
        if self.detected < self.started:
            raise ValueError(f"detected = {self.detected}: before started = {self.started}")
        if self.restored and self.restored < self.detected:
            raise ValueError(f"restored = {self.restored}: before detected = {self.detected}")
        return self

    @property
    def hours(self) -> float | None:
        """How long it lasted; None where it goes on."""
        return (self.restored - self.started) / timedelta(hours=1) if self.restored else None


def read(path: Path) -> Incident:
    """The incident of a file.  ProjectError that names each key and value that is wrong."""
    try:
        return Incident(**tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProjectError(f"{path}: cannot be read: {error}") from error
    except ValidationError as error:
        wrong = []
        for it in error.errors():
            key = f"{'.'.join(map(str, it['loc']))} = {it['input']!r}: " if it["loc"] else ""
            wrong.append(key + (it["msg"] if key else it["msg"].removeprefix("Value error, ")))
        raise ProjectError(f"{path}: " + "\n  ".join([*wrong, "correct the file"])) from error


def incidents() -> dict[Path, Incident]:
    """Every incident by its file, the oldest first.  ProjectError that names what is wrong."""
    found, wrong = {}, []
    for path in FOLDER.glob("*.toml"):
        try:
            found[path] = read(path)
        except ProjectError as error:
            wrong.append(str(error))
    if wrong:
        raise ProjectError("\n".join(sorted(wrong)))
    return dict(sorted(found.items(), key=lambda it: (it[1].started, it[0])))


def slug(title: str) -> str:
    """The title as a file name has it: its letters, in whatever script, and digits."""
    words = re.sub(r"[\W_]+", "-", normalize("NFKC", title).casefold()).strip("-")[:LONGEST]
    if not words:
        raise ProjectError(f"TITLE={title!r}: no letter or digit; say in a few words what it is")
    return words.strip("-")


def serving() -> str:
    """The version that is champion; "" where none is, or no registry answers: it may be down."""
    try:
        found = versions.held().champion
    except ProjectError:
        return ""
    return str(found.version) if found else ""


def opened(title: str, severity: Severity, now: datetime) -> Path:
    """Write the files of a new incident.  ProjectError where one of this name is there."""
    path = FOLDER / f"{now:%Y-%m-%d}-{slug(title)}.toml"
    words = path.with_suffix(".md")
    if there := [it for it in (path, words) if it.exists()]:
        raise ProjectError(f"{there[0]}: is there already; give the new one another TITLE")
    text = tomlkit.document()
    text.add("title", tomlkit.item(title))
    said = {"severity": severity, "cause": "unknown", "version": serving()}
    for name, value in (said | {"started": now, "detected": now}).items():
        text.add(name, tomlkit.item(value).comment(COMMENTS[name]))
    heading = as_words(title.translate({ord("<"): "‹", ord(">"): "›"}))  # the site unescapes titles
    page = TEMPLATE.read_text(encoding="utf-8").replace("TITLE", heading).replace("FILE", path.name)
    write_whole(words, page)
    write_whole(path, tomlkit.dumps(text))
    return path


def restored(name: str, cause: Cause | None, now: datetime) -> Path:
    """Write down that an incident is over.  ProjectError where there is none, or it is over."""
    known = {path.stem: path for path in incidents()}
    if name not in known:
        there = ", ".join(known) or "none"
        raise ProjectError(f"RESTORED={name}: no such incident; there are: {there}")
    path = known[name]
    text: Any = tomlkit.parse(path.read_text(encoding="utf-8"))
    if "restored" in text:
        raise ProjectError(f"{path}: restored = {text['restored']} already; correct it by hand")
    text["restored"] = now
    if cause:
        text["cause"] = cause
    write_whole(path, tomlkit.dumps(text))
    read(path)
    return path


def told(path: Path, it: Incident) -> str:
    """An incident in a line."""
    how = "goes on" if it.hours is None else f"{60 * it.hours:,.0f} min"
    return f"{path.stem:44}  {it.severity:6}  {it.cause:14}  {how:>10}  {it.title}"


def main(
    title: Annotated[str, typer.Option(help="what happens, in a few words: opens one")] = "",
    severity: Annotated[Severity, typer.Option()] = "medium",
    ended: Annotated[
        str, typer.Option("--restored", help="this one is over now", metavar="NAME")
    ] = "",
    cause: Annotated[Cause | None, typer.Option()] = None,
) -> None:
    """Open an incident, write down that it is over, or list all."""
    now = datetime.now(UTC).replace(microsecond=0)
    if title:
        path = opened(title, severity, now)
        print(f"Wrote {path} and {path.with_suffix('.md')}: correct when it started.")
        print(f"Next: docs/runbooks/incident.md; then make incident RESTORED={path.stem}")
    elif ended:
        path = restored(ended, cause, now)
        print(f"{path}: over.  Next: write {path.with_suffix('.md')}, and commit both")
    else:
        lines = [told(path, it) for path, it in incidents().items()]
        none = "No incident is written down.  To open one: make incident TITLE=…"
        print("\n".join(lines) or none)
