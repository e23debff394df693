"""The technical documentation: what runs, logs and files show, and nothing else.

Its text is technical.md.j2.  Its headings follow the points of Annex IV of Regulation (EU)
2024/1689, the Artificial Intelligence Act.  It does not say that the evidence suffices: people
judge that.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from mlops_ladder import raise_for_faults, read_text_if_exists, write_file_atomically
from mlops_ladder.governance.documents import evidence
from mlops_ladder.governance.documents.statements import find_statement_faults, format_statement
from mlops_ladder.governance.incidents import read_incidents
from mlops_ladder.markdown import raise_for_differences
from mlops_ladder.settings import load_settings
from mlops_ladder.strict_model import read_toml
from mlops_ladder.templates import render_template
from mlops_ladder.tracking import runs

DOCUMENT = Path("TECHNICAL.md")
TEMPLATE = Path(__file__).with_name("technical.md.j2")
NOTHING = "No evidence: "
ADVICE = f"{DOCUMENT}: run `make techdoc`, read it, commit it"


def format_section(title: str, way_out: str, caller: Callable[[], str]) -> str:
    """Return a heading with its statements, or else with the way to make evidence."""
    statements = [line for line in caller().splitlines() if line.strip()]
    body = "\n".join(statements) or f"{NOTHING}{way_out}"
    return f"## {title}\n\n{body}\n\n"


def render_document() -> str:
    """Return the document: the same text from the same files."""
    text = render_template(
        TEMPLATE,
        evidence=lambda name: evidence.read_evidence_file(name) or {},
        exists=lambda name: Path(name).exists(),
        find_all=re.findall,
        glob=lambda pattern: sorted(Path().glob(pattern)),
        incidents=read_incidents(),
        json=lambda name: json.loads(read_text_if_exists(Path(name))),
        json_lines=lambda name: list(map(json.loads, read_text_if_exists(Path(name)).splitlines())),
        section=format_section,
        sources=evidence.list_sources,
        state=format_statement,
        text=lambda name: read_text_if_exists(Path(name)),
        toml=lambda name: read_toml(Path(name)) if Path(name).exists() else {},
    )
    return text.rstrip("\n") + "\n"


def check_document(text: str) -> str:
    """Return a confirmation that every statement still has its source.

    Raises ProjectError that lists the statements that differ from their evidence.
    """
    raise_for_faults(ADVICE, list(find_statement_faults(text))[:20])
    difference = f"{ADVICE}\n  differs from its evidence (- document, + evidence)"
    raise_for_differences(difference, text, render_document())
    compared = "; there is no run here to compare them with"
    if runs.find_newest_run():
        compared = ""
        raise_for_faults(ADVICE, evidence.find_stale_evidence())
    count = count_lines(text, "- ")
    return f"{DOCUMENT}: {count} statements, each with its source, unchanged{compared}"


def count_lines(text: str, start: str) -> int:
    """Return the number of lines that start so."""
    return sum(line.startswith(start) for line in text.splitlines())


def write_document() -> str:
    """Copy the evidence, write the document, and return a summary.

    Raises ProjectError, and writes no document, if a statement claims what no evidence can show.
    """
    evidence.replace_evidence_files(evidence.collect_all_evidence(load_settings()))
    text = render_document()
    if faults := list(find_statement_faults(text)):
        way_out = "the text comes from the file that the line cites: change it there"
        raise_for_faults(f"{DOCUMENT}: not written", [*faults, way_out])
    write_file_atomically(DOCUMENT, text)
    count, lacking = count_lines(text, "- "), count_lines(text, NOTHING)
    return f"Wrote {DOCUMENT}: {count} statements; {lacking} points without evidence"


def main(
    only_check: Annotated[bool, typer.Option("--check", help="only check; fail if stale")] = False,
) -> None:
    """Write the documentation, or with --check compare it with its evidence."""
    text = read_text_if_exists(DOCUMENT)
    if not only_check:
        print(f"{write_document()}.  Read it, then: git add {DOCUMENT} {evidence.FOLDER}")
    elif "\n## " not in text:
        print(f"{DOCUMENT}: describes nothing yet; to write it: make techdoc")
    else:
        print(check_document(text))
