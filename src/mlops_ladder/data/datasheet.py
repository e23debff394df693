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
from mlops_ladder.templates import render_template

SHEET = Path("DATASHEET.md")
OWN_WORDS_LINE = "<!-- What stands below this line is yours; `make datasheet` keeps it. -->"
TEMPLATE = Path(__file__).with_name("datasheet.md.j2")
MAX_WORDS_SHOWN = 3  # the most frequent words of a column
CHECK = typer.Option("--check", help="change nothing; fail if it is stale")


def render_page(frame: pd.DataFrame, contract: Contract, settings: Settings) -> str:
    """Return a new sheet of these rows, with the questions that a person answers."""
    named = contract.names("feature", "target", "time", "id", "group")
    rows = casting.validate_and_cast(frame, contract, named)
    table, paths = frame.assign(**rows), list_data_files(settings.data.path)
    declared, used = sources.read_sources().items(), set(map(str, paths))
    return render_template(
        TEMPLATE,
        frame=frame,
        contract=contract,
        paths=paths,
        own_words_line=OWN_WORDS_LINE,
        sources={name: source for name, source in declared if used & set(source["files"])},
        columns=[format_column(name, table, contract) for name in contract.columns],
        sha256=sources.compute_sha256(*paths),
        unlabelled=int(rows[contract.target].isna().sum()),
    )


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
    text = SHEET.read_text(encoding="utf-8") if SHEET.exists() else ""
    own = split_page(SHEET, text, OWN_WORDS_LINE)[1] if text else ""
    if check and "sha256 `" not in text:
        print(f"{SHEET}: describes no data yet; to write it: make datasheet")
        return
    page = render_page(problem.read_data(settings), contract, settings)
    sheet, questions = split_page(SHEET, page, OWN_WORDS_LINE)
    if check:
        print(compare_datasheet(text, sheet))
        return
    write_file_atomically(SHEET, sheet + (own if text else questions))
    print(f"Wrote {SHEET}.  Read it, answer what stands below the line, then commit it.")
