"""What was found, for a terminal, a program or a pull request."""

import json
import re
from collections.abc import Iterator

from mlops_ladder.maturity import CHECKS
from mlops_ladder.maturity.grading import Assessed, Assessment, DAYS, RECENT, REPEATED
from mlops_ladder.maturity.score import SECTIONS, sums

NAMES = ("Ad hoc", "Initial", "Managed", "Defined", "Optimized")
DOMAINS = {
    "repo": "Repository",
    "env": "Environment",
    "data": "Data",
    "feature": "Features",
    "tracking": "Tracking",
    "model": "Model",
    "doc": "Documents",
    "ci": "Integration",
    "pipeline": "Pipeline",
    "registry": "Registry",
    "serving": "Serving",
    "cd": "Delivery",
    "monitor": "Monitoring",
    "infra": "Infrastructure",
    "gov": "Governance",
}
MARKS = {
    "unknown": "?",
    "absent": "·",
    "declared": "!",
    "present": "+",
    "exercised": "*",
    "practised": "#",
}
ACTIONS = 5
SOUGHT = 6  # examples of what a capability would be seen by
DONE = "Nothing is left to do up to this level."
BEYOND = "levels above {} are not judged yet by this version"


def code(found: Assessment) -> int:
    """0: the claim is upheld, or there is none.  1: it is not.  2: that cannot be known."""
    if found.claimed is None:
        return 0
    aim = min(found.claimed, found.highest)
    if found.equipped >= aim:
        return 2 if found.open else 0
    lacking = [it for it in found.capabilities if it.level <= aim and not it.here]
    return 2 if lacking and all(it.grade == "unknown" for it in lacking) else 1


def headline(found: Assessment) -> str:
    """The claimed, the equipped and the practised level in a line."""
    said = "nothing" if found.claimed is None else found.claimed
    equipped = found.equipped if found.equipped >= 0 else "below 0"
    return f"claimed {said} | equipped {equipped} | practised {found.practised}"


def by_domain(found: Assessment) -> Iterator[tuple[str, list[Assessed]]]:
    """The capabilities of each domain, in the order of the domains."""
    for prefix, name in DOMAINS.items():
        if members := [it for it in found.capabilities if it.domain == prefix]:
            yield name, members


def state(it: Assessed) -> str:
    """A grade in words: waived stands above it, unknown beside it."""
    if it.waived:
        return f"waived: {it.waived}"
    doubtful = it.unknown + it.untried and it.grade not in ("absent", "unknown")
    return f"{it.grade}{', some unknown' if doubtful else ''}"


def actions(found: Assessment) -> list[Assessed]:
    """What to do next, the lowest level first: what is broken, then missing, then unused."""
    aim = max(min(found.claimed or 0, found.highest), found.equipped + 1)
    broken = [it for it in found.capabilities if it.level <= aim and not it.here]
    broken = [it for it in broken if it.grade != "unknown"]
    if broken:
        return sorted(broken, key=lambda it: (it.level, it.grade != "declared"))[:ACTIONS]
    idle = [it for it in found.capabilities if it.traced and it.grade in ("present", "exercised")]
    return sorted(idle, key=lambda it: it.level)[:ACTIONS]


def way(found: Assessment, it: Assessed) -> str:
    """The command that brings a capability on, where one does; its file, and what it takes."""
    entry = it.entry
    climb = f"make climb LEVEL={it.level}"
    command = climb if it.grade == "absent" else entry.get("do", "make help")
    takes = entry.get("takes", "an hour")
    if found.ours:
        return f"{command}   ({entry.get('file', 'README.md')}; {takes})"
    imports = ", ".join(entry.get("imports", [])[:SOUGHT])
    files = ", ".join(it.replace("*", "…") for it in entry.get("elsewhere", [])[:SOUGHT])
    sought = [f"code that imports one of: {imports}"] if imports else []
    sought += [f"one of these files or folders: {files}"] if files else []
    return f"looked for {' or '.join(sought)}   ({takes})" if sought else f"({takes})"


def reasons(it: Assessed) -> str:
    """Why something is to be done about a capability."""
    return it.problems[0] if it.problems else why(it)


def why(it: Assessed) -> str:
    """Why something is not there, or not in use."""
    if it.grade == "absent":
        return f"absent: {it.title}"
    times = {0: "never", 1: "once"}.get(len(it.used), f"{len(it.used)} times")
    return f"used {times}; practised is {REPEATED} times on {DAYS} days within {RECENT.days} days"


