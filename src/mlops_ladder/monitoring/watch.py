"""Watching without Prometheus: one local page on the requests, the answers and the verdicts."""

import html
from base64 import b64encode
from collections.abc import Iterable
from datetime import datetime, timedelta, UTC
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.model.figures import create_figure
from mlops_ladder.monitoring import drift, training_reference
from mlops_ladder.monitoring.archive import Archive, Extent, Window, window
from mlops_ladder.monitoring.comparison import texts
from mlops_ladder.settings import load_settings, Settings

STEPS = 60  # points in time of a curve
MANY = 8  # classes or versions that have a colour of their own
BAD = "#b3261e"
PAGE = Path("reports/watch.html")
ROWS = 20_000  # of the champion, that are looked into: more change no picture
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem;
  color: #1f2430; background: #fff }
h1 { margin-bottom: 0 } h2 { margin: 2.2rem 0 .4rem; font-size: 1.2rem } .note { color: #5b6472 }
dl { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1.2rem 0 }
dl div { border: 1px solid #d8dde5; border-radius: 8px; padding: .5rem 1rem; min-width: 8rem }
dt { font-size: .85rem; color: #5b6472 } dd { margin: 0; font-size: 1.4rem; font-weight: 600 }
img { width: 100%; height: auto }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(32rem, 1fr)); gap: 1rem }
table { border-collapse: collapse } td, th { padding: .25rem .9rem .25rem 0; text-align: left;
  border-bottom: 1px solid #e6eaf0; font-variant-numeric: tabular-nums }
.bad { color: #b3261e; font-weight: 600 }
"""


def sheet(times: pd.Series) -> tuple[Figure, Axes]:
    """An empty plot from the first of these times to the last, of half a minute at least."""
    figure = create_figure(7.4, 3.4)
    axes = figure.add_subplot()
    # matplotlib has no types for these two.
    locator: Any = AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    form: Any = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]  # as above
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(form)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    first, last = (moment.tz_localize(None) for moment in (times.min(), times.max()))
    margin = max((last - first) / 50, pd.Timedelta(seconds=15))
    axes.set(xlim=(first - margin, last + margin))
    return figure, axes


def steps(times: pd.Series) -> pd.Series:
    """For each time the start of the step that it is in."""
    starts = grid(times)
    places = starts.searchsorted(times.dt.tz_localize(None), side="right") - 1
    return pd.Series(starts[places], index=times.index)


def grid(times: pd.Series) -> pd.DatetimeIndex:
    """The starts of at most sixty equal steps from the first to the last time, without a zone."""
    first, span = times.min().tz_localize(None), times.max() - times.min()
    width = max(span / STEPS, pd.Timedelta(seconds=1))
    return pd.date_range(first, periods=min(span // width + 1, STEPS), freq=width)


def requests(asked: pd.DataFrame) -> Figure:
    """How many requests and rows there were in each step."""
    figure, axes = sheet(asked["time"])
    found = asked.groupby(steps(asked["time"]))["rows"].agg(["count", "sum"])
    found = found.reindex(grid(asked["time"]), fill_value=0)  # nobody asked: a gap is to be seen
    axes.plot(found.index, found["sum"], label="rows", color="tab:orange", marker=".")
    axes.plot(found.index, found["count"], label="requests", color="tab:blue", marker=".")
    width = max((asked["time"].max() - asked["time"].min()).total_seconds() / STEPS, 1)
    shown = f"{width:.0f} s" if width < 60 else f"{width / 60:.3g} minutes"
    axes.set(ylabel=f"in each {shown}", ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def latency(asked: pd.DataFrame) -> Figure:
    """The median latency, and the one that 5 % of the requests exceed."""
    figure, axes = sheet(asked["time"])
    groups = asked.groupby(steps(asked["time"]))["ms"]
    for share, color in ((0.95, "tab:orange"), (0.5, "tab:blue")):
        found = groups.quantile(share)
        axes.plot(found.index, found, label=f"p{share * 100:.0f}", color=color, marker=".")
    axes.set(ylabel="milliseconds", ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def versions(asked: pd.DataFrame) -> Figure:
    """The share of the requests that each model has answered."""
    figure, axes = sheet(asked["time"])
    stack(axes, asked["time"], asked["version"], "share of requests")
    return figure


def predictions(said: pd.DataFrame, before: pd.DataFrame) -> Figure:
    """The share of each class, or how numbers are spread, beside what was on held-out rows."""
    figure, axes = sheet(said["time"])
    kind = said["prediction"].dtype
    counted = pd.api.types.is_bool_dtype(kind) or not pd.api.types.is_numeric_dtype(kind)
    if counted or said["score"].notna().any():
        stack(axes, said["time"], said["prediction"].astype("str"), "share of answers")
        shares = before["prediction"].astype("str").value_counts(normalize=True).head(3)
        held = ", ".join(f"{str(name)[:20]} {share:.0%}" for name, share in shares.items())
        axes.set_title(f"held-out rows: {held}", fontsize=10, loc="left")
        return figure
    groups = said.groupby(steps(said["time"]))["prediction"]
    low, middle, high = (groups.quantile(share) for share in (0.1, 0.5, 0.9))
    axes.fill_between(low.index, low, high, alpha=0.25, label="80 % of the answers")
    axes.plot(middle.index, middle, label="median", marker=".")
    axes.axhline(before["prediction"].median(), color="black", ls="--", label="median, held out")
    axes.set(ylabel="prediction")
    axes.legend(frameon=False)
    return figure


def stack(axes: Axes, times: pd.Series, names: pd.Series, title: str) -> None:
    """Shares of names over time, one above the other; seldom ones are one."""
    kept = names.value_counts().index[:MANY]
    names = names.where(names.isin(kept), "others")
    shares = pd.crosstab(steps(times), names, normalize="index")
    shares = shares[list(names.value_counts().index)]
    if len(shares) == 1:  # no area, but a width
        shares = pd.concat([shares, shares.rename(lambda at: at + pd.Timedelta(seconds=1))])
    axes.stackplot(shares.index, shares.T.to_numpy(), labels=[str(it)[:20] for it in shares])
    axes.set(ylabel=title, ylim=(0, 1))
    axes.legend(frameon=True, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)


def ordinary(newest: Window, champion: training_reference.Reference) -> Figure:
    """The share of rows with something missing, and with something that training has not seen."""
    figure, axes = sheet(newest.said["time"])
    step = steps(newest.said["time"])
    curves = {
        "something missing": newest.rows.isna().any(axis=1),
        "outside what training saw": outside(newest.rows, champion),
    }
    for name, marks in curves.items():
        found = marks.groupby(step).mean() * 100
        axes.plot(found.index, found, label=f"{name} ({marks.mean():.1%})", marker=".")
    axes.set(ylabel="% of rows", ylim=(0, None))
    axes.legend(frameon=False)
    return figure


def outside(rows: pd.DataFrame, champion: training_reference.Reference) -> pd.Series:
    """Does a row hold a number beyond those of training, or a word that was not among them?

    A time is beyond them in every new row, and is not looked at.
    """
    found = pd.Series(False, index=rows.index)
    for name, known in champion.facts["columns"].items():
        values = rows[name]
        if "values" in known:
            words = texts(pd.Series(known["values"]))
            found |= values.notna() & ~texts(values).isin(words)
        elif "low" in known and champion.contract.columns[name].kind != "time":
            found |= (values < known["low"]) | (values > known["high"])
    return found


def drifts(verdicts: pd.DataFrame, smallest: float) -> Figure:
    """The effect of each column in each report; those that drifted at some time have a name."""
    figure, axes = sheet(verdicts["time"])
    drifted = verdicts.groupby("column")["drifted"].any()
    order: Iterable[str] = verdicts.groupby("column")["effect"].max().sort_values().index[::-1]
    named = [name for name in order if drifted[name]][:MANY]
    for name, group in verdicts.groupby("column"):
        label = str(name)[:24] if name in named else None
        style: dict[str, Any] = {"label": label, "zorder": 3} if label else {"color": "#c3c9d2"}
        axes.plot(group["time"], group["effect"], marker=".", **style)
    bad = verdicts[verdicts["drifted"]]
    axes.scatter(bad["time"], bad["effect"], color=BAD, zorder=4, s=18)
    axes.axhline(smallest, color=BAD, ls="--", lw=1, label="smallest that is drift")
    axes.set(ylabel="effect (Cohen)", ylim=(0, max(1.0, np.nanmax(verdicts["effect"]) * 1.1)))
    axes.legend(frameon=True, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    return figure


def traffic(archive: Archive, since: datetime) -> pd.DataFrame:
    """Every request since then: `time`, `version`, `rows`, `ms`.  ProjectError where none is."""
    rows = list(map(tuple, archive.traffic(since)))
    if not rows:
        raise ProjectError(f"the prediction log: no request since {since:%Y-%m-%d %H:%M} UTC")
    found = pd.DataFrame(rows, columns=["time", "version", "rows", "ms"])
    return found.assign(time=pd.to_datetime(found["time"], utc=True))


def pictures(archive: Archive, asked: pd.DataFrame, settings: Settings) -> dict[str, Figure]:
    """Each plot by its title."""
    champion, hours = training_reference.read(), settings.drift.hours
    now = datetime.now(UTC)
    newest = window(archive, champion.version, champion.contract, Extent(hours, ROWS, ROWS), now)
    verdicts = pd.DataFrame(archive.verdicts(now - timedelta(days=365)))
    found = {
        "Requests": requests(asked),
        "Latency": latency(asked),
        "Model versions": versions(asked),
        "Predictions of the champion": predictions(newest.said, champion.said),
        "Inputs out of the ordinary": ordinary(newest, champion),
    }
    if len(verdicts):
        found["Drift in each report"] = drifts(verdicts, settings.drift.effect)
    return found


def page(numbers: dict[str, str], drawn: dict[str, Figure], verdicts: str, hours: float) -> str:
    """The page as HTML that needs no other file."""
    boxes = (f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in numbers.items())
    cards = "".join(boxes)
    images = "".join(
        f'<figure style="margin:0"><h2>{title}</h2><img alt="{title}" src="{embedded(figure)}">'
        "</figure>"
        for title, figure in drawn.items()
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>The service</title>'
        f"<style>{STYLE}</style><h1>The service, watched</h1>"
        f'<p class="note">From the prediction log: the last {hours:g} hours, until'
        f" {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.  Times are UTC.</p>"
        f'<dl>{cards}</dl>{verdicts}<div class="pictures">{images}</div></html>\n'
    )


def embedded(figure: Figure) -> str:
    """The picture as an address that holds it."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"


def listed(verdicts: list[dict[str, Any]]) -> str:
    """The newest report on drift as a table, what has drifted first."""
    if not verdicts:
        return "<h2>Drift now</h2><p>No report yet: <code>make drift</code></p>"
    last = max(it["time"] for it in verdicts)
    now = sorted((it for it in verdicts if it["time"] == last), key=rank)
    lines = "".join(
        f"<tr><td>{html.escape(it['column'])}<td>{it['p']:.2g}<td>{it['effect']:.2f}"
        f"<td{' class=bad' if it['drifted'] else ''}>{'drift' if it['drifted'] else 'as before'}"
        for it in now
    )
    link = f'<a href="{drift.REPORT.name}">the whole report</a>' if drift.REPORT.exists() else ""
    return (
        f"<h2>Drift now</h2><p class=note>{last:%Y-%m-%d %H:%M} UTC, {now[0]['rows']:,} rows"
        f" of model {html.escape(now[0]['model_version'])}; {link}</p>"
        f"<table><tr><th>column<th>p<th>effect (Cohen)<th>verdict{lines}</table>"
    )


def rank(verdict: dict[str, Any]) -> tuple[bool, float]:
    """Drift first, then by how improbable it is."""
    return not verdict["drifted"], verdict["p"]


def figures(asked: pd.DataFrame) -> dict[str, str]:
    """What is said in large type."""
    last = asked["version"].iloc[-1]
    return {
        "requests": f"{len(asked):,}",
        "rows": f"{asked['rows'].sum():,}",
        "p50": f"{asked['ms'].median():.3g} ms",
        "p95": f"{asked['ms'].quantile(0.95):.3g} ms",
        "newest model": html.escape(str(last)),
    }


def main() -> None:
    """Write the page."""
    settings = load_settings()
    now = datetime.now(UTC)
    with Archive(settings.serving.prediction_log_url) as archive:
        asked = traffic(archive, now - timedelta(hours=settings.drift.hours))
        drawn = pictures(archive, asked, settings)
        verdicts = listed(archive.verdicts(now - timedelta(days=365)))
    write_file_atomically(PAGE, page(figures(asked), drawn, verdicts, settings.drift.hours))
    print(f"{len(asked):,} requests.  Next: open {PAGE}")
