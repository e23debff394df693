"""The page of the live quality: a table of the scores, and pictures of now and of all reports."""

import html
from math import isfinite
from typing import Any, TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from mlops_ladder.model.figures import empty_figure
from mlops_ladder.monitoring.quality_tests import ALL, Loss
from mlops_ladder.monitoring.watch import embedded, STYLE
from mlops_ladder.registry.checks.picture import Line, picture
from mlops_ladder.settings import Settings

if TYPE_CHECKING:
    from mlops_ladder.monitoring.quality import Report


def page(report: "Report", before: list[dict[str, Any]], settings: Settings) -> str:
    """The page as HTML that needs no other file."""
    rows = "".join(
        f"<tr><td>{html.escape(it.name)}<td>{html.escape(it.metric)}<td>{it.rows:,}"
        f"<td>{it.value:.4g} ({it.low:.4g} to {it.high:.4g})<td>{words(it.promised)}<td>{it.p:.2g}"
        f"<td{' class=bad>degraded' if it.degraded else '>fine'}"
        for it in report.found
    )
    images = "".join(
        f'<figure style="margin:0"><img alt="{title}" src="{embedded(drawn)}"></figure>'
        for title, drawn in pictures(report, before, settings.metric).items()
    )
    share = settings.quality.false_alarms
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Live quality</title>'
        f"<style>{STYLE}</style><h1>Live quality: {report.verdict}</h1>"
        f'<p class="note">Model {html.escape(report.model_version)}, {report.time:%Y-%m-%d %H:%M}'
        f" UTC: the outcome of {report.labels:,} of {report.asked:,} logged rows was used.  Of 100"
        f" reports on a model that is as promised, {100 * share:g} say degraded.</p><table>"
        "<tr><th>rows<th>score<th>count<th>live, 95 % interval<th>promised<th>p<th>verdict"
        f'{rows}</table><div class="pictures">{images}</div></html>\n'
    )


def words(promised: float) -> str:
    """What was promised, for a person."""
    return f"{promised:.4g}" if isfinite(promised) else "nothing"


def pictures(report: "Report", before: list[dict[str, Any]], metric: str) -> dict[str, Figure]:
    """The scores of now with what was promised, and that of all rows over time."""
    lines = [
        Line(it.name, it.low, it.value, it.high, it.degraded, promised_of(it))
        for it in report.found
        if it.metric == metric and isfinite(it.value)
    ]
    table = pd.DataFrame([it for it in before if (it["name"], it["metric"]) == (ALL, metric)])
    found = {"Now": picture("Live quality", f"{metric}, 95 % interval", lines)}
    if len(table):
        figure = empty_figure(7.4, 4)
        axes = figure.add_subplot()
        times = pd.to_datetime(table["time"], utc=True)
        axes.plot(times, table["value"], marker="o", label="live")
        axes.plot(times, table["promised"], color="black", linestyle="--", label="promised")
        axes.set(title="All rows, report by report", ylabel=metric)
        axes.tick_params(axis="x", rotation=30)
        axes.legend(frameon=False)
        found["Over time"] = figure
    return found


def promised_of(it: Loss) -> dict[str, float]:
    """What a line of the picture is compared with."""
    return {"promised": it.promised} if isfinite(it.promised) else {}
