"""Drift: the newest logged rows beside the reference.  The only file that imports Evidently."""

import os
from collections import Counter
from dataclasses import replace
from datetime import datetime, UTC
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.monitoring import comparison, training_reference
from mlops_ladder.monitoring.archive import Archive, Extent, Window, window
from mlops_ladder.monitoring.comparison import MISSING, Pair, pairs, THERE, Verdict, verdicts
from mlops_ladder.settings import load_settings
from mlops_ladder.monitoring.settings import Drift

REPORT = Path("reports/drift.html")
LESS = "\ue03c"  # stands for `<` in the data that Evidently gets
# Rows that are compared: more would find little that these do not.
MOST = 10 * training_reference.SAMPLE


def write(compared: list[Pair], found: list[Verdict], settings: Drift, path: Path = REPORT) -> Any:
    """Evidently's report on all pairs, as one HTML file that needs no other; what it measured.

    It uses our tests and thresholds, so that it says what the verdicts say.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    # pylint: disable=import-outside-toplevel  # 5 s that a window without enough rows need not pay
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    allowed = {it.column: it.threshold for it in found}
    shown = [it for it in compared if it.column in allowed and len(it.reference) and len(it.found)]
    shown = [replace(it, label=it.label.replace("<", LESS)) for it in shown]
    register(settings)
    counts = Counter(it.column for it in compared)
    least = {it.label: allowed[it.column] / counts[it.column] for it in shown}
    tests = {it.label: f"{'ks' if it.numeric else 'counts'}_two_samples" for it in shown}
    definition = DataDefinition(
        numerical_columns=[it.label for it in shown if it.numeric],
        categorical_columns=[it.label for it in shown if not it.numeric],
    )
    report = Report(
        [ValueDrift(column=it, method=tests[it], threshold=least[it]) for it in least]
    ).run(
        Dataset.from_pandas(frame({it.label: it.found for it in shown}), definition),
        Dataset.from_pandas(frame({it.label: it.reference for it in shown}), definition),
    )
    write_file_atomically(path, report.get_html_str(as_iframe=False).replace(r"\ue03c", r"\u003c"))
    return report.dict()


def frame(columns: dict[str, pd.Series]) -> pd.DataFrame:
    """Columns of unequal length side by side; Evidently leaves out what is missing.

    It writes words into a script of the page as they are: a `<` there could end the script.
    """
    found = {name: values.reset_index(drop=True) for name, values in columns.items()}
    return pd.DataFrame(found).replace("<", LESS, regex=True)


def register(settings: Drift) -> None:
    """Have Evidently know our tests, for which both samples are samples."""
    # pylint: disable=import-outside-toplevel  # Evidently takes 5 s
    from evidently.legacy.calculations.stattests import register_stattest, StatTest
    from evidently.legacy.core import ColumnType

    tests = {
        "ks_two_samples": (comparison.numbers, "Kolmogorov-Smirnov, two samples: p"),
        "counts_two_samples": (comparison.words, "homogeneity of counts, two samples: p"),
    }
    for name, (test, title) in tests.items():

        def judged(
            old: pd.Series, new: pd.Series, _: object, most: float, test: Any = test
        ) -> tuple[float, bool]:
            found = test(old, new)
            return found.p, found.p <= most and found.effect >= settings.effect

        kinds = [ColumnType.Numerical, ColumnType.Categorical]
        register_stattest(StatTest(name, title, kinds), judged)


def table(found: list[Verdict]) -> str:
    """The verdicts for a person, what differs most first."""
    width = max(len(it.pair.label[:40]) for it in found)
    lines = [f"{'column':{width}}  {'reference':>20}  {'window':>20}  {'p':>8}  effect  verdict"]
    for it in found:
        sides = (summary(values, it.pair.numeric) for values in (it.pair.reference, it.pair.found))
        old, new = (f"{words[:20]:>20}" for words in sides)
        said = "DRIFT" if it.drifted else "as before"
        name = f"{it.pair.label[:40]:{width}}"
        lines.append(f"{name}  {old}  {new}  {it.p:8.2g}  {it.effect:6.2f}  {said}")
    return "\n".join(lines)


def summary(values: pd.Series, numeric: bool) -> str:
    """A sample in some twenty characters: its median, or what is most frequent in it."""
    if values.empty:
        return "none"
    if set(values.unique()) <= {MISSING, THERE}:
        return f"{(values == MISSING).mean():.2%} missing"
    if numeric:
        return f"median {values.median():.6g}"
    first = values.value_counts(normalize=True).head(1)
    return f"{str(first.index[0])[:13]} {first.iloc[0]:.0%}"


def record(archive: Archive, found: list[Verdict], about: tuple[str, int], now: datetime) -> None:
    """Keep the verdicts in the database of the log; `about` is the model and the rows."""
    common = {"time": now, "model_version": about[0], "rows": about[1]}
    archive.add(
        common | {"column": it.column, "p": it.p, "effect": it.effect, "drifted": bool(it.drifted)}
        for it in found
    )


def compare(settings: Drift, url: str, seed: int) -> tuple[Window, list[Verdict]]:
    """The newest rows of the champion, and the verdicts; none where the rows are too few.

    Writes the report and keeps the verdicts.
    """
    now, champion = datetime.now(UTC), training_reference.read()
    extent = Extent(settings.hours, settings.rows, MOST, seed)
    with Archive(url) as archive:
        newest = window(archive, champion.version, champion.contract, extent, now)
        if len(newest.rows) < settings.fewest:
            return newest, []
        compared = pairs(champion, newest)
        found = verdicts(compared, settings)
        write(compared, found, settings)
        record(archive, found, (champion.version, newest.total), now)
    return newest, found


def main(
    fail: Annotated[bool, typer.Option("--fail", help="exit 1 where a column has drifted")] = False,
) -> None:
    """Say which columns of the newest logged rows have drifted."""
    settings = load_settings()
    newest, found = compare(settings.drift, settings.serving.prediction_log_url, settings.seed)
    if settings.drift.pushgateway:
        # pylint: disable-next=import-outside-toplevel  # seldom needed
        from mlops_ladder.monitoring.push import drift_gauges, push

        push(settings.drift, drift_gauges(found, newest.total, bool(found)))
    if not found:
        least = f"at least {settings.drift.fewest} are needed (drift.fewest)"
        print(f"Not enough data: {len(newest.rows):,} logged rows of the champion; {least}")
        return
    print(table(found))
    named = ", ".join(it.column for it in found if it.drifted)
    print(f"\n{newest.total:,} logged rows; drifted: {named or 'no column'}.  Next: open {REPORT}")
    if named and fail:
        raise ProjectError(f"drift in {named}; see {REPORT}")
