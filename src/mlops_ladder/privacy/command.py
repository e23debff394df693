"""The commands `privacy`, which holds the project to its rules, and `retain`."""

from datetime import datetime, timedelta, UTC
from typing import Annotated

import pandas as pd
import typer

from mlops_ladder import plugins, ProjectError, raise_for_faults
from mlops_ladder.data.contract import Breach, Contract, read_contract
from mlops_ladder.monitoring.archive import Archive, NoLog
from mlops_ladder.privacy import erasure_log, pii_patterns
from mlops_ladder.privacy.rules import reaching, read_rules, RULES, Rules
from mlops_ladder.problem import read_data
from mlops_ladder.settings import load_settings, Settings


def breaches(frame: pd.DataFrame, contract: Contract, rules: Rules) -> list[Breach]:
    """All that is against the rules: in the contract, in values, and who is back."""
    found = erasure_log.breaches(frame, contract)
    return found + list(pii_patterns.personal(frame, contract, rules.allowed))


def table(contract: Contract, rules: Rules) -> str:
    """A line for each column: its role, its class, whether it reaches model and log."""
    inputs, taken = contract.inputs(), reaching(contract)
    width = max(map(len, contract.columns))
    lines = [f"{'column':{width}}  {'role':8}  {'class':12}  reaches"]
    for name, column in contract.columns.items():
        where = "model, log" if name in inputs else "log, where sent" if name in taken else "-"
        lines.append(f"{name:{width}}  {column.role:8}  {rules.of(name, column):12}  {where}")
    return "\n".join(lines)


def main(
    check: Annotated[bool, typer.Option("--check", help="show only what is wrong")] = False,
) -> None:
    """Show what each column is; ProjectError that lists all that is against the rules."""
    contract = read_contract()
    if not RULES.exists():
        raise ProjectError(f"{RULES}: not here; git checkout it: nothing says what is banned")
    rules = read_rules(contract)
    if not check:
        print(table(contract, rules) + "\n")
    raise_for_faults(
        "against the rules of privacy", breaches(read_data(load_settings()), contract, rules)
    )
    known = f"{len(contract.columns)} columns, {len(erasure_log.entries())} ids forgotten"
    print(f"{RULES}: {known}; no banned column or value reaches model or log")


def retained(settings: Settings) -> tuple[int, str]:
    """Delete what is older than the retention, also where copies are: how much, and in words."""
    days = read_rules(read_contract()).retention.log_days
    before = datetime.now(UTC) - timedelta(days=days)
    plugins.get_hooks().delete_expired(settings=settings, before=before)
    try:
        with Archive(settings.serving.prediction_log_url) as archive:
            gone, left = archive.expire(before)
    except NoLog as nothing:
        return 0, f"nothing to delete: {nothing}"
    return gone, f"{gone:,} requests older than {days:g} days deleted, {left:,} left"


def retain() -> None:
    """Delete from the prediction log what is older than the retention, and say how much."""
    print(f"Prediction log: {retained(load_settings())[1]}")
