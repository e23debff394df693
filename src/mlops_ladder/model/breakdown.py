"""A breakdown: the parts of one answer, as a table and as a picture."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from mlops_ladder.model.figures import create_figure

MAX_COLUMNS_DRAWN = 20  # columns in a picture


@dataclass(frozen=True)
class Explanation:
    """The parts of one output: `base` and the values of `parts`, by column, add up to `output`.

    `what` names the output, `values` holds the inputs as text by column.
    """

    what: str
    base: float
    output: float
    parts: pd.Series
    values: dict[str, str]


def format_breakdown(explanation: Explanation) -> str:
    """Return each input with its value and what it adds, the largest first; then the sum."""
    order = explanation.parts.abs().sort_values(ascending=False, kind="stable").index
    width = max(map(len, map(str, [*order, "the average answer"])))
    lines = [f"{'the average answer':{width}}  {'':24}  {explanation.base:+10.4f}"]
    for name in order:
        value = explanation.values[str(name)][:24]
        lines.append(f"{name!s:{width}}  {value:24}  {explanation.parts[name]:+10.4f}")
    return "\n".join([*lines, f"{explanation.what:{width}}  {'':24}  {explanation.output:10.4f}"])


def draw_breakdown(parts: pd.Series, title: str, path: Path) -> None:
    """Write a picture of what each column adds, the largest on top."""
    order = parts.abs().sort_values(ascending=False, kind="stable").index[:MAX_COLUMNS_DRAWN][::-1]
    figure = create_figure(7.4, 1.2 + 0.3 * len(order))
    axes = figure.add_subplot()
    colours = ["tab:orange" if value < 0 else "tab:blue" for value in parts[order]]
    axes.barh([str(name) for name in order], parts[order], color=colours)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set(title=title, xlabel="what it adds")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
