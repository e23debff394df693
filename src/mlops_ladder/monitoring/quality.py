"""Live quality: is the champion as good as at the gate, by the outcomes of its predictions?

Each score is compared by the normal distribution of its difference from the promised one, as at the
gate.  The standard errors are those of the bootstrap (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapters 6 and 13).  A bias, the mean error, is compared by Welch's test
(Biometrika 34, 1947): it shows that the answers have changed, not the rows alone.  Holm's procedure
(Scandinavian Journal of Statistics 6, 1979) allows for the number of comparisons.  `false_alarms`
holds for one report: of reports on overlapping windows several may be false at once.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta, UTC
from io import StringIO
from math import hypot, isfinite, nan, sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import sqlalchemy as sql
import typer
from matplotlib.figure import Figure

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data.casting import CASTS
from mlops_ladder.data.contract import Contract
from mlops_ladder.model.figures import create_figure
from mlops_ladder.model.prediction import LOWER_IS_BETTER
from mlops_ladder.model.resampling import bootstrap_scores
from mlops_ladder.model.training import Trained
from mlops_ladder.monitoring.archive import make_verdict_table
from mlops_ladder.monitoring.outcomes import LabelledRows, OUTCOMES, Outcomes, read_labelled_rows
from mlops_ladder.monitoring.page import render_figures, render_page
from mlops_ladder.monitoring.push import build_quality_gauges, push_gauges
from mlops_ladder.monitoring.training_reference import read_reference, Reference
from mlops_ladder.registry.checks import apply_holm, compute_chance, read_check_settings, slices
from mlops_ladder.registry.checks.interval_plot import Interval, plot_intervals
from mlops_ladder.registry.gate_checks import CheckContext
from mlops_ladder.serving.model_reloader import FOLDER, POINTER
from mlops_ladder.settings import load_settings, Settings
from mlops_ladder.templates import render_template
from mlops_ladder.tracking import runs

REPORT = Path("reports/quality.html")
TABLE = Path(__file__).with_name("quality.html.j2")
RESAMPLES = 200  # enough for a standard error, by chapter 6
HALF_INTERVAL = NormalDist().inv_cdf(0.975)  # standard errors to the end of a 95 % interval
ALL_ROWS = "all rows"
QUALITY = make_verdict_table(
    "quality",
    sql.Column("name", sql.Text, nullable=False),
    sql.Column("metric", sql.Text, nullable=False),
    sql.Column("value", sql.Float, nullable=False),
    sql.Column("promised", sql.Float, nullable=True),
    sql.Column("p", sql.Float, nullable=False),
    sql.Column("degraded", sql.Boolean, nullable=False),
)


@dataclass(frozen=True)
class OfflineScores:
    """The promise of the gate: the held-out rows of the champion, and its predictions for them.

    `slices` has the score of each slice with its 95 % interval.
    """

    champion: Reference
    truth: pd.Series
    predictions: pd.DataFrame
    slices: dict[str, tuple[float, float, float]]


@dataclass(frozen=True)
class QualityTest:
    """A score of some rows with its 95 % interval, and the promised score of such rows.

    `p` is the probability of so large a loss by chance; 1 if there is no promised score.
    """

    name: str
    metric: str
    rows: int
    value: float
    low: float
    high: float
    promised: float
    p: float
    degraded: bool = False

    @property
    def slice_name(self) -> str:
        """The name of the slice; empty for all rows."""
        return "" if self.name == ALL_ROWS else self.name


@dataclass(frozen=True)
class QualityReport:
    """The tests of a model at a time; `labels` of `logged` rows have an outcome."""

    time: datetime
    model_version: str
    labels: int
    logged: int
    tests: list[QualityTest]

    @property
    def degraded(self) -> list[QualityTest]:
        """The tests that say that the model is worse than promised."""
        return [test for test in self.tests if test.degraded]

    @property
    def verdict(self) -> Literal["not enough labels", "fine", "degraded"]:
        """All tests in two words."""
        if not self.tests:
            return "not enough labels"
        return "degraded" if self.degraded else "fine"


def read_offline_scores() -> OfflineScores:
    """Return the promise for the champion that is published here.

    Raises ProjectError if there is none, or if its run does not exist any more.
    """
    champion = read_reference()
    run_id = str(json.loads((FOLDER / POINTER).read_bytes())["run_id"])
    text = read_run_text(run_id, "predictions.csv")
    if text is None:
        reason = "MLflow has no held-out predictions of it; is MLFLOW_TRACKING_URI the right one?"
        raise ProjectError(f"run {run_id} of the champion v{champion.number}: {reason}")
    answers = json.loads(read_run_text(run_id, "questions.json") or "{}")
    scores = answers.get("slices", {}).get("evidence", {}).get("slices", [])
    by_slice = {score["slice"]: (score["score"], score["low"], score["high"]) for score in scores}
    return OfflineScores(champion, *parse_predictions(text, champion.contract), by_slice)


def read_run_text(run_id: str, name: str) -> str | None:
    """Return a text artifact of a run; None if there is none."""
    mlflow = runs.connect_mlflow()
    try:
        return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{name}"))
    except (mlflow.exceptions.MlflowException, OSError):
        return None


def parse_predictions(text: str, contract: Contract) -> tuple[pd.Series, pd.DataFrame]:
    """Return truth and predictions of the held-out rows from the CSV of a run."""
    table = pd.read_csv(StringIO(text), dtype=str, keep_default_na=False)
    column = contract.columns[contract.target]
    convert: Any = CASTS[column.kind]
    predictions = table.filter(regex="^probability_").astype("float64")
    predictions.insert(0, "prediction", convert(table["prediction"], column))
    return convert(table["truth"], column), predictions


def run_quality_tests(
    live: LabelledRows, offline: OfflineScores, settings: Settings
) -> list[QualityTest]:
    """Test the score of all rows, each bias, and the score of each slice.

    Half of the false alarms is for all rows, half for the slices.
    """
    target, share = offline.champion.contract.target, settings.quality.false_alarms / 2
    promise = resample_score(offline.truth, offline.predictions, settings, settings.seed + 1)
    overall = compare_score(ALL_ROWS, live.rows[target], live.predictions, promise, settings)
    whole = [overall, *compare_biases(live, offline, settings)]
    parts = list(compare_slices(live, offline, settings))
    return [*mark_degraded(whole, share), *mark_degraded(parts, share)]


def mark_degraded(tests: list[QualityTest], false_alarms: float) -> list[QualityTest]:
    """Return the tests, and mark those that chance does not explain, however many there are."""
    marks = apply_holm([test.p for test in tests], false_alarms)
    return [replace(test, degraded=mark) for test, mark in zip(tests, marks, strict=True)]


def resample_score(
    truth: pd.Series, predictions: pd.DataFrame, settings: Settings, seed: int
) -> tuple[float, float]:
    """Return the metric of `config.toml` on these rows, and its bootstrap standard error."""
    truth, models = truth.reset_index(drop=True), {"": predictions.reset_index(drop=True)}
    draws = bootstrap_scores(settings.metric, truth, models, seed, RESAMPLES)[""]
    return draws.whole, slices.standard_error(draws)


def compare_score(
    name: str,
    truth: pd.Series,
    predictions: pd.DataFrame,
    promised: tuple[float, float],
    settings: Settings,
) -> QualityTest:
    """Test whether the score of these rows is worse than `promised` by more than is allowed.

    `promised` is the score and its standard error.
    """
    value, error = resample_score(truth, predictions, settings, settings.seed)
    sign = -1 if settings.metric in LOWER_IS_BETTER else 1
    room = sign * (value - promised[0]) + settings.quality.allowed * abs(promised[0])
    total = hypot(error, promised[1])
    p = compute_chance(room, total) if isfinite(room) and isfinite(total) else 1.0
    low, high = value - HALF_INTERVAL * error, value + HALF_INTERVAL * error
    return QualityTest(name, settings.metric, len(truth), value, low, high, promised[0], p)


def list_errors(
    truth: pd.Series, predictions: pd.DataFrame, problem: str
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the errors of a number, or of the probability of each class, with a name.

    Of two classes the second one.  Nothing for a model without probabilities.
    """
    if problem == "regression":
        yield "bias", (truth - predictions["prediction"]).to_numpy("float64")
        return
    shares = predictions.filter(regex="^probability_")
    for name in shares.columns[1:] if shares.shape[1] == 2 else shares.columns:
        label = name.removeprefix("probability_")
        hits = (truth.astype(str) == label).to_numpy("float64")
        yield f"bias: {label}", hits - shares[name].to_numpy("float64")


