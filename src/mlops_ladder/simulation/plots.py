"""The pictures of a scenario: requests by version, drift, and the live score, day by day."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlops_ladder.model.figures import empty_figure
from mlops_ladder.simulation.observations import day, Story
from mlops_ladder.simulation.timeline import CHANGE, DELAY

COLORS = {"v1": "tab:blue", "v2": "tab:orange"}
BAD = "#b3261e"
MARKS = {"trigger": "tab:red", "gate": "black", "rollout": "tab:green"}


def picture(story: Story) -> Figure:
    """Three plots over one axis of days, with a line where something was decided."""
    figure = empty_figure(10, 8.4)
    top, middle, bottom = figure.subplots(3, 1, sharex=True)
    requests(top, story)
    drifts(middle, story)
    scores(bottom, story)
    for axes in (top, middle, bottom):
        axes.spines[["top", "right"]].set_visible(False)
        axes.axvline(CHANGE, color="grey", linestyle=":")
        handles, _ = axes.get_legend_handles_labels()
        if handles:
            axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    decisions(top, story)
    bottom.set(xlabel="day of the simulation (dotted: the change begins)")
    bottom.set_xticks(range(1, int(story.traffic["day"].max()) + 2))
    return figure


def requests(axes: Axes, story: Story) -> None:
    """How many requests each version has answered on each day."""
    counts = pd.crosstab(story.traffic["day"], story.traffic["model"])
    below = np.zeros(len(counts))
    for name in counts:
        color = COLORS.get(str(name))
        axes.bar(counts.index + 0.5, counts[name], 0.8, bottom=below, label=name, color=color)
        below += counts[name].to_numpy()
    failed = len(story.about["failed"])
    title = f"Traffic: {story.about['requests']:,} requests, {failed} failed"
    axes.set(title=title, ylabel="requests a day, by version")


def drifts(axes: Axes, story: Story) -> None:
    """The effect of each column at each look; those that have drifted have a name."""
    known = story.verdicts
    for name, part in known.groupby("column") if len(known) else ():
        bad = part["drifted"].any()
        label, color = (str(name)[:24], BAD) if bad else (None, "#c3c9d2")
        days = part["time"].map(day)
        axes.plot(days, part["effect"], marker="o", color=color, label=label, zorder=2 + bad)
    least = story.about["effect"]
    axes.axhline(least, color=BAD, linestyle="--", lw=1, label="smallest that is drift")
    title = "Drift: each column at each look; red has drifted"
    axes.set(title=title, ylabel="effect (Cohen)", ylim=(0, None))


def scores(axes: Axes, story: Story) -> None:
    """The score of each version on the rows of a day, known later."""
    for name, part in story.live.groupby("model"):
        color = COLORS.get(str(name))
        axes.plot(part["day"] + 0.5, part["score"], marker="o", label=name, color=color)
    metric, promised = story.about["metric"], story.about["promised"]
    if promised is not None:
        axes.axhline(promised, color="black", linestyle="--", lw=1, label="promised of v1")
    title = f"Live {metric} on the rows of each day; its outcomes are known {DELAY} day later"
    axes.set(title=title, ylabel=metric)


def decisions(axes: Axes, story: Story) -> None:
    """A line and a word for each decision."""
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
