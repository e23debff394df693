"""The report on drift: Evidently shows each verdict and both distributions of each column.

The only file that imports Evidently, which takes 5 s.  `comparison` judges, once (ADR 0015).
"""

from pathlib import Path
from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.core.metric_types import SingleValueCalculation, SingleValueMetric
from evidently.metrics import MedianValue, UniqueValueCount
from evidently.tests import gte, lt

from mlops_ladder import write_file_atomically
from mlops_ladder.monitoring.archive import Window
from mlops_ladder.monitoring.comparison import FEW_VALUES, to_texts, Verdict
from mlops_ladder.monitoring.training_reference import Reference

LESS = "\ue03c"  # stands for `<` in all that Evidently gets: it could end the script of the page


class ColumnDrift(SingleValueMetric):  # pylint: disable=too-many-ancestors  # Evidently has them
    """The verdict on a column."""

    column: str
    label: str
    p: float
    effect: float


class DriftCalculation(SingleValueCalculation[ColumnDrift]):
    """The effect of a verdict as a number with a title; Evidently finds this class by its type."""

    def calculate(self, context: Any, current_data: Any, reference_data: Any) -> Any:
        """Return the effect."""
        assert context and current_data and reference_data
        return self.result(self.metric.effect)

    def display_name(self) -> str:
        """Return the title of the number."""
        metric = self.metric
        return f"{metric.label}: effect (Cohen's scale); p = {metric.p:.2g}"


def write_report(
    reference: Reference, window: Window, verdicts: list[Verdict], effect: float, path: Path
) -> Any:
    """Write the report as one HTML file that needs no other.  Return what it says.

    Args:
        reference: The rows of the training, and the predictions of rows held out.
        window: The logged rows.
        verdicts: The verdict on each column, in the order of the report.
        effect: The smallest effect that is drift.
        path: The file to write.
    """
    old = build_frame(reference, reference.rows, reference.predictions, verdicts)
    new = build_frame(reference, window.rows, window.answers, verdicts)
    numeric = list(old.select_dtypes("number").columns)
    metrics: list[Any] = []
    for verdict, column in zip(verdicts, old, strict=True):
        names = {"column": escape(verdict.column), "label": escape(verdict.pair.label)}
        # A difference that may be chance passes; one that is certain passes if it is small.
        test = lt(effect) if verdict.p <= verdict.threshold else gte(0)
        distribution = MedianValue if column in numeric else UniqueValueCount
        drift = ColumnDrift(**names, p=verdict.p, effect=verdict.effect, tests=[test])
        metrics += [drift, distribution(column=column)]
    others = [column for column in old if column not in numeric]
    columns = DataDefinition(numerical_columns=numeric, categorical_columns=others)
    samples = (Dataset.from_pandas(frame, columns) for frame in (new, old))
    report = Report(metrics).run(*samples)
    page = report.get_html_str(as_iframe=False).replace(rf"\u{ord(LESS):x}", r"\u003c")
    write_file_atomically(path, page)
    return report.dict()


def build_frame(
    reference: Reference, rows: pd.DataFrame, answers: pd.DataFrame, verdicts: list[Verdict]
) -> pd.DataFrame:
    """Return a column for each verdict, in as many rows as both tables have.

    A time is shown by its hour, and a text that hardly ever repeats by its length.

    Args:
        reference: Whose contract tells how to show a column.
        rows: The inputs.
        answers: A table with the column `prediction`.
        verdicts: The verdicts that name the columns.
    """
    count, columns = min(len(rows), len(answers)), {}
    for name in (verdict.column for verdict in verdicts):
        values, title, kind = answers["prediction"], name, ""
        if name in rows:
            values, kind = rows[name], reference.contract.columns[name].kind
        if kind == "time":
            values, title = values.dt.hour, f"{name}: hour"
        elif kind == "text" and reference.rows[name].nunique() > FEW_VALUES:
            values, title = values.str.len(), f"{name}: length"
        elif not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            texts = to_texts(values).map(escape, na_action="ignore").astype("object")
            values = texts.where(values.notna(), None)
        columns[escape(title)] = values.head(count).to_numpy()
    return pd.DataFrame(columns)


def escape(text: str) -> str:
    """Return a text without the sign that could end a script of the page."""
    return text.replace("<", LESS)