def compare_biases(
    live: LabelledRows, offline: OfflineScores, settings: Settings
) -> Iterator[QualityTest]:
    """Test whether the mean error, outcome minus prediction, is another one than promised."""
    truth, problem = live.rows[offline.champion.contract.target], settings.problem
    before = dict(list_errors(offline.truth, offline.predictions, problem))
    for name, now in list_errors(truth, live.predictions, problem):
        then = before.get(name, now[:0])
        if min(len(now), len(then)) > 1:
            yield compare_bias(name, now, then, settings.quality.effect)


def compare_bias(name: str, now: np.ndarray, then: np.ndarray, effect: float) -> QualityTest:
    """Test a mean error against the promised one; a change below `effect` is none."""
    value, promised = float(now.mean()), float(then.mean())
    spreads = now.std(ddof=1), then.std(ddof=1)
    own = float(spreads[0] / sqrt(len(now)))
    change, error = abs(value - promised), hypot(own, spreads[1] / sqrt(len(then)))
    p = 2 * NormalDist().cdf(-change / error) if error else float(value == promised)
    p = 1.0 if change < effect * hypot(*spreads) / sqrt(2) else p
    low, high = value - HALF_INTERVAL * own, value + HALF_INTERVAL * own
    return QualityTest(ALL_ROWS, name, len(now), value, low, high, promised, p)


