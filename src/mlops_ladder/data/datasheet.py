"""The datasheet: what the data hold, counted from the data, never by hand.

Its sections are those of Gebru et al., "Datasheets for Datasets", 2021; what no file can tell
stands below a line, and is yours.
"""

from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from pandas.api.types import is_bool_dtype, is_numeric_dtype

from mlops_ladder import problem, write_file_atomically
from mlops_ladder.data import casting, sources
from mlops_ladder.data.contract import Contract, read_contract
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.markdown import format_code, escape_text, raise_for_differences, split_page
from mlops_ladder.settings import load_settings, Settings

SHEET = Path("DATASHEET.md")
OWN_WORDS_LINE = "<!-- What stands below this line is yours; `make datasheet` keeps it. -->"
HEAD = """\
# Datasheet

For everyone who trains on these data or judges what was learned from them. `make datasheet` writes it
from the data, `contract.toml` and `data/sources.toml`; do not edit it by hand.
"""
QUESTIONS = """

## Why and how they were collected

Not stated yet.

## Whom they are about, and what those people know of it

Not stated yet.

## What they must not be used for

Not stated yet.
"""
MAX_WORDS_SHOWN = 3  # the most frequent words of a column
CHECK = typer.Option("--check", help="change nothing; fail if it is stale")


def render_datasheet(frame: pd.DataFrame, contract: Contract, settings: Settings) -> str:
    """Return the sheet of these rows, without the part below the line."""
    named = contract.names("feature", "target", "time", "id", "group")
    rows = casting.validate_and_cast(frame, contract, named)
    table = frame.assign(**rows)
    lines = [format_column(name, table, contract) for name in contract.columns]
    paths = list_data_files(settings.data.path)
    parts = [
        HEAD,
        f"## Where they come from\n\n{format_sources(settings)}\n",
        f"## What they hold\n\n{len(frame):,} rows of {len(contract.columns)} columns in"
        f" {len(paths)} files, sha256 `{sources.compute_sha256(*paths)}`."
        f"{count_unlabelled(rows, contract)}\n",
        "| column | role | kind | missing | holds |\n|---|---|---|---|---|",
        *lines,
    ]
    return "\n".join([*parts, f"\n{OWN_WORDS_LINE}"])


def format_sources(settings: Settings) -> str:
    """Return a line for each source of the configured files, from data/sources.toml."""
    used = {str(path) for path in list_data_files(settings.data.path)}
    lines = []
    for name, source in sources.read_sources().items():
        if used & set(source["files"]):
            text = f"{source['origin']}. Licence {source['licence']}. Owner: {source['owner']}."
            lines.append(f"- {format_code(name)}: {escape_text(text)}")
    return "\n".join(lines) or "No source is declared: `make data DECLARE=yes`."


def count_unlabelled(rows: pd.DataFrame, contract: Contract) -> str:
    """Return in words how many rows have no target; empty text if all have one."""
    missing = int(rows[contract.target].isna().sum())
    return f" {missing:,} have no {format_code(contract.target)}." if missing else ""


def format_column(name: str, rows: pd.DataFrame, contract: Contract) -> str:
    """Return the line of one column, without values of a person, of an id or of free text."""
    column = contract.columns[name]
    values = rows[name] if name in rows else pd.Series(dtype="object")
    secret = column.role in ("personal", "id", "ignored") or column.kind == "text"
    summary = f"{values.nunique():,} different values" if secret else summarize_values(values)
    missing = f"{values.isna().mean():.1%}" if len(values) else "not in the data"
    cells = [format_code(name), *map(escape_text, (column.role, column.kind, missing, summary))]
    return f"| {' | '.join(cells)} |"


def summarize_values(values: pd.Series) -> str:
    """Return the range and median, the first and last time, or the most frequent words."""
    there = values.dropna()
    if there.empty:
        return "nothing"
    if isinstance(there.dtype, pd.DatetimeTZDtype) or there.dtype.kind == "M":
        return f"{there.min()} to {there.max()}"
    if is_numeric_dtype(there) and not is_bool_dtype(there):
        return f"{there.min():.6g} to {there.max():.6g}, median {there.median():.6g}"
    shares = there.astype(str).value_counts(normalize=True).sort_index(kind="stable")
    most = shares.sort_values(ascending=False, kind="stable").head(MAX_WORDS_SHOWN)
    more = f", {len(shares) - MAX_WORDS_SHOWN} more" if len(shares) > MAX_WORDS_SHOWN else ""
    return ", ".join(f"{word} {share:.1%}" for word, share in most.items()) + more


def compare_datasheet(text: str, expected: str) -> str:
    """Return a line: the sheet is true.  Raise ProjectError with the lines that differ."""
    fault = f"{SHEET}: differs from the data (- sheet, + data); run `make datasheet`"
    raise_for_differences(fault, split_page(SHEET, text, OWN_WORDS_LINE)[0], expected)
    return f"{SHEET}: every count and range is that of the data"


def write_datasheet(check: Annotated[bool, CHECK] = False) -> None:
    """Write the sheet of the configured data, or say whether it is still true."""
    settings, contract = load_settings(), read_contract()
    text = (
        SHEET.read_text(encoding="utf-8")
        if SHEET.exists()
        else f"{HEAD}\n{OWN_WORDS_LINE}{QUESTIONS}"
    )
    below = split_page(SHEET, text, OWN_WORDS_LINE)[1]
    if check and "sha256 `" not in text:
        print(f"{SHEET}: describes no data yet; to write it: make datasheet")
        return
    sheet = render_datasheet(problem.read_data(settings), contract, settings)
    if check:
        print(compare_datasheet(text, sheet))
        return
    write_file_atomically(SHEET, sheet + below)
    print(f"Wrote {SHEET}.  Read it, answer what stands below the line, then commit it.")