def scores(found: Assessment) -> str:
    """The sums of the ML Test Score."""
    points = sums(found.capabilities)
    parts = ", ".join(f"{name} {value:g}" for name, value in points.items())
    return f"ML Test Score {min(points.values()):g} of 7, the least of: {parts}"


def as_text(found: Assessment) -> str:
    """For a terminal: headline, profile, score, next actions."""
    lines = [headline(found), ""]
    for name, members in by_domain(found):
        marks = "  ".join(f"{MARKS[it.grade]} {it.id}" for it in members)
        lines.append(f"{name:15} {marks}")
    legend = "  ".join(f"{mark} {grade}" for grade, mark in MARKS.items())
    lines += ["", legend, scores(found)]
    if found.claimed is not None and found.claimed > found.highest:
        lines.append(BEYOND.format(found.highest))
    lines += [f"note: {note}" for note in found.notes]
    for it in found.capabilities:
        lines += [f"unknown: {it.id}: {reason}" for reason in it.untried]
        lines += [f"{it.id}: {state(it)}"] if it.waived else []
    return "\n".join([*lines, "", as_next(found)])


def as_next(found: Assessment) -> str:
    """At most five next actions, each with its command, its file and what it takes."""
    told = [
        f"{place}. {it.id}: {reasons(it)}\n    {way(found, it)}"
        for place, it in enumerate(actions(found), 1)
    ]
    return "\n".join(["Next:", *told] if told else [DONE])


def as_json(found: Assessment) -> str:
    """For a program: everything."""
    known = {
        "claimed": found.claimed,
        "equipped": found.equipped,
        "practised": found.practised,
        "exit": code(found),
        "deep": found.deep,
        "ml_test_score": sums(found.capabilities),
        "notes": found.notes,
        "capabilities": [facts(it) for it in found.capabilities],
    }
    return json.dumps(known, indent=2, default=str, ensure_ascii=False)


def facts(it: Assessed) -> dict[str, object]:
    """A capability in plain words."""
    known: dict[str, object] = {"id": it.id, "level": it.level, "title": it.title}
    known |= {"grade": it.grade, "state": state(it), "waived": it.waived, "used": it.used}
    return known | {"problems": it.problems, "unknown": it.unknown + it.untried, "done": it.done}


def as_words(text: str) -> str:
    """A text as words of Markdown: nothing in it is markup, HTML or a link."""
    return re.sub(r"[&<>|`\[\]*_~\\]", lambda sign: f"&#{ord(sign[0])};", text)


def as_markdown(found: Assessment) -> str:
    """For a pull request: headline, a table of domains, what is wrong, next actions."""
    lines = [f"### Maturity: {headline(found)}", "", "| domain | capabilities |", "|---|---|"]
    for name, members in by_domain(found):
        cells = " · ".join(f"{it.id} *{'waived' if it.waived else it.grade}*" for it in members)
        lines.append(f"| {name} | {cells} |")
    wrong = [
        f"- `{it.id}`: {as_words(words)}" for it in found.capabilities for words in it.problems
    ]
    lines += ["", *(["**Wrong**", "", *wrong, ""] if wrong else [])]
    lines += [f"{scores(found)}.", "", "```", as_next(found), "```"]
    return "\n".join(lines)


def explained(found: Assessment, name: str) -> str:
    """All that is known about one capability, and what proves it."""
    it = next(it for it in found.capabilities if it.id == name)
    lines = [f"{it.id}, level {it.level}: {it.title}", f"state: {state(it)}", "what proves it:"]
    for check in CHECKS:
        if check.capability == name:
            result = it.done.get(check.promise, "")
            lines.append(f"  {check.kind:6} {check.promise}{f' ({result})' if result else ''}")
    lines += [f"wrong: {words}" for words in it.problems]
    lines += [f"unknown: {words}" for words in it.unknown + it.untried]
    if it.used:
        lines.append(f"used: {len(it.used)} times, last on {max(it.used):%Y-%m-%d}")
    lines += [
        f"ML Test Score, {section}: {words}"
        for section, items in SECTIONS.items()
        for words, names in items
        if name in names
    ]
    return "\n".join([*lines, f"to use it: {way(found, it)}"])
