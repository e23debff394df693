"""From findings to grades, from grades to a level: always the minimum, never an average."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, UTC
from typing import Any

from mlops_ladder.maturity import Check, CHECKS, Unknown, USES
from mlops_ladder.maturity.code import substance
from mlops_ladder.maturity.repository import is_own_data, Repository
from mlops_ladder.maturity.signs import load_checks
from mlops_ladder.maturity.waivers import waived

RECENT = timedelta(days=90)  # the last use of what is practised is not older
REPEATED = 3  # times that it was used at least
NOTHING = "nothing is practised yet"
YOURS = "to bring your own data: make contract DATA=file TARGET=column"
SUBSTANCE = "its files hold what their names say"
MANY = 5  # files that a note names
DAYS = 2  # days on which it was, at least: once in an afternoon is a try


@dataclass
class Assessed:  # pylint: disable=too-many-instance-attributes  # a record
    """A capability: how far it is, what is wrong, and what cannot be known."""

    id: str
    entry: dict[str, Any]  # what the list of capabilities says of it
    grade: str = "absent"
    problems: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    waived: str = ""
    untried: list[str] = field(default_factory=list)  # the same, of a deep run
    tried: bool = False
    used: list[datetime] = field(default_factory=list)
    done: dict[str, str] = field(default_factory=dict)  # what a deep run has found, by promise

    def look(self, check: Check, at: Any) -> list[str]:
        """What a check finds wrong; it joins the problems.

        Files may hold anything: where they make a check stumble, that is wrong with them, and what
        was recorded or tried is unknown then.
        """
        wrong: list[str] = []
        try:
            wrong.extend(map(plain, check.find(at)))
        except Exception as reason:  # pylint: disable=broad-exception-caught  # see above
            known = isinstance(reason, Unknown)
            said = plain(f"{check.promise}: {reason if known else f'cannot be read: {reason!r}'}")
            unknown = self.unknown if check.kind in ("sign", "record") else self.untried
            (wrong if check.kind == "sign" and not known else unknown).append(said)
            self.done[check.promise] = f"unknown: {plain(str(reason))}"
        self.done.setdefault(check.promise, "failed" if wrong else "passed")
        self.problems += wrong
        self.tried = self.tried or check.kind in ("trial", "fault")
        return wrong

    @property
    def level(self) -> int:
        """The maturity level that brings it."""
        return int(self.entry["level"])

    @property
    def title(self) -> str:
        """What it gives, in a line."""
        return str(self.entry["title"])

    @property
    def traced(self) -> bool:
        """Does its use leave a trace that can be read here?"""
        return self.id in USES

    @property
    def here(self) -> bool:
        """Is it there as far as can be seen, or has someone answered for its absence?"""
        return bool(self.waived) or self.grade in ("present", "exercised", "practised")

    @property
    def domain(self) -> str:
        """The first part of its name."""
        return self.id.partition(".")[0]


def plain(words: str) -> str:
    """Words on one line: names of files may hold line ends, and what steers a terminal."""
    return "".join(it if it.isprintable() else it.encode("unicode_escape").decode() for it in words)


@dataclass
class Assessment:
    """A repository, judged."""

    claimed: int | None
    capabilities: list[Assessed]
    notes: list[str]
    ours: bool = True  # was it made by the template?
    deep: bool = False
    unfinished: int = 5  # the lowest level of which the template does not bring everything yet

    @property
    def highest(self) -> int:
        """The highest level of which this tool knows every capability."""
        return min(max(it.level for it in self.capabilities), self.unfinished - 1)

    @property
    def equipped(self) -> int:
        """The level up to which every capability is there, and in a deep run works; -1 below 0."""
        return self._reached(lambda it: bool(it.waived) or (it.here and not self._failed(it)))

    @property
    def practised(self) -> int:
        """The level up to which all that leaves a trace is used; at least 0."""
        used = self._reached(lambda it: it.grade == "practised" or not it.traced)
        return max(0, min(used, self.equipped))

    @property
    def open(self) -> list[Assessed]:
        """The capabilities up to the claimed level of which a deep run could not know something."""
        aim = min(self.claimed or 0, self.highest)
        return [it for it in self.capabilities if self.deep and it.level <= aim and it.untried]

    def _failed(self, it: Assessed) -> bool:
        return it.tried and it.grade not in ("exercised", "practised") and not it.untried

    def _reached(self, holds: Any) -> int:
        missed = [it.level for it in self.capabilities if not holds(it)]
        return min([*missed, self.highest + 1]) - 1


def assess(repository: Repository) -> Assessment:
    """Judge a repository by its files and by what was recorded."""
    load_checks()
    waivers, notes = waived(repository, datetime.now(UTC).date())
    found = [
        judged(repository, name, entry, waivers)
        for name, entry in repository.capabilities.items()
        if not entry.get("planned") and applies(repository, entry)
    ]
    notes += practise(repository, found) + seen(repository)
    planned = [it["level"] for it in repository.capabilities.values() if it.get("planned")]
    unfinished = min(planned, default=5)
    return Assessment(claim(repository), found, notes, repository.ours, unfinished=unfinished)


def seen(repository: Repository) -> list[str]:
    """What was read elsewhere than one expects, and what could not be read."""
    notes = []
    if repository.top != repository.root:
        place = repository.root.relative_to(repository.top)
        notes.append(
            f"{place} lies in a larger repository: a forge reads workflows only at the top of that,"
            f" so they count if they are there and name {place}"
        )
    unread = [f"{name}: {why}" for name, why in sorted(repository.unreadable.items())]
    more = [f"{len(unread) - MANY} more files cannot be read"] if len(unread) > MANY else []
    return list(map(plain, notes + unread[:MANY] + more))


def applies(repository: Repository, entry: dict[str, Any]) -> bool:
    """Does a capability concern this repository?  Without answers on record: all do."""
    asked = {"people": "affects_people", "cloud": "cloud"}.get(entry["if"], "")
    return repository.answers.get(asked) not in ("no", "none")


def claim(repository: Repository) -> int | None:
    """The level that `[tool.mlops-ladder]` claims; where it is silent, the record."""
    said = repository.table("pyproject.toml", "tool", "mlops-ladder").get("level")
    said = repository.answers.get("maturity_level") if said is None else said
    return int(str(said)) if str(said) in ("0", "1", "2", "3", "4") else None


def judged(
    repository: Repository, name: str, entry: dict[str, Any], waivers: dict[str, str]
) -> Assessed:
    """A capability by its files and records: absent, declared or present."""
    found = Assessed(name, entry, waived=waivers.get(name, ""))
    if not repository.visible(name):
        found.grade = "unknown"
        found.unknown.append("nothing in a repository that we did not make would show it")
    if not repository.own(name) and not repository.own_targets(name):
        return found
    found.look(Check(name, "sign", SUBSTANCE, lambda at: substance(at, name)), repository)
    del found.done[SUBSTANCE]
    for check in CHECKS:
        if check.capability == name and check.kind in ("sign", "record"):
            found.look(check, repository)
    found.grade = "declared" if found.problems else "present"
    return found


def practise(repository: Repository, found: Iterable[Assessed]) -> list[str]:
    """Raise to practised what the team has used on its own data, repeatedly, recently."""
    try:
        own = [run for run in repository.runs if is_own_data(run)]
        reason = "" if own else f"every run learned from the sample: {NOTHING}; {YOURS}"
    except Unknown as unknown:
        reason = plain(f"{unknown}; {NOTHING}")
    for it in found:
        if reason or not it.traced or it.grade != "present":
            continue
        try:
            it.used = sorted(USES[it.id](repository))
        except Unknown as unknown:
            it.unknown.append(plain(str(unknown)))
        except Exception as error:  # pylint: disable=broad-exception-caught  # records may lie
            it.unknown.append(plain(f"its use cannot be read: {error!r}"))
        if repeatedly(it.used):
            it.grade = "practised"
    return [reason] if reason else []


def repeatedly(times: list[datetime]) -> bool:
    """At least three times, on at least two days, the last one not long ago?"""
    recent = [it for it in times if datetime.now(UTC) - it <= RECENT]
    return len(recent) >= REPEATED and len({it.date() for it in recent}) >= DAYS
