"""Watching without Prometheus: one local page on the requests, the answers and the verdicts."""

import html
from base64 import b64encode
from datetime import datetime, timedelta, UTC
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from mlops_ladder import ProjectError, write_whole
from mlops_ladder.monitoring import drift, plots, training_reference
from mlops_ladder.monitoring.archive import Archive
from mlops_ladder.monitoring.window import Extent, window
from mlops_ladder.settings import load, Settings

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
        "Requests": plots.requests(asked),
        "Latency": plots.latency(asked),
        "Model versions": plots.versions(asked),
        "Predictions of the champion": plots.predictions(newest.said, champion.said),
        "Inputs out of the ordinary": plots.ordinary(newest, champion),
    }
    if len(verdicts):
        found["Drift in each report"] = plots.drifts(verdicts, settings.drift.effect)
    return found


def page(numbers: dict[str, str], drawn: dict[str, Figure], verdicts: str, hours: float) -> str:
    """The page as HTML that needs no other file."""
    cards = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in numbers.items()
    )
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
    settings = load()
    now = datetime.now(UTC)
    with Archive(settings.serving.log) as archive:
        asked = traffic(archive, now - timedelta(hours=settings.drift.hours))
        drawn = pictures(archive, asked, settings)
        verdicts = listed(archive.verdicts(now - timedelta(days=365)))
    write_whole(PAGE, page(figures(asked), drawn, verdicts, settings.drift.hours))
    print(f"{len(asked):,} requests.  Next: open {PAGE}")
