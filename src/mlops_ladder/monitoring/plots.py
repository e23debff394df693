"""The plots of the page that `make watch` writes."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from mlops_ladder.model.figures import empty_figure
from mlops_ladder.monitoring.comparison import texts
from mlops_ladder.monitoring.training_reference import Reference
from mlops_ladder.monitoring.window import Window

STEPS = 60  # points in time of a curve
MANY = 8  # classes or versions that have a colour of their own
BAD = "#b3261e"


def sheet(times: pd.Series) -> tuple[Figure, Axes]:
    """An empty plot from the first of these times to the last, of half a minute at least."""
    figure = empty_figure(7.4, 3.4)
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


def ordinary(newest: Window, champion: Reference) -> Figure:
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


def outside(rows: pd.DataFrame, champion: Reference) -> pd.Series:
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
