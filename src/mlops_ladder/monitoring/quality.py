"""Live quality: how good the champion is by what became of its predictions, beside the promise."""

import html
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta, UTC
from math import isfinite
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
import sqlalchemy as sql
import typer
from matplotlib.figure import Figure

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.model.figures import create_figure
from mlops_ladder.monitoring.joining import Joined, joined, pairs, Promise, promise
from mlops_ladder.monitoring.outcomes import OUTCOMES, Outcomes
from mlops_ladder.monitoring.quality_tests import ALL, Loss, losses
from mlops_ladder.monitoring.watch import embedded, STYLE
from mlops_ladder.registry.checks.interval_plot import Interval, plot_intervals
from mlops_ladder.settings import load_settings, Settings

REPORT = Path("reports/quality.html")
TABLE = sql.Table(
    "quality",
    sql.MetaData(),
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("time", sql.DateTime(timezone=True), nullable=False, index=True),
    sql.Column("model_version", sql.String(64), nullable=False),
    sql.Column("name", sql.Text, nullable=False),
    sql.Column("metric", sql.Text, nullable=False),
    sql.Column("rows", sql.Integer, nullable=False),
    sql.Column("value", sql.Float, nullable=False),
    sql.Column("promised", sql.Float, nullable=True),
    sql.Column("p", sql.Float, nullable=False),
    sql.Column("degraded", sql.Boolean, nullable=False),
)
Verdict = Literal["not enough labels", "fine", "degraded"]


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
        Interval(it.name, it.low, it.value, it.high, it.degraded, promised_of(it))
        for it in report.found
        if it.metric == metric and isfinite(it.value)
    ]
    table = pd.DataFrame([it for it in before if (it["name"], it["metric"]) == (ALL, metric)])
    found = {"Now": plot_intervals("Live quality", f"{metric}, 95 % interval", lines)}
    if len(table):
        figure = create_figure(7.4, 4)
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
    """What a line of the plot is compared with."""
    return {"promised": it.promised} if isfinite(it.promised) else {}


@dataclass(frozen=True)
class Report:
    """What was found of a model at a time; `labels` of `asked` logged rows have an outcome."""

    time: datetime
    model_version: str
    labels: int
    asked: int
    found: list[Loss]

    @property
    def degraded(self) -> list[Loss]:
        """What is worse than promised."""
        return [it for it in self.found if it.degraded]

    @property
    def verdict(self) -> Verdict:
        """All of it in two words."""
        if not self.found:
            return "not enough labels"
        return "degraded" if self.degraded else "fine"


class History(Outcomes):
    """The outcomes, and each verdict on the quality that was given."""

    def add_report(self, report: Report) -> None:
        """Keep what was found."""
        about = {"time": report.time, "model_version": report.model_version}
        rows = [asdict(it) | about for it in report.found if isfinite(it.value)]
        for row in rows:
            row["promised"] = row["promised"] if isfinite(row["promised"]) else None
        names = TABLE.c.keys()[1:]  # but for the id
        self.add(({name: row[name] for name in names} for row in rows), TABLE)

    def reports(self, since: datetime) -> list[dict[str, Any]]:
        """What was found since that time, in its order."""
        return self.verdicts(since, TABLE)

    def live(self, promised: Promise, settings: Settings, now: datetime) -> Joined:
        """The newest rows of the champion of which the outcome is known."""
        wanted = OUTCOMES.c.known_at >= now - timedelta(hours=settings.quality.hours)
        found = self.labelled(wanted, settings.quality.rows, promised.champion.version)
        return joined(pairs(self, found), promised.champion.contract)


def look(settings: Settings, now: datetime, promised: Promise | None = None) -> Report:
    """Judge the champion by the outcomes that are known, and keep what was found.

    Raises ProjectError where no champion is published, or nothing is logged.
    """
    promised = promised or promise()
    version = promised.champion.version
    with History(settings.serving.prediction_log_url) as history:
        live = history.live(promised, settings, now)
        enough = len(live.rows) >= settings.quality.fewest
        found = losses(live, promised, settings) if enough else []
        report = Report(now, version, len(live.rows), history.logged_rows(version), found)
        history.add_report(report)
        if found:
            write(report, history.reports(now - timedelta(days=365)), settings)
    return report


def write(report: Report, before: list[dict[str, Any]], settings: Settings) -> None:
    """Write the page."""
    write_file_atomically(REPORT, page(report, before, settings))


def told(report: Report) -> str:
    """What was found, for a person, what is worst first."""
    width = max(len(it.name[:36]) for it in report.found)
    lines = [f"{'rows':{width}}  {'score':18}  {'count':>7}  {'live':>9}  promised         p"]
    for it in sorted(report.found, key=lambda it: (not it.degraded, it.p)):
        mark = "  DEGRADED" if it.degraded else ""
        values = f"{it.value:9.4g}  {words(it.promised):>8}  {it.p:8.2g}"
        lines.append(f"{it.name[:36]:{width}}  {it.metric[:18]:18}  {it.rows:7,}  {values}{mark}")
    return "\n".join(lines)


def main(
    fail: Annotated[bool, typer.Option("--fail", help="exit 1 where it is degraded")] = False,
) -> None:
    """Say whether the champion is as good as the gate has promised."""
    settings = load_settings()
    report = look(settings, datetime.now(UTC))
    if settings.drift.pushgateway:
        # pylint: disable=import-outside-toplevel  # seldom needed
        from mlops_ladder.monitoring.push import push, QUALITY, quality_gauges

        push(settings.drift, quality_gauges(report.found, report.labels, time.time()), QUALITY)
    if report.verdict == "not enough labels":
        least = f"at least {settings.quality.fewest} are needed (quality.fewest)"
        print(f"Not enough labels: {report.labels:,} rows of the champion have one; {least}")
        return
    print(told(report))
    named = ", ".join(f"{it.name} ({it.metric})" for it in report.degraded)
    print(
        f"\n{report.labels:,} of {report.asked:,} logged rows; degraded: {named or 'nothing'}.",
        end="  ",
    )
    print(f"Next: open {REPORT}")
    if named and fail:
        raise ProjectError(f"the quality is not what was promised: {named}; see {REPORT}")
