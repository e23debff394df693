"""Validation: the rows against the contract.  The only file that imports pandera."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mlops_ladder.data.casting import make_violation
from mlops_ladder.data.contract import Column, Contract, Violation

EXPECTATION_CHECKS = ("in_range", "isin")  # pandera's names; a column may enforce them
MISSING_SHARE = "share"
MAX_FAILURE_CASES = 3  # pandera copies every failure without a limit: minutes for a million of them


def find_contract_violations(frame: pd.DataFrame, contract: Contract) -> list[Violation]:
    """Return a violation for each column and rule that rows break, each column as its kind.

    The rules are the contract's: range, categories, whole numbers, which and how many values may be
    missing, and that an id names one row.  A column that the frame lacks is not checked.  A share
    is judged of all rows: merge the violations of several frames, then call `with_total`.
    """
    from pandera.errors import SchemaErrors  # pylint: disable=import-outside-toplevel  # slow

    names = [name for name in contract.columns if name in frame.columns]
    try:
        build_schema(contract, names).validate(frame.reset_index(drop=True), lazy=True)
    except SchemaErrors as errors:
        return [to_violation(frame, error, contract) for error in errors.schema_errors]
    return []


def build_schema(contract: Contract, names: list[str]) -> Any:
    """Return these columns as a pandera schema; each check carries its rule in words."""
    # Commands that check nothing do not wait the second that pandera takes to load.
    # pylint: disable-next=import-outside-toplevel
    from pandera.pandas import Column as Checked, DataFrameSchema

    rules = {name: build_checks(name, contract.columns[name]) for name in names}
    columns = {name: Checked(checks=checks, nullable=True) for name, checks in rules.items()}
    return DataFrameSchema(columns)


def build_checks(name: str, column: Column) -> list[Any]:
    """Return the checks of a column; a missing value breaks only those of missing values."""
    from pandera.pandas import Check  # pylint: disable=import-outside-toplevel  # slow

    limit: Any = {"n_failure_cases": MAX_FAILURE_CASES}
    checks, present = [], partial(Check, pd.Series.notna, ignore_na=False, **limit)
    if not column.nullable:
        checks.append(present(error="are missing, and the contract says nullable = false"))
    elif column.missing is not None:
        rule = f"are missing; the contract allows {column.missing:.1%}"
        checks.append(present(name=MISSING_SHARE, error=rule))
    if column.role == "id":
        checks.append(Check(is_unique, error="hold an id that another row has too", **limit))
    if column.kind == "integer" and column.role != "id":
        checks.append(Check(is_whole, error="hold no whole number", **limit))
    if column.range and column.kind in ("integer", "number"):
        low, high = column.range
        rule = f"break {low} ≤ {name} ≤ {high}"
        checks.append(Check.in_range(low, high, error=rule, **limit))
    if column.categories and column.kind in ("category", "text"):
        rule = f"hold none of the {len(column.categories)} categories"
        checks.append(Check.isin(column.categories, error=rule, **limit))
    return checks


def is_unique(values: pd.Series) -> pd.Series:
    """Return, for each value, whether no other row has it."""
    return ~values.duplicated(keep=False)


def is_whole(values: pd.Series) -> pd.Series:
    """Return, for each value, whether it is a whole number."""
    return values % 1 == 0


def to_violation(frame: pd.DataFrame, error: Any, contract: Contract) -> Violation:
    """Return pandera's error as a violation; most checks leave missing values out."""
    wrong = np.zeros(len(frame), dtype=bool)
    output = error.check_output
    wrong[output.index[~output.to_numpy(dtype=bool)]] = True
    column, name = contract.columns[error.schema.name], error.check.name
    enforced = column.enforce or (column.role == "target" and name == "isin")  # a class is no guess
    return replace(
        make_violation(frame[error.schema.name], wrong, error.check.error),
        is_expectation=name in EXPECTATION_CHECKS and not enforced,
        max_share=column.missing if name == MISSING_SHARE else None,
    )