def compare_slices(
    live: LabelledRows, offline: OfflineScores, settings: Settings
) -> Iterator[QualityTest]:
    """Test the score of each slice of `config/slices.toml` that has enough rows."""
    contract, rows = offline.champion.contract, live.rows
    chosen = read_check_settings("slices", slices, contract)
    columns = {name: contract.columns[name] for name in map(str, rows)}
    logged = contract.model_copy(update={"columns": columns})
    both = live.predictions, live.predictions
    context = CheckContext(Trained(settings, logged, None, rows.iloc[:0], rows, *both, seconds=0))
    for part in slices.select_slices(context, restrict_to_inputs(chosen, contract.inputs())):
        if part.rows.sum() >= part.min_n:
            score, low, high = offline.slices.get(part.name, (nan,) * 3)
            promised = score, (high - low) / 2 / HALF_INTERVAL
            truth, predictions = rows.loc[part.rows, contract.target], live.predictions[part.rows]
            yield compare_score(part.name, truth, predictions, promised, settings)


def restrict_to_inputs(chosen: slices.Settings, inputs: list[str]) -> slices.Settings:
    """Return the slices without those of columns that the service does not get."""
    columns, groups = chosen.columns, [part for part in chosen.slices if part.column in inputs]
    columns = None if columns is None else [name for name in columns if name in inputs]
    return chosen.model_copy(update={"columns": columns, "slices": groups})


def check_quality(settings: Settings, now: datetime) -> QualityReport:
    """Test the champion by the outcomes that are known; store the results and write the page.

    Raises ProjectError if no champion is published, or nothing is logged.
    """
    offline, quality = read_offline_scores(), settings.quality
    champion = offline.champion
    with Outcomes(settings.serving.prediction_log_url) as archive:
        recent = OUTCOMES.c.known_at >= now - timedelta(hours=quality.hours)
        outcomes = archive.find_labelled(recent, quality.rows, champion.version)
        live = read_labelled_rows(archive, outcomes, champion.contract)
        has_enough = len(live.rows) >= quality.fewest
        tests = run_quality_tests(live, offline, settings) if has_enough else []
        counts = len(live.rows), archive.count_logged_rows(champion.version)
        report = QualityReport(now, champion.version, *counts, tests)
        store_report(report, archive)
        if tests:
            history = archive.read_verdicts(now - timedelta(days=365), QUALITY)
            write_file_atomically(REPORT, render_quality(report, history, settings))
    return report


