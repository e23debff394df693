"""Watching without Prometheus: one local page about requests, answers and drift, from the log."""

from datetime import datetime, timedelta, UTC
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mlops_ladder import write_file_atomically
from mlops_ladder.model.figures import create_figure
from mlops_ladder.monitoring.archive import Archive, Extent, read_window
from mlops_ladder.monitoring.drift import REPORT
from mlops_ladder.monitoring.page import render_figures, render_page
from mlops_ladder.monitoring.training_reference import read_reference
from mlops_ladder.settings import load_settings
from mlops_ladder.templates import render_template

STEPS = 60  # points in time of a curve
MAX_COLORS = 8  # classes or versions that have a colour of their own
RED, GREY = "#b3261e", "#c3c9d2"
PAGE = Path("reports/watch.html")
SUMMARY = Path(__file__).with_name("watch.html.j2")
ROWS = 20_000  # of the champion, that are looked into: more change no picture


def start_plot(times: pd.Series, ylabel: str, **limits: Any) -> tuple[Figure, Axes]:
    """Return an empty plot from the first to the last of these times, half a minute at least."""
    figure = create_figure(7.4, 3.4)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    first, last = (moment.tz_localize(None) for moment in (times.min(), times.max()))
    margin = max((last - first) / 50, pd.Timedelta(seconds=15))
    axes.set(xlim=(first - margin, last + margin), ylabel=ylabel, **limits)
    return figure, axes


def draw_curves(axes: Axes, curves: dict[str, pd.Series]) -> None:
    """Draw a line with a name for each curve, a mark on each point."""
    for name, values in curves.items():
        axes.plot(values.index, values, label=name, marker=".")
    axes.legend(frameon=False)


def measure_step(times: pd.Series) -> pd.Timedelta:
    """Return the length of a step, of which at most sixty begin between the first and the last."""
    return pd.Timedelta(max((times.max() - times.min()) / (STEPS - 1), pd.Timedelta(seconds=1)))


