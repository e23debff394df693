"""Promises: what the owners of the data have agreed to, and which version of it is accepted here.

`governance/contracts/` has a file for each source that is not our own; `accepted.json` there says
which version of each somebody here has read and accepted, with all of its terms.
"""

import json
from collections.abc import Iterator
from datetime import date, datetime, UTC
from pathlib import Path
from typing import Any

from pydantic import Field

from mlops_ladder import ProjectError, raise_for_faults, write_file_atomically
from mlops_ladder.strict_model import read_strict_model, StrictModel

FOLDER = Path("governance/contracts")
ACCEPTED = FOLDER / "accepted.json"

Accepted = dict[str, dict[str, Any]]


class Freshness(StrictModel):
    """The newest time in `column`, or the last change of a file, is at most so many days old.

    `until`: the source has ended then, and nothing newer is promised; else today.  `format` of the
    column: as in contract.toml.
    """

    max_age_days: float = Field(gt=0)
    column: str = ""
    format: str = "ISO8601"
    until: date | None = None


class AnnouncedChange(StrictModel):
    """A change that its owner has announced."""

    version: str = Field(min_length=1)
    on: date
    announced: date
    what: str = Field(min_length=1)

    @property
    def notice_days(self) -> int:
        """Return the days between the announcement and the change."""
        return (self.on - self.announced).days


class Agreement(StrictModel):
    """What one owner has promised about one source of data/sources.toml."""

    source: str = Field(min_length=1)
    owner: str = Field(min_length=1)
    contact: str = Field(min_length=1)
    version: str = Field(min_length=1)
    notice_days: int = Field(ge=0)
    columns: list[str] = []
    freshness: Freshness
    change: AnnouncedChange | None = None


def read_agreements() -> dict[str, Agreement]:
    """Return every contract, by its source.  Raise ProjectError that names each wrong key."""
    agreements: dict[str, Agreement] = {}
    faults = []
    for path in sorted(FOLDER.glob("*.toml")):
        try:
            promise = read_strict_model(Agreement, path)
        except ProjectError as error:
            faults.append(str(error))
        else:
            if agreements.setdefault(promise.source, promise) is not promise:
                faults.append(f"{path}: source = {promise.source!r} has another contract; keep one")
    raise_for_faults("", faults)
    return agreements


def read_accepted() -> Accepted:
    """Return the last accepted terms, by source.  Raise ProjectError if they are not readable."""
    try:
        table: Accepted = json.loads(ACCEPTED.read_text("utf-8")) if ACCEPTED.exists() else {}
        return {name: {**entry, "terms": dict(entry["terms"])} for name, entry in table.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProjectError(f"{ACCEPTED}: cannot be read: {error!r}; git checkout it") from error


def to_terms(promise: Agreement) -> dict[str, Any]:
    """Return the terms of a contract for JSON."""
    return promise.model_dump(mode="json", exclude_none=True)


def find_unaccepted(promise: Agreement, accepted: Accepted) -> Iterator[str]:
    """Yield a line for each part of a contract that nobody has accepted.

    That is all of it, a new version, or terms that changed without one.
    """
    name, way_out = promise.source, f"read it, then: make contracts ACCEPT={promise.source}"
    if name not in accepted:
        yield f"{name}: version {promise.version}: nobody has accepted it; {way_out}"
        return
    before, now = accepted[name]["terms"], to_terms(promise)
    keys = [key for key in (*before, *(now.keys() - before)) if before.get(key) != now.get(key)]
    if "version" in keys:
        rest = ", ".join(key for key in keys if key != "version") or "no other term"
        was = f"version {before['version']} was accepted, now it is {promise.version}"
        yield f"{name}: {was}, which changes {rest}; {way_out}"
    elif keys:
        yield f"{name}: {', '.join(keys)} changed, and still version {promise.version}; {way_out}"
    if (change := promise.change) and change.notice_days < promise.notice_days:
        days = f"{change.notice_days} days before, {promise.notice_days} are agreed on"
        yield f"{name}: {change.version} on {change.on} was announced {days}; ask {promise.contact}"


def record_acceptance(promise: Agreement, by: str) -> None:
    """Write down who has read and accepted these terms, and when."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    table = read_accepted() | {promise.source: {"by": by, "time": now, "terms": to_terms(promise)}}
    write_file_atomically(ACCEPTED, json.dumps(table, indent=2, ensure_ascii=False) + "\n")
