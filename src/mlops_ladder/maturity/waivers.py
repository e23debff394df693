"""Waivers: two people answer for a missing capability until a date."""

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

from mlops_ladder.maturity.repository import Repository

LONGEST = timedelta(days=366)  # for a waiver


def read_waivers(repository: Repository, today: date) -> tuple[dict[str, str], list[str]]:
    """Return the capabilities that waivers of pyproject.toml answer for, and notes on the others.

    A waiver needs `id`, `reason`, `by`, `approved_by` (another person) and `until`, within a year.
    """
    valid, notes = {}, []
    listed = repository.table("pyproject.toml", "tool", "mlops-ladder").get("waivers", [])
    listed = listed if isinstance(listed, list) else []
    for waiver in (waiver for waiver in listed if isinstance(waiver, dict)):
        name = str(waiver.get("id", "?"))
        if faults := list(find_waiver_faults(repository, waiver, today)):
            notes.append(f"waiver of {name}: does not hold: {'; '.join(faults)}")
        else:
            people = f"{waiver['by']} and {waiver['approved_by']}"
            valid[name] = f"{waiver['reason']} ({people}, until {waiver['until']})"
    return valid, notes


def find_waiver_faults(
    repository: Repository, waiver: dict[str, Any], today: date
) -> Iterator[str]:
    """Yield why a waiver does not hold."""
    if waiver.get("id") not in repository.capabilities:
        yield "there is no such capability"
    if len(re.findall(r"\w+", str(waiver.get("reason", "")))) < 3:
        yield "`reason` has to say why"
    by, second = (str(waiver.get(key, "")).strip().lower() for key in ("by", "approved_by"))
    if not by or not second or by == second:
        yield "`by` and `approved_by` have to be two people"
    until = waiver.get("until")
    if not isinstance(until, date) or isinstance(until, datetime):
        yield "`until` has to be a date, as in 2027-01-31"
    elif not today <= until <= today + LONGEST:
        yield f"`until` is {until}: past, or more than a year ahead"
