"""The page of the simulation: each scenario with expectations, results and plots."""

import html
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlops_ladder.model.figures import create_figure
from mlops_ladder.monitoring.page import embed_figure, render_page
from mlops_ladder.simulation.observations import count_days, Story
from mlops_ladder.simulation.timeline import CHANGE, DELAY
from mlops_ladder.templates import render_template

TEMPLATE = Path(__file__).with_name("stories.html.j2")
COLORS = {"v1": "tab:blue", "v2": "tab:orange"}
BAD = "#b3261e"
MARKS = {"trigger:": "tab:red", "gate:": "black", "rollout:": "tab:green"}


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
    title = f"Traffic: {story.requests:,} requests, {story.seen['failed requests']} failed"
    axes.set(title=title, ylabel="requests a day, by version")


def draw_drift(axes: Axes, story: Story) -> None:
    """Draw the effect of each column in each report; drifted columns are labelled."""
    verdicts = story.verdicts
    for name, part in verdicts.groupby("column") if len(verdicts) else ():
        bad = part["drifted"].any()
        label, color = (str(name)[:24], BAD) if bad else (None, "#c3c9d2")
        days = part["time"].map(count_days)
        axes.plot(days, part["effect"], marker="o", color=color, label=label, zorder=2 + bad)
    axes.axhline(
        story.settings.drift.effect, color=BAD, linestyle="--", lw=1, label="smallest that is drift"
    )
    title = "Drift: each column at each look; red has drifted"
    axes.set(title=title, ylabel="effect (Cohen)", ylim=(0, None))


def draw_scores(axes: Axes, story: Story) -> None:
    """Draw the live score of each version by day."""
    for name, part in story.live.groupby("model"):
        color = COLORS.get(str(name))
        axes.plot(part["day"] + 0.5, part["score"], marker="o", label=name, color=color)
    if story.promised is not None:
        axes.axhline(story.promised, color="black", linestyle="--", lw=1, label="promised of v1")
    metric = story.settings.metric
    title = f"Live {metric} on the rows of each day; its outcomes are known {DELAY} day later"
    axes.set(title=title, ylabel=metric)


def draw_decisions(axes: Axes, story: Story) -> None:
    """Draw a line and a word at each decision."""
    top = axes.get_ylim()[1]
    axes.set_ylim(0, 1.5 * top)
    for place, (when, text) in enumerate(story.events):
        kind, decision = text.split()[:2]
        color = MARKS.get(kind)
        if color and when >= 1:
            axes.axvline(when, color=color, lw=1)
            word, height = f"{kind} {decision.strip(':')} ", (1.46 - 0.14 * (place % 3)) * top
            axes.text(when, height, word, ha="right", va="top", fontsize=8, color=color)


def render_simulation_page(stories: list[Story], about: str) -> str:
    """Return the page as HTML that needs no other file."""
    sources = [embed_figure(draw_story(story)) for story in stories]
    body = render_template(TEMPLATE, stories=list(zip(stories, sources, strict=True)))
    return render_page("The loop, simulated", html.escape(about), body)