def store_report(report: QualityReport, archive: Outcomes) -> None:
    """Store each test that has a score."""
    about = {"time": report.time, "model_version": report.model_version}
    rows = [asdict(test) | about for test in report.tests if isfinite(test.value)]
    for row in rows:
        row["promised"] = row["promised"] if isfinite(row["promised"]) else None
    archive.add_verdicts(rows, QUALITY)


def render_quality(report: QualityReport, history: list[dict[str, Any]], settings: Settings) -> str:
    """Return the page: the tests as a table, and the scores now and over time."""
    note = (
        f"Model {report.model_version}, {report.time:%Y-%m-%d %H:%M} UTC: the outcome of"
        f" {report.labels:,} of {report.logged:,} logged rows was used.  Of 100 reports on a model"
        f" that is as promised, {100 * settings.quality.false_alarms:g} say degraded."
    )
    pictures = render_figures(draw_quality(report, history, settings.metric))
    table = render_template(TABLE, tests=report.tests, promised=format_promised)
    return render_page(f"Live quality: {report.verdict}", note, table, pictures)


def format_promised(test: QualityTest) -> str:
    """Return the promised score for a person."""
    return f"{test.promised:.4g}" if isfinite(test.promised) else "nothing"


def draw_quality(
    report: QualityReport, history: list[dict[str, Any]], metric: str
) -> dict[str, Figure]:
    """Draw the scores with the promised ones, and the score of all rows over time."""
    lines = []
    for test in report.tests:
        if test.metric == metric and isfinite(test.value):
            promised = {"promised": test.promised} if isfinite(test.promised) else {}
            values = test.low, test.value, test.high
            lines.append(Interval(test.name, *values, test.degraded, promised))
    figures = {"Now": plot_intervals("Live quality", f"{metric}, 95 % interval", lines)}
    overall = [row for row in history if (row["name"], row["metric"]) == (ALL_ROWS, metric)]
    if overall:
        table = pd.DataFrame(overall)
        table.index = pd.to_datetime(table["time"], utc=True)
        figures["Over time"] = create_figure(7.4, 4)
        axes = figures["Over time"].add_subplot()
        axes.plot(table["value"], marker="o", label="live")
        axes.plot(table["promised"], color="black", linestyle="--", label="promised")
        axes.set(title="All rows, report by report", ylabel=metric)
        axes.tick_params(axis="x", rotation=30)
        axes.legend(frameon=False)
    return figures


def format_tests(tests: list[QualityTest]) -> str:
    """Return the tests as a table for a person, the worst first."""
    width = max(len(test.name[:36]) for test in tests)
    lines = [f"{'rows':{width}}  {'score':18}  {'count':>7}  {'live':>9}  promised         p"]
    for test in sorted(tests, key=lambda test: (not test.degraded, test.p)):
        mark = "  DEGRADED" if test.degraded else ""
        about = f"{test.name[:36]:{width}}  {test.metric[:18]:18}  {test.rows:7,}"
        values = f"{test.value:9.4g}  {format_promised(test):>8}  {test.p:8.2g}"
        lines.append(f"{about}  {values}{mark}")
    return "\n".join(lines)


def main(
    fail: Annotated[bool, typer.Option("--fail", help="exit 1 where it is degraded")] = False,
) -> None:
    """Report whether the champion is as good as the gate promised."""
    report = check_quality(settings := load_settings(), datetime.now(UTC))
    gauges = build_quality_gauges(report.tests, report.labels, time.time())
    push_gauges(settings.drift, gauges, "quality")
    if not report.tests:
        least = f"at least {settings.quality.fewest} are needed (quality.fewest)"
        print(f"Not enough labels: {report.labels:,} rows of the champion have one; {least}")
        return
    print(format_tests(report.tests))
    names = ", ".join(f"{test.name} ({test.metric})" for test in report.degraded)
    print(f"\n{report.labels:,} of {report.logged:,} logged rows; degraded: {names or 'nothing'}.")
    print(f"Next: open {REPORT}")
    if names and fail:
        raise ProjectError(f"the quality is not what was promised: {names}; see {REPORT}")
