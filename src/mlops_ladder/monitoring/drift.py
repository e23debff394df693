"""Drift: have columns of the newest logged rows drifted from the reference?"""

import os
import time
from datetime import datetime, UTC
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from mlops_ladder import project, ProjectError
from mlops_ladder.monitoring.archive import Archive, Extent, read_window, Window
from mlops_ladder.monitoring.comparison import build_pairs, judge_columns, MISSING, PRESENT, Verdict
from mlops_ladder.monitoring.push import build_age_gauges, build_drift_gauges, push_gauges
from mlops_ladder.monitoring.training_reference import read_champion_facts, read_reference, SAMPLE
from mlops_ladder.settings import load_settings, Settings

REPORT = Path("reports/drift.html")
MAX_ROWS = 10 * SAMPLE  # rows that are compared: more would hardly change a verdict


def format_verdicts(verdicts: list[Verdict]) -> str:
    """Return the verdicts as a table for a person."""
    width = max(len(verdict.pair.label[:40]) for verdict in verdicts)
    lines = [f"{'column':{width}}  {'reference':>20}  {'window':>20}  {'p':>8}  effect  verdict"]
    for verdict in verdicts:
        pair = verdict.pair
        texts = (summarize_sample(side, pair.is_numeric) for side in (pair.reference, pair.window))
        old, new = (f"{words[:20]:>20}" for words in texts)
        result = "DRIFT" if verdict.drifted else "as before"
        numbers = f"{verdict.p:8.2g}  {verdict.effect:6.2f}"
        lines.append(f"{pair.label[:40]:{width}}  {old}  {new}  {numbers}  {result}")
    return "\n".join(lines)


def summarize_sample(values: pd.Series, is_numeric: bool) -> str:
    """Return a sample in some twenty characters: its median, or its most frequent value."""
    if values.empty:
        return "none"
    if set(values.unique()) <= {MISSING, PRESENT}:
        return f"{(values == MISSING).mean():.2%} missing"
    if is_numeric:
        return f"median {values.median():.6g}"
    shares = values.value_counts(normalize=True)
    return f"{str(shares.index[0])[:13]} {shares.iloc[0]:.0%}"


def check_drift(settings: Settings) -> tuple[Window, list[Verdict]]:
    """Compare the newest rows of the champion with its reference; store verdicts and the report.

    Return the rows and the verdicts; no verdicts if there are too few rows.
    """
    now, champion, drift = datetime.now(UTC), read_reference(), settings.drift
    extent = Extent(drift.hours, drift.rows, MAX_ROWS, settings.seed)
    with Archive(settings.serving.prediction_log_url) as archive:
        newest = read_window(archive, champion.version, champion.contract, extent, now)
        if len(newest.rows) < drift.fewest:
            return newest, []
        verdicts = judge_columns(build_pairs(champion, newest), drift)
        os.environ.setdefault("DO_NOT_TRACK", "1")  # before Evidently is imported, which takes 5 s
        # pylint: disable-next=import-outside-toplevel  # too few rows need no report
        from mlops_ladder.monitoring.drift_report import write_report

        write_report(champion, newest, verdicts, drift.effect, REPORT)
        about = {"time": now, "model_version": champion.version, "rows": newest.total}
        archive.add_verdicts(vars(verdict) | about for verdict in verdicts)
    return newest, verdicts


def main(
    fail: Annotated[bool, typer.Option("--fail", help="exit 1 where a column has drifted")] = False,
) -> None:
    """Report which columns of the newest logged rows have drifted."""
    newest, verdicts = check_drift(settings := load_settings())
    gauges = build_drift_gauges(verdicts, newest.total, bool(verdicts), time.time())
    if not project.get_project().has_service:  # that Prometheus asks for it
        gauges += build_age_gauges(read_champion_facts(), settings.staleness.max_age_days)
    push_gauges(settings.drift, gauges, "drift")
    if not verdicts:
        least = f"at least {settings.drift.fewest} are needed (drift.fewest)"
        print(f"Not enough data: {len(newest.rows):,} logged rows of the champion; {least}")
        return
    print(format_verdicts(verdicts))
    names = ", ".join(verdict.column for verdict in verdicts if verdict.drifted)
    print(f"\n{newest.total:,} logged rows; drifted: {names or 'no column'}.  Next: open {REPORT}")
    if names and fail:
        raise ProjectError(f"drift in {names}; see {REPORT}")
