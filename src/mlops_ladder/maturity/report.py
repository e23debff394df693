"""The report of an assessment: for a terminal, a program or a pull request."""

import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mlops_ladder.maturity import CHECKS
from mlops_ladder.maturity.capabilities import read_capabilities
from mlops_ladder.maturity.grading import Assessed, Assessment, MIN_DAYS, MIN_TIMES, RECENT

POINTS = {"exercised": 0.5, "practised": 1.0}
MAX_ACTIONS = 5
MAX_EXAMPLES = 6  # of files that show a capability
DONE = "Nothing is left to do up to this level."
BEYOND = "levels above {} are not judged yet by this version"


@cache
def read_words() -> dict[str, Any]:
    """Return the titles, marks, colours and templates of report.toml."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))


def name_level(level: int) -> str:
    """Return the name of a level in capabilities.yml."""
    return str(read_capabilities()["levels"][level]["name"])


def get_exit_code(assessment: Assessment) -> int:
    """Return 0 if the claim is upheld, or there is none; 1 if it is not; 2 if that is unknown."""
    if assessment.claimed is None:
        return 0
    aim = min(assessment.claimed, assessment.highest)
    if assessment.equipped >= aim:
        return 2 if assessment.undecided else 0
    lacking = [one for one in assessment.capabilities if one.level <= aim and not one.is_here]
    return 2 if lacking and all(one.grade == "unknown" for one in lacking) else 1


def format_headline(assessment: Assessment) -> str:
    """Return the claimed, the equipped and the practised level in a line."""
    claimed = "nothing" if assessment.claimed is None else assessment.claimed
    equipped = assessment.equipped if assessment.equipped >= 0 else "below 0"
    return f"claimed {claimed} | equipped {equipped} | practised {assessment.practised}"


def group_by_domain(assessment: Assessment) -> Iterator[tuple[str, list[Assessed]]]:
    """Yield the title of each domain, and its capabilities."""
    for prefix, title in read_words()["domains"].items():
        if members := [one for one in assessment.capabilities if one.domain == prefix]:
            yield title, members


def format_state(one: Assessed) -> str:
    """Return a grade in words, or "waived"; it says if something is unknown."""
    if one.waived:
        return f"waived: {one.waived}"
    is_doubtful = one.unknown + one.untried and one.grade not in ("absent", "unknown")
    return f"{one.grade}{', some unknown' if is_doubtful else ''}"


def list_actions(assessment: Assessment) -> list[Assessed]:
    """Return the capabilities to work on next: the broken, the missing, then the unused ones."""
    aim = max(min(assessment.claimed or 0, assessment.highest), assessment.equipped + 1)
    broken = [one for one in assessment.capabilities if one.level <= aim and not one.is_here]
    broken = [one for one in broken if one.grade != "unknown"]
    if broken:
        return sorted(broken, key=lambda one: (one.level, one.grade != "declared"))[:MAX_ACTIONS]
    grades = ("present", "exercised")
    idle = [one for one in assessment.capabilities if one.has_trace and one.grade in grades]
    return sorted(idle, key=lambda one: one.level)[:MAX_ACTIONS]


def format_way(assessment: Assessment, one: Assessed) -> str:
    """Return the command that improves a capability, its file and time; or what would show it."""
    entry, takes = one.entry, one.entry.get("takes", "an hour")
    climb = f"make climb LEVEL={one.level}"
    command = climb if one.grade == "absent" else entry.get("do", "make help")
    if assessment.ours:
        return f"{command}   ({entry.get('file', 'README.md')}; {takes})"
    imports = ", ".join(entry.get("imports", [])[:MAX_EXAMPLES])
    paths = ", ".join(path.replace("*", "…") for path in entry.get("elsewhere", [])[:MAX_EXAMPLES])
    sought = [f"code that imports one of: {imports}"] if imports else []
    sought += [f"one of these files or folders: {paths}"] if paths else []
    return f"looked for {' or '.join(sought)}   ({takes})" if sought else f"({takes})"


def format_reason(one: Assessed) -> str:
    """Return the reason for an action: a problem, or that a capability is absent or unused."""
    if one.problems:
        return one.problems[0]
    if one.grade == "absent":
        return f"absent: {one.title}"
    times = {0: "never", 1: "once"}.get(len(one.used), f"{len(one.used)} times")
    rule = f"{MIN_TIMES} times on {MIN_DAYS} days within {RECENT.days} days"
    return f"used {times}; practised is {rule}"


def score_sections(assessment: Assessment) -> dict[str, float]:
    """Return the points of each section of the ML Test Score, 0 to 7."""
    points = {one.id: POINTS.get(one.grade, 0.0) for one in assessment.capabilities}
    return {
        section: sum(min(points.get(name, 0.0) for name in names) for names in tests.values())
        for section, tests in read_words()["ml_test_score"].items()
    }


def format_test_score(assessment: Assessment) -> str:
    """Return the ML Test Score in a line."""
    points = score_sections(assessment)
    parts = ", ".join(f"{name} {value:g}" for name, value in points.items())
    return f"ML Test Score {min(points.values()):g} of 7, the least of: {parts}"


def render_text(assessment: Assessment) -> str:
    """For a terminal: headline, profile, score, next actions."""
    marks = {grade: facts.get("mark") for grade, facts in read_words()["grades"].items()}
    lines = [format_headline(assessment), ""]
    for title, members in group_by_domain(assessment):
        profile = "  ".join(f"{marks[one.grade]} {one.id}" for one in members)
        lines.append(f"{title:15} {profile}")
    legend = "  ".join(f"{mark} {grade}" for grade, mark in marks.items() if mark)
    lines += ["", legend, format_test_score(assessment)]
    if assessment.claimed is not None and assessment.claimed > assessment.highest:
        lines.append(BEYOND.format(assessment.highest))
    lines += [f"note: {note}" for note in assessment.notes]
    for one in assessment.capabilities:
        lines += [f"unknown: {one.id}: {reason}" for reason in one.untried]
        lines += [f"{one.id}: {format_state(one)}"] if one.waived else []
    return "\n".join([*lines, "", render_next_actions(assessment)])


def render_next_actions(assessment: Assessment) -> str:
    """At most five next actions, each with its command, its file and what it takes."""
    actions = [
        f"{number}. {one.id}: {format_reason(one)}\n    {format_way(assessment, one)}"
        for number, one in enumerate(list_actions(assessment), 1)
    ]
    return "\n".join(["Next:", *actions] if actions else [DONE])


def render_json(assessment: Assessment) -> str:
    """For a program: everything."""
    facts = {
        "claimed": assessment.claimed,
        "equipped": assessment.equipped,
        "practised": assessment.practised,
        "exit": get_exit_code(assessment),
        "deep": assessment.deep,
        "ml_test_score": score_sections(assessment),
        "notes": assessment.notes,
        "capabilities": [list_facts(one) for one in assessment.capabilities],
    }
    return json.dumps(facts, indent=2, default=str, ensure_ascii=False)


def list_facts(one: Assessed) -> dict[str, object]:
    """Return what is known about a capability."""
    facts: dict[str, object] = {"id": one.id, "level": one.level, "title": one.title}
    facts |= {"grade": one.grade, "state": format_state(one), "waived": one.waived}
    facts |= {"used": one.used, "problems": one.problems}
    return facts | {"unknown": one.unknown + one.untried, "done": one.done}


def escape_markdown(text: str) -> str:
    """Return a text escaped for Markdown, without markup, HTML or links."""
    return re.sub(r"[&<>|`\[\]*_~\\]", lambda mark: f"&#{ord(mark[0])};", text)


def render_markdown(assessment: Assessment) -> str:
    """For a pull request: headline, a table of domains, what is wrong, next actions."""
    headline = format_headline(assessment)
    lines = [f"### Maturity: {headline}", "", "| domain | capabilities |", "|---|---|"]
    for title, members in group_by_domain(assessment):
        cells = " · ".join(f"{one.id} *{one.shown_grade}*" for one in members)
        lines.append(f"| {title} | {cells} |")
    problems = [
        f"- `{one.id}`: {escape_markdown(problem)}"
        for one in assessment.capabilities
        for problem in one.problems
    ]
    lines += ["", *(["**Wrong**", "", *problems, ""] if problems else [])]
    lines += [
        f"{format_test_score(assessment)}.",
        "",
        "```",
        render_next_actions(assessment),
        "```",
    ]
    return "\n".join(lines)


def explain_capability(assessment: Assessment, name: str) -> str:
    """Return all that is known about one capability, and what proves it."""
    one = next(one for one in assessment.capabilities if one.id == name)
    lines = [f"{one.id}, level {one.level}: {one.title}", f"state: {format_state(one)}"]
    lines.append("what proves it:")
    for check in CHECKS:
        if check.capability == name:
            result = one.done.get(check.promise, "")
            lines.append(f"  {check.kind:6} {check.promise}{f' ({result})' if result else ''}")
    lines += [f"wrong: {problem}" for problem in one.problems]
    lines += [f"unknown: {reason}" for reason in one.unknown + one.untried]
    if one.used:
        lines.append(f"used: {len(one.used)} times, last on {max(one.used):%Y-%m-%d}")
    lines += [
        f"ML Test Score, {section}: {test}"
        for section, tests in read_words()["ml_test_score"].items()
        for test, names in tests.items()
        if name in names
    ]
    return "\n".join([*lines, f"to use it: {format_way(assessment, one)}"])
