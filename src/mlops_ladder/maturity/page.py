"""The report of an assessment as a page for people who do not read code, and as a badge."""

from html import escape
from pathlib import Path
from string import Template

from mlops_ladder.maturity import report
from mlops_ladder.maturity.grading import Assessed, Assessment

LEVELS = range(5)
MAX_PROBLEMS = 3  # shown for a capability


class Html(str):
    """A text that is already HTML, and is not escaped again."""


def fill_part(part: str, **values: object) -> Html:
    """Return a part of the page, filled with these values; values that are not Html are escaped."""
    texts = {k: v if isinstance(v, Html) else escape(str(v)) for k, v in values.items()}
    return Html(Template(report.read_words()["html"][part]).substitute(texts))


def join(parts: list[Html]) -> Html:
    """Return parts of the page as one."""
    return Html("".join(parts))


def get_colour(grade: str) -> str:
    """Return the colour of a grade."""
    return str(report.read_words()["grades"][grade]["colour"])


def draw_ladder(assessment: Assessment) -> Html:
    """Return the five levels as steps, with a square for each capability."""
    steps = join([draw_step(assessment, level) for level in LEVELS])
    return fill_part("ladder", headline=report.format_headline(assessment), steps=steps)


def draw_step(assessment: Assessment, level: int) -> Html:
    """Return a level of the ladder, with the names of the levels that are this one."""
    members = [one for one in assessment.capabilities if one.level == level]
    levels = {name: getattr(assessment, name) for name in ("claimed", "equipped", "practised")}
    marks = ", ".join(name for name, value in levels.items() if value == level)
    place = {"left": 10 + level * 60, "top": 240 - level * 55, "width": 770 - level * 60}
    texts = {"level": level, "name": report.name_level(level)}
    texts |= {"words": marks if members else "not judged yet"}
    squares = join([draw_square(one, number) for number, one in enumerate(members)])
    colour = "#e4f0e4" if level <= assessment.equipped else "#f4f4f4"
    return fill_part("step", colour=colour, squares=squares, **place, **texts)


def draw_square(one: Assessed, number: int) -> Html:
    """Return a capability on its step; its name and grade appear under the mouse."""
    left, top, colour = 200 + number % 15 * 24, 5 + number // 15 * 22, get_colour(one.shown_grade)
    state = report.format_state(one)
    return fill_part("square", left=left, top=top, colour=colour, id=one.id, state=state)


def make_row(one: Assessed, heading: Html) -> Html:
    """Return a capability as a row of the table, after the heading of its domain."""
    problems = [fill_part("problem", problem=words) for words in one.problems[:MAX_PROBLEMS]]
    dot = fill_part("dot", colour=get_colour(one.shown_grade))
    facts = {"title": one.title.replace("`", ""), "id": one.id, "level": one.level}
    facts |= {"state": report.format_state(one), "problems": join(problems)}
    return fill_part("row", heading=heading, dot=dot, **facts)


def make_action(assessment: Assessment, one: Assessed) -> Html:
    """Return a next action."""
    way = report.format_way(assessment, one)
    return fill_part("action", id=one.id, reason=report.format_reason(one), way=way)


def make_dot(facts: dict[str, str]) -> Html:
    """Return a dot in the colour of a grade."""
    return fill_part("dot", colour=facts["colour"])


def render_page(assessment: Assessment) -> str:
    """A page for people who do not read code: the ladder, what is there, what is next."""
    grades = [
        fill_part("grade", dot=make_dot(facts), grade=grade, meaning=facts["meaning"])
        for grade, facts in report.read_words()["grades"].items()
    ]
    actions = [make_action(assessment, one) for one in report.list_actions(assessment)]
    rows = [
        make_row(one, Html() if number else fill_part("heading", rows=len(members), title=title))
        for title, members in report.group_by_domain(assessment)
        for number, one in enumerate(members)
    ]
    page = Path(__file__).with_suffix(".html").read_text("utf-8")
    return Template(page).substitute(
        headline=escape(report.format_headline(assessment)),
        ladder=draw_ladder(assessment),
        scores=escape(report.format_test_score(assessment)),
        notes=join([fill_part("note", note=note) for note in assessment.notes]),
        todo=join(actions or [fill_part("done", text=report.DONE)]),
        rows=join(rows),
        words=join(grades),
    )


def render_badge(assessment: Assessment) -> str:
    """A badge as SVG: the equipped and the practised level."""
    text = f"equipped {max(assessment.equipped, 0)} · practised {assessment.practised}"
    aim = min(assessment.claimed or 0, assessment.highest)
    is_upheld = assessment.claimed is not None and assessment.equipped >= aim
    return fill_part("badge", text=text, fill=get_colour("exercised" if is_upheld else "declared"))
