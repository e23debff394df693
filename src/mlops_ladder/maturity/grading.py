"""Grades from findings, and levels from grades: always the minimum, never an average."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, UTC
from functools import partial
from typing import Any

from mlops_ladder.maturity import Check, CHECKS, Unknown, USES
from mlops_ladder.maturity.capabilities import read_capabilities
from mlops_ladder.maturity.code import find_hollow_files
from mlops_ladder.maturity.repository import is_own_data, Repository
from mlops_ladder.maturity.signs import load_checks
from mlops_ladder.maturity.waivers import read_waivers

# A capability is practised if it was used this often, on this many days, this recently.
MIN_TIMES, MIN_DAYS, RECENT = 3, 2, timedelta(days=90)
NOTHING = "nothing is practised yet"
YOURS = "to bring your own data: make contract DATA=file TARGET=column"
SUBSTANCE = "its files hold what their names say"
MAX_UNREAD = 5  # unread files that the notes name


@dataclass
class Assessed:  # pylint: disable=too-many-instance-attributes  # a record of results
    """A capability: its grade, what is wrong, and what cannot be known."""

    id: str
    entry: dict[str, Any]  # from capabilities.yml
    grade: str = "absent"
    problems: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    waived: str = ""
    untried: list[str] = field(default_factory=list)  # reasons why a deep run knows no result
    tried: bool = False
    used: list[datetime] = field(default_factory=list)
    done: dict[str, str] = field(default_factory=dict)  # the result of each check, by promise

    def run_check(self, check: Check, place: Any) -> list[str]:
        """Return the problems that a check finds in a repository or a copy; keep its result.

        If a check of files raises an exception, that is a problem with the files.  If a check of
        records or a trial raises one, its result is unknown.
        """
        problems: list[str] = []
        try:
            problems.extend(map(escape_controls, check.find(place)))
        except Exception as error:  # pylint: disable=broad-exception-caught  # any may come
            is_unknown = isinstance(error, Unknown)
            reason = str(error) if is_unknown else f"cannot be read: {error!r}"
            line = escape_controls(f"{check.promise}: {reason}")
            if check.kind == "sign" and not is_unknown:
                problems.append(line)
            else:
                (self.unknown if check.kind in ("sign", "record") else self.untried).append(line)
            self.done[check.promise] = f"unknown: {escape_controls(str(error))}"
        self.done.setdefault(check.promise, "failed" if problems else "passed")
        self.problems += problems
        self.tried = self.tried or check.kind in ("trial", "fault")
        return problems

    @property
    def level(self) -> int:
        """Return the maturity level that brings the capability."""
        return int(self.entry["level"])

    @property
    def title(self) -> str:
        """Return its title in capabilities.yml."""
        return str(self.entry["title"])

    @property
    def domain(self) -> str:
        """Return the first part of its id."""
        return self.id.partition(".")[0]

    @property
    def shown_grade(self) -> str:
        """Return its grade, or "waived" if it is waived."""
        return "waived" if self.waived else self.grade

    @property
    def has_trace(self) -> bool:
        """Return whether its use leaves a trace that can be read here."""
        return self.id in USES

    @property
    def is_here(self) -> bool:
        """Return whether the capability is present or waived."""
        return self.shown_grade in ("waived", "present", "exercised", "practised")

    @property
    def has_failed(self) -> bool:
        """Return whether a deep run tried all of it, and something failed."""
        return self.tried and not self.untried and self.grade not in ("exercised", "practised")


def escape_controls(text: str) -> str:
    """Return a text with line ends and control characters escaped, as file names may hold them."""
    return "".join(
        mark if mark.isprintable() else mark.encode("unicode_escape").decode() for mark in text
    )


@dataclass
class Assessment:
    """The grades of a repository, and the levels that follow from them."""

    claimed: int | None
    capabilities: list[Assessed]
    notes: list[str]
    ours: bool = True  # whether the template made the repository
    deep: bool = False
    unfinished: int = 5  # the lowest level that the template does not bring in full

    @property
    def highest(self) -> int:
        """Return the highest level whose capabilities this tool knows."""
        return min(max(one.level for one in self.capabilities), self.unfinished - 1)

    @property
    def equipped(self) -> int:
        """Return the level up to which every capability is present and did not fail; -1 below 0."""
        return self._find_level(lambda one: one.waived or (one.is_here and not one.has_failed))

    @property
    def practised(self) -> int:
        """Return the level up to which every capability with a trace is used; at least 0."""
        used = self._find_level(lambda one: one.grade == "practised" or not one.has_trace)
        return max(0, min(used, self.equipped))

    @property
    def undecided(self) -> list[Assessed]:
        """Return the capabilities up to the claimed level that a deep run could not try in full."""
        aim = min(self.claimed or 0, self.highest)
        return [one for one in self.capabilities if self.deep and one.level <= aim and one.untried]

    def _find_level(self, holds: Callable[[Assessed], object]) -> int:
        missed = [one.level for one in self.capabilities if not holds(one)]
        return min([*missed, self.highest + 1]) - 1


def assess(repository: Repository) -> Assessment:
    """Judge a repository by its files and by what was recorded."""
    load_checks()
    waivers, notes = read_waivers(repository, datetime.now(UTC).date())
    capabilities = [
        grade_capability(repository, name, entry, waivers.get(name, ""))
        for name, entry in repository.capabilities.items()
        if not entry.get("planned") and concerns(repository, entry)
    ]
    notes += grade_uses(repository, capabilities) + list_unread(repository)
    planned = [one["level"] for one in repository.capabilities.values() if one.get("planned")]
    claimed, unfinished = read_claim(repository), min(planned, default=5)
    return Assessment(claimed, capabilities, notes, repository.ours, unfinished=unfinished)


def list_unread(repository: Repository) -> list[str]:
    """Return notes on a larger repository around this one, and on files that cannot be read."""
    notes = []
    if repository.top != repository.root:
        place = repository.root.relative_to(repository.top)
        notes.append(
            f"{place} lies in a larger repository: a forge reads workflows only at the top of that,"
            f" so they count if they are there and name {place}"
        )
    unread = [f"{name}: {reason}" for name, reason in sorted(repository.unreadable.items())]
    notes += unread[:MAX_UNREAD]
    if len(unread) > MAX_UNREAD:
        notes.append(f"{len(unread) - MAX_UNREAD} more files cannot be read")
    return list(map(escape_controls, notes))


def concerns(repository: Repository, entry: dict[str, Any]) -> bool:
    """Return whether a capability applies to a repository by its answers; without any, it does."""
    excluded = read_capabilities()["conditions"].get(entry["if"], {})
    return not repository.answers.items() & excluded.items()


def read_claim(repository: Repository) -> int | None:
    """Return the level in `[tool.mlops-ladder]`, else the recorded one; None without one."""
    level = repository.table("pyproject.toml", "tool", "mlops-ladder").get("level")
    level = repository.answers.get("maturity_level") if level is None else level
    return int(str(level)) if str(level) in ("0", "1", "2", "3", "4") else None


def grade_capability(
    repository: Repository, name: str, entry: dict[str, Any], waiver: str
) -> Assessed:
    """Grade a capability by its files and records: absent, declared or present.

    Args:
        repository: The repository to judge.
        name: The id of the capability.
        entry: Its entry in capabilities.yml.
        waiver: Why it is waived; empty if it is not.

    Returns:
        The capability with its grade, its problems and its unknowns.
    """
    one = Assessed(name, entry, waived=waiver)
    if not repository.is_visible(name):
        one.grade = "unknown"
        one.unknown.append("no file would show it in a repository that the template did not make")
    if not repository.own(name) and not repository.own_targets(name):
        return one
    one.run_check(Check(name, "sign", SUBSTANCE, partial(find_hollow_files, name)), repository)
    del one.done[SUBSTANCE]
    for check in CHECKS:
        if check.capability == name and check.kind in ("sign", "record"):
            one.run_check(check, repository)
    one.grade = "declared" if one.problems else "present"
    return one


def grade_uses(repository: Repository, capabilities: Iterable[Assessed]) -> list[str]:
    """Grade as practised what the team uses on its own data; return why nothing can be."""
    try:
        own = [run for run in repository.runs if is_own_data(run)]
    except Unknown as unknown:
        return [escape_controls(f"{unknown}; {NOTHING}")]
    if not own:
        return [f"every run learned from the sample: {NOTHING}; {YOURS}"]
    for one in capabilities:
        if not one.has_trace or one.grade != "present":
            continue
        try:
            one.used = sorted(USES[one.id](repository))
        except Unknown as unknown:
            one.unknown.append(escape_controls(str(unknown)))
        except Exception as error:  # pylint: disable=broad-exception-caught  # any may come
            one.unknown.append(escape_controls(f"its use cannot be read: {error!r}"))
        if is_practised(one.used):
            one.grade = "practised"
    return []


def is_practised(times: list[datetime]) -> bool:
    """Return whether enough of these times, on enough days, are recent."""
    recent = [time for time in times if datetime.now(UTC) - time <= RECENT]
    return len(recent) >= MIN_TIMES and len({time.date() for time in recent}) >= MIN_DAYS
