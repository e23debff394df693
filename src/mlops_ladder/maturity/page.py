"""What was found, as a page that a manager can read, and as a badge."""

from html import escape
from importlib.resources import files
from string import Template

from mlops_ladder.maturity import report
from mlops_ladder.maturity.grading import Assessed, Assessment
from mlops_ladder.maturity.report import NAMES

GRADES = {  # the colour of each, and what it means
    "unknown": ("#ffffff", "cannot be seen from here"),
    "absent": ("#d0d4d9", "nothing of it is here"),
    "declared": ("#e0a800", "there are files, and they do not hold what they promise"),
    "present": ("#8fbf8f", "all that can be seen without trying is as it should be"),
    "exercised": ("#2e8b57", "tried: it works, and planted faults are caught"),
    "practised": ("#1f5f99", "the team has used it on its own data, repeatedly, recently"),
    "waived": ("#9a7fb8", "two people answer for its absence, until a date"),
}


def colour(it: Assessed) -> str:
    """The colour of a capability."""
    return GRADES["waived" if it.waived else it.grade][0]


def ladder(found: Assessment) -> str:
    """The five levels as steps, with a square for each capability."""
    steps = "".join(step(found, level) for level in range(len(NAMES)))
    told = escape(report.headline(found))
    return f'<svg viewBox="0 0 790 300" role="img" aria-label="{told}">{steps}</svg>'


def step(found: Assessment, level: int) -> str:
    """A level of the ladder."""
    top, left = 240 - level * 55, 10 + level * 60
    members = [it for it in found.capabilities if it.level == level]
    words = ", ".join(marks(found, level)) if members else "not judged yet"
    fill = "#e4f0e4" if level <= found.equipped else "#f4f4f4"
    return "".join(
        [
            f'<rect x="{left}" y="{top}" width="{780 - left}" height="50" fill="{fill}"/>',
            f'<text x="{left + 8}" y="{top + 20}" font-weight="bold">{level} {NAMES[level]}</text>',
            f'<text x="{left + 8}" y="{top + 40}" font-size="13">{words}</text>',
            *(square(it, left + 200, top + 5, place) for place, it in enumerate(members)),
        ]
    )


def square(it: Assessed, left: int, top: int, place: int) -> str:
    """A capability on its step; its name and grade are shown to a mouse."""
    x, y = left + place % 15 * 24, top + place // 15 * 22
    told = f"<title>{escape(it.id)}: {escape(report.state(it))}</title>"
    return f'<rect x="{x}" y="{y}" width="18" height="18" rx="3" fill="{colour(it)}">{told}</rect>'


def marks(found: Assessment, level: int) -> list[str]:
    """The words that stand on a step."""
    known = {"claimed": found.claimed, "equipped": found.equipped, "practised": found.practised}
    return [name for name, value in known.items() if value == level]


def dot(fill: str) -> str:
    """A round mark in a colour."""
    return f'<span class="dot" style="background:{fill}"></span>'


def row(name: str, it: Assessed, first: int) -> str:
    """A line of the table of capabilities."""
    head = f'<th rowspan="{first}">{name}</th>' if first else ""
    faults = "".join(f"<br><small>{escape(words)}</small>" for words in it.problems[:3])
    shown = f"{escape(it.title.replace('`', ''))}<br><small>{it.id}, level {it.level}</small>"
    grade = f"{dot(colour(it))}{escape(report.state(it))}{faults}"
    return f"<tr>{head}<td>{shown}</td><td>{grade}</td></tr>"


def todo(found: Assessment, it: Assessed) -> str:
    """A next action."""
    how = escape(report.way(found, it))
    return f"<li><b>{it.id}</b>: {escape(report.reasons(it))}<br><code>{how}</code></li>"


def as_html(found: Assessment) -> str:
    """A page for people who do not read code: the ladder, what is there, what is next."""
    rows = [
        row(name, it, len(members) if not place else 0)
        for name, members in report.by_domain(found)
        for place, it in enumerate(members)
    ]
    words = [
        f"<tr><td>{dot(fill)}{grade}</td><td>{meaning}</td></tr>"
        for grade, (fill, meaning) in GRADES.items()
    ]
    page = (files(__package__) / "page.html").read_text("utf-8")
    return Template(page).substitute(
        headline=escape(report.headline(found)),
        ladder=ladder(found),
        scores=escape(report.scores(found)),
        notes="".join(f"<p><small>{escape(note)}</small></p>" for note in found.notes),
        todo="".join(todo(found, it) for it in report.actions(found)) or f"<li>{report.DONE}</li>",
        rows="".join(rows),
        words="".join(words),
    )


def as_badge(found: Assessment) -> str:
    """A badge as SVG: the equipped and the practised level."""
    text = f"equipped {max(found.equipped, 0)} · practised {found.practised}"
    good = found.claimed is not None and found.equipped >= min(found.claimed, found.highest)
    fill = GRADES["exercised" if good else "declared"][0]
    font = 'font-family="Verdana,sans-serif" font-size="11" fill="#fff"'
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="236" height="20" role="img" '
        f'aria-label="maturity: {text}"><rect width="66" height="20" fill="#555"/>'
        f'<rect x="66" width="170" height="20" fill="{fill}"/>'
        f'<text x="8" y="14" {font}>maturity</text><text x="74" y="14" {font}>{text}</text></svg>'
    )
