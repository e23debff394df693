"""The page of the simulation: each scenario with what was expected, what was seen, and pictures."""

import html

from mlops_ladder.monitoring.watch import embedded, STYLE
from mlops_ladder.simulation.observations import Story
from mlops_ladder.simulation.plots import picture

MORE = "pre { white-space: pre-wrap } section { border-top: 2px solid #d8dde5; margin-top: 2.4rem }"


def page(stories: list[Story], about: str) -> str:
    """The page as HTML that needs no other file."""
    lines = "".join(
        f'<tr><td><a href="#{html.escape(it.name)}">{html.escape(it.name)}</a>'
        f"<td>{html.escape(it.scenario.title)}"
        f"<td>{it.about['requests']:,}<td>{len(it.about['failed'])}"
        f"<td{' class=bad>not as expected' if it.wrong else '>as expected'}"
        for it in stories
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>The simulation</title>'
        f"<style>{STYLE}{MORE}</style><h1>The loop, simulated</h1>"
        f'<p class="note">{html.escape(about)}</p>'
        "<table><tr><th>scenario<th>what happens<th>requests<th>failed<th>verdict"
        f"{lines}</table>{''.join(map(section, stories))}</html>\n"
    )


def section(story: Story) -> str:
    """A scenario."""
    rows = "".join(
        f"<tr><td>{html.escape(name)}<td>{html.escape(expected(story, name))}"
        f"<td{marked(story, name)}>{html.escape(value)}"
        for name, value in story.seen.items()
    )
    events = "".join(f"<tr><td>{when:.1f}<td>{html.escape(text)}" for when, text in story.events)
    return (
        f'<section id="{html.escape(story.name)}"><h2>{html.escape(story.name)}:'
        f" {html.escape(story.scenario.title)}</h2>"
        f'<img alt="{html.escape(story.name)}, day by day" src="{embedded(picture(story))}">'
        f"<table><tr><th>what<th>expected<th>seen{rows}</table>"
        f"<h3>What happened</h3><table><tr><th>day<th>event{events}</table></section>"
    )


def expected(story: Story, name: str) -> str:
    """What was expected, in words."""
    return "either" if name in story.scenario.either else story.scenario.expected[name]


def marked(story: Story, name: str) -> str:
    """The mark of a cell: what is not as expected is red."""
    return " class=bad" if any(line.startswith(f"{name}: ") for line in story.wrong) else ""
