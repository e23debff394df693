"""The picture of a question: a line for each thing that was looked at, from low to high."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure

from mlops_ladder.model.figures import create_figure

SHOWN = 30  # lines, those that are wrong first
MARKS = ("D", "x", "|", "s")


@dataclass(frozen=True)
class Line:
    """What was found of one thing, and what it was compared with; `wrong` makes it red."""

    name: str
    low: float
    middle: float
    high: float
    wrong: bool = False
    others: dict[str, float] = field(default_factory=dict)


def picture(title: str, scale: str, lines: Sequence[Line]) -> Figure:
    """The lines below each other, the first at the top."""
    shown = sorted(lines, key=lambda it: not it.wrong)[:SHOWN][::-1]
    figure = create_figure(7.4, 1.2 + 0.28 * len(shown))
    axes = figure.add_subplot()
    for place, it in enumerate(shown):
        color = "#b3261e" if it.wrong else "tab:blue"
        axes.plot([it.low, it.high], [place, place], color=color, linewidth=2)
        axes.plot(it.middle, place, "o", color=color)
    names = sorted({name for it in shown for name in it.others})
    for name, mark in zip(names, MARKS, strict=False):
        points = [(it.others[name], at) for at, it in enumerate(shown) if name in it.others]
        axes.plot(*zip(*points, strict=True), mark, color="black", fillstyle="none", label=name)
    if names:
        axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    axes.set_yticks(range(len(shown)), [it.name[:44] for it in shown])
    axes.set(title=title, xlabel=scale)
    return figure