def find_steps(times: pd.Series) -> pd.Series:
    """Return for each time the start of the step that it is in."""
    clock, width = times.dt.tz_localize(None), measure_step(times)
    return pd.Series(clock.min() + (clock - clock.min()) // width * width)


def draw_requests(traffic: pd.DataFrame) -> Figure:
    """Draw how many requests and rows there were in each step; a gap is seen."""
    times, width = traffic["time"], measure_step(traffic["time"])
    seconds = width.total_seconds()
    unit = f"{seconds:.0f} s" if seconds < 60 else f"{seconds / 60:.3g} minutes"
    figure, axes = start_plot(times, f"in each {unit}", ylim=(0, None))
    steps = traffic.set_index(times.dt.tz_localize(None))["rows"].resample(width, origin="start")
    draw_curves(axes, {"rows": steps.sum(), "requests": steps.count()})
    return figure


def draw_latency(traffic: pd.DataFrame) -> Figure:
    """Draw the median latency, and the one that 5 % of the requests exceed."""
    figure, axes = start_plot(traffic["time"], "milliseconds", ylim=(0, None))
    steps = traffic.groupby(find_steps(traffic["time"]))["ms"]
    draw_curves(axes, {"p95": steps.quantile(0.95), "p50": steps.median()})
    return figure


def draw_shares(times: pd.Series, names: pd.Series, ylabel: str) -> Figure:
    """Draw the shares of names over time, one above the other; rare names are added up."""
    figure, axes = start_plot(times, ylabel, ylim=(0, 1))
    names = names.where(names.isin(names.value_counts().index[:MAX_COLORS]), "others")
    shares = pd.crosstab(find_steps(times), names, normalize="index")
    shares = shares[list(names.value_counts().index)]
    if len(shares) == 1:  # one point has no area, so it gets a width
        shares = pd.concat([shares, shares.rename(lambda at: at + pd.Timedelta(seconds=1))])
    axes.stackplot(shares.index, shares.T.to_numpy(), labels=[str(name)[:20] for name in shares])
    axes.legend(frameon=True, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    return figure


def draw_predictions(answers: pd.DataFrame, held_out: pd.DataFrame) -> Figure:
    """Draw the share of each class, or the spread of numbers, with that of held-out rows."""
    times, values, kinds = answers["time"], answers["prediction"], pd.api.types
    is_number = kinds.is_numeric_dtype(values) and not kinds.is_bool_dtype(values)
    if not is_number or answers["score"].notna().any():
        figure = draw_shares(times, values.astype("str"), "share of answers")
        shares = held_out["prediction"].astype("str").value_counts(normalize=True).head(3)
        before = ", ".join(f"{str(name)[:20]} {share:.0%}" for name, share in shares.items())
        figure.gca().set_title(f"held-out rows: {before}", fontsize=10, loc="left")
        return figure
    figure, axes = start_plot(times, "prediction")
    steps = values.groupby(find_steps(times))
    low, high = steps.quantile(0.1), steps.quantile(0.9)
    axes.fill_between(low.index, low, high, alpha=0.25, label="80 % of the answers")
    median = held_out["prediction"].median()
    axes.axhline(median, color="black", ls="--", label="median, held out")
    draw_curves(axes, {"median": steps.median()})
    return figure


def draw_drift(verdicts: pd.DataFrame, smallest: float) -> Figure:
    """Draw the effect of each column in each report; columns that ever drifted have a name."""
    top = max(1.0, float(np.nanmax(verdicts["effect"])) * 1.1)
    figure, axes = start_plot(verdicts["time"], "effect (Cohen)", ylim=(0, top))
    bad = verdicts[verdicts["drifted"]]
    worst = bad.groupby("column")["effect"].max().sort_values().index[::-1][:MAX_COLORS]
    for name, group in verdicts.groupby("column"):
        marked: dict[str, Any] = {"label": str(name)[:24], "zorder": 3}
        style = marked if name in worst else {"color": GREY}
        axes.plot(group["time"], group["effect"], marker=".", **style)
    axes.scatter(bad["time"], bad["effect"], color=RED, zorder=4, s=18)
    axes.axhline(smallest, color=RED, ls="--", lw=1, label="smallest that is drift")
    axes.legend(frameon=True, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=9)
    return figure


def render_summary(traffic: pd.DataFrame, verdicts: list[dict[str, Any]]) -> str:
    """Return the numbers in large type, and the newest report on drift, drifted columns first."""
    newest = [verdict for verdict in verdicts if verdict["time"] == verdicts[-1]["time"]]
    return render_template(
        SUMMARY,
        numbers={
            "requests": f"{len(traffic):,}",
            "rows": f"{traffic['rows'].sum():,}",
            "p50": f"{traffic['ms'].median():.3g} ms",
            "p95": f"{traffic['ms'].quantile(0.95):.3g} ms",
            "newest model": traffic["version"].iloc[-1],
        },
        drift=sorted(newest, key=lambda verdict: (not verdict["drifted"], verdict["p"])),
        report=REPORT.name if REPORT.exists() else "",
    )


def main() -> None:
    """Write the page."""
    settings, now = load_settings(), datetime.now(UTC)
    drift = settings.drift
    with Archive(settings.serving.prediction_log_url) as archive:
        traffic = archive.read_traffic(now - timedelta(hours=drift.hours))
        verdicts = archive.read_verdicts(now - timedelta(days=365))
        champion = read_reference()
        extent = Extent(drift.hours, ROWS, ROWS)
        newest = read_window(archive, champion.version, champion.contract, extent)
    figures = {
        "Requests": draw_requests(traffic),
        "Latency": draw_latency(traffic),
        "Model versions": draw_shares(traffic["time"], traffic["version"], "share of requests"),
        "Predictions of the champion": draw_predictions(newest.answers, champion.predictions),
    }
    if verdicts:
        figures["Drift in each report"] = draw_drift(pd.DataFrame(verdicts), drift.effect)
    until = f"the last {drift.hours:g} hours, until {now:%Y-%m-%d %H:%M} UTC"
    note = f"From the prediction log: {until}.  Times are UTC."
    parts = render_summary(traffic, verdicts), render_figures(figures)
    write_file_atomically(PAGE, render_page("The service, watched", note, *parts))
    print(f"{len(traffic):,} requests.  Next: open {PAGE}")
