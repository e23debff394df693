"""The page of the simulation: each scenario with expectations, results and plots."""

import html
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlops_ladder.model.figures import create_figure
from mlops_ladder.monitoring.page import embed_figure, render_page, render_table
from mlops_ladder.simulation.observations import count_days, Story
from mlops_ladder.simulation.timeline import CHANGE, DELAY

COLORS = {"v1": "tab:blue", "v2": "tab:orange"}
BAD = "#b3261e"
MARKS = {"trigger": "tab:red", "gate": "black", "rollout": "tab:green"}


def draw_story(story: Story) -> Figure:
    """Return three plots over the days, with a line at each decision."""
    figure = create_figure(10, 8.4)
    plots = figure.subplots(3, 1, sharex=True)
    for axes, draw in zip(plots, (draw_requests, draw_drift, draw_scores), strict=True):
        draw(axes, story)
        axes.spines[["top", "right"]].set_visible(False)
        axes.axvline(CHANGE, color="grey", linestyle=":")
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    draw_decisions(plots[0], story)
    plots[-1].set(xlabel="day of the simulation (dotted: the change begins)")
    plots[-1].set_xticks(range(1, int(story.traffic["day"].max()) + 2))
    return figure


def draw_requests(axes: Axes, story: Story) -> None:
    """Draw the requests of each day by the version that answered."""
    counts = pd.crosstab(story.traffic["day"], story.traffic["model"])
    below = counts.cumsum(axis=1) - counts
    for name in counts:
        options: Any = {"bottom": below[name], "label": name, "color": COLORS.get(str(name))}
        axes.bar(counts.index + 0.5, counts[name], 0.8, **options)
    title = f"Traffic: {story.about['requests']:,} requests, {len(story.about['failed'])} failed"
    axes.set(title=title, ylabel="requests a day, by version")


def draw_drift(axes: Axes, story: Story) -> None:
    """Draw the effect of each column in each report; drifted columns are labelled."""
    verdicts = story.verdicts
    for name, part in verdicts.groupby("column") if len(verdicts) else ():
        bad = part["drifted"].any()
        label, color = (str(name)[:24], BAD) if bad else (None, "#c3c9d2")
        days = part["time"].map(count_days)
        axes.plot(days, part["effect"], marker="o", color=color, label=label, zorder=2 + bad)
    least = story.about["effect"]
    axes.axhline(least, color=BAD, linestyle="--", lw=1, label="smallest that is drift")
    title = "Drift: each column at each look; red has drifted"
    axes.set(title=title, ylabel="effect (Cohen)", ylim=(0, None))


def draw_scores(axes: Axes, story: Story) -> None:
    """Draw the live score of each version by day."""
    for name, part in story.live.groupby("model"):
        color = COLORS.get(str(name))
        axes.plot(part["day"] + 0.5, part["score"], marker="o", label=name, color=color)
    metric, promised = story.about["metric"], story.about["promised"]
    if promised is not None:
        axes.axhline(promised, color="black", linestyle="--", lw=1, label="promised of v1")
    title = f"Live {metric} on the rows of each day; its outcomes are known {DELAY} day later"
    axes.set(title=title, ylabel=metric)


def draw_decisions(axes: Axes, story: Story) -> None:
    """Draw a line and a word at each decision."""
    top = axes.get_ylim()[1]
    axes.set_ylim(0, 1.5 * top)
    heights: dict[float, int] = {}
    for when, text in story.events:
        kind, _, words = text.partition(": ")
        if kind not in MARKS or when < 1:
            continue
        place = heights[when] = heights.get(when, -1) + 1
        axes.axvline(when, color=MARKS[kind], lw=1)
        word = f"{kind}: {words.partition(' ')[0].strip(':')} "
        height = (1.46 - 0.14 * (place % 3)) * top
        axes.text(when, height, word, ha="right", va="top", fontsize=8, color=MARKS[kind])


def render_simulation_page(stories: list[Story], about: str) -> str:
    """Return the page as HTML that needs no other file."""
    rows = []
    for story in stories:
        verdict = "not as expected" if story.wrong else "as expected"
        counts = f"{story.about['requests']:,}", len(story.about["failed"])
        rows.append(((story.name, story.scenario.title, *counts, verdict), bool(story.wrong)))
    table = render_table(["scenario", "what happens", "requests", "failed", "verdict"], rows)
    sections = map(render_section, stories)
    return render_page("The loop, simulated", html.escape(about), table, *sections)


def render_section(story: Story) -> str:
    """Return the section of a scenario: pictures, results beside expectations, events."""
    rows, scenario = [], story.scenario
    for name, value in story.seen.items():
        expected = "either" if name in scenario.either else scenario.expected[name]
        is_wrong = any(line.startswith(f"{name}: ") for line in story.wrong)
        rows.append(((name, expected, value), is_wrong))
    events = [((f"{when:.1f}", text), False) for when, text in story.events]
    title = html.escape(f"{story.name}: {scenario.title}")
    return f"""<section id="{html.escape(story.name)}"><h2>{title}</h2>
<img alt="{title}, day by day" src="{embed_figure(draw_story(story))}">
{render_table(["what", "expected", "seen"], rows)}
<h3>What happened</h3>
{render_table(["day", "event"], events)}
</section>"""
