"""Decided: what two people answer for, and until when."""

import tomllib
from datetime import date, datetime, timedelta, UTC
from pathlib import Path
from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator, ValidationError

from mlops_ladder.registry.questions import Reply
from mlops_ladder.settings.section import Section

PROJECT = Path("pyproject.toml")
LONGEST = timedelta(days=366)  # longer, nobody remembers why


class Decided(Section):
    """What two people answer for, and until when: the form of a waiver in `pyproject.toml`."""

    reason: str = Field(pattern=r"\w+\W+\w+\W+\w+")
    by: str = Field(min_length=1)
    approved_by: str = Field(min_length=1)
    until: date

    @model_validator(mode="after")
    def two_people(self) -> Self:
        """Raises ValueError where one person has approved their own."""
        if self.by.strip().casefold() == self.approved_by.strip().casefold():
            raise ValueError("by and approved_by have to be two people")
        return self

    def holds(self, today: date) -> bool:
        """Is it neither past nor more than a year ahead?"""
        return today <= self.until <= today + LONGEST


class Waiver(Decided):
    """A capability that does not apply."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: Literal["model.fairness"]


class Accepted(Decided):
    """A difference between the groups of a column that is accepted, up to `largest`."""

    column: str
    largest: float = Field(gt=0)


def undeclared() -> Reply:
    """Without groups only a waiver lets a model pass: its predictions affect people."""
    known = tomllib.loads(PROJECT.read_text(encoding="utf-8")) if PROJECT.exists() else {}
    wrong = ["there is none"]
    for said in known.get("tool", {}).get("mlops-ladder", {}).get("waivers", []):
        if said.get("id") != "model.fairness":
            continue
        try:
            waiver = Waiver(**said)
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in error.errors()]
            continue
        if waiver.holds(datetime.now(UTC).date()):
            people = f"{waiver.by} and {waiver.approved_by}, until {waiver.until}"
            told = f"no groups are declared; waived: {waiver.reason} ({people})"
            return Reply("passed", told, {"waiver": waiver.model_dump(mode="json")})
        wrong = [f"until {waiver.until}: past, or more than a year ahead"]
    told = "no groups are declared in config/fairness.toml; without them a waiver is needed, in"
    return Reply(
        "refused", f"{told} [[tool.mlops-ladder.waivers]] of {PROJECT}: {'; '.join(wrong)}"
    )
