"""The plot of a check: an interval for each thing that was checked."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from mlops_ladder.model.figures import create_figure

MAX_INTERVALS = 30
MARKERS = ("D", "x", "|", "s")


@dataclass(frozen=True)
class Interval:
    """A value between a low and a high end, and values to compare it with.  A wrong one is red."""

    name: str
    low: float
    middle: float
    high: float
    wrong: bool = False
    others: dict[str, float] = field(default_factory=dict)


def plot_intervals(title: str, scale: str, intervals: Sequence[Interval]) -> Figure:
    """Plot the intervals below each other, the first at the top; wrong ones first if many."""
    shown = sorted(intervals, key=lambda interval: not interval.wrong)[:MAX_INTERVALS][::-1]
    figure = create_figure(7.4, 1.2 + 0.28 * len(shown))
    axes = figure.add_subplot()
    for height, interval in enumerate(shown):
        color = "#b3261e" if interval.wrong else "tab:blue"
        axes.plot([interval.low, interval.high], [height, height], color=color, linewidth=2)
        axes.plot(interval.middle, height, "o", color=color)
    names = sorted({name for interval in shown for name in interval.others})
    for name, marker in zip(names, MARKERS, strict=False):
        points = [(row.others[name], at) for at, row in enumerate(shown) if name in row.others]
        axes.plot(*zip(*points, strict=True), marker, color="black", fillstyle="none", label=name)
    if names:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    axes.set_yticks(range(len(shown)), [interval.name[:44] for interval in shown])
    axes.set(title=title, xlabel=scale)
    return figure
