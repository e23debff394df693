"""Statements: sentences about the project, each with the source that it rests on.

A source is a file with the first digits of its sha256, or a run of MLflow.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from mlops_ladder.data.sources import compute_sha256
from mlops_ladder.markdown import escape_text

DIGITS = 12
RUN = r"run `[0-9a-f]{32}`"
FILE = re.compile(r"`([^`]+)` sha256 `([0-9a-f]{12})`")
CITED = re.compile(rf"\[(?:(?:{FILE.pattern}|{RUN})(?:; |(?=\]$)))+\]$")
CODE = re.compile(r"`[^`]*`")  # names of columns and files claim nothing
CLAIM = re.compile(r"\b(?:non-?)?(?:compli(?:an|ed|es)|comply|conform(?!al\b)|certif)\w*", re.I)


def cite_source(source: str | Path) -> str:
    """Return the citation of a file, or of a run by its id."""
    path = Path(source)
    if not path.suffix and re.fullmatch("[0-9a-f]{32}", path.name):
        return f"run `{path.name}`"
    return f"`{path.as_posix()}` sha256 `{compute_sha256(path)[:DIGITS]}`"


def format_statement(text: object, *sources: str | Path) -> str:
    """Return a statement on one line, with its sources; markup outside of code is escaped."""
    parts = re.split(f"({CODE.pattern})", " ".join(str(text).split()))
    words = "".join(part if CODE.fullmatch(part) else escape_text(part) for part in parts)
    return f"- {words} [{'; '.join(map(cite_source, sources))}]"


def find_statement_faults(text: str) -> Iterator[str]:
    """Yield the faults of a document by line: no source, a changed source, a claim.

    A statement may not claim that a law or a standard is fulfilled: people judge that.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"line {number}"
        if claim := CLAIM.search(CODE.sub("", line)):
            yield f"{where}: says {claim[0]!r}: no evidence shows that; say what was done instead"
        if not line.startswith("- "):
            continue
        if not CITED.search(line):
            yield f"{where}: a statement without its source: {line[:60]}"
        for name, digits in FILE.findall(line):
            if not Path(name).is_file():
                yield f"{where}: {name} is cited, and is not there"
            elif compute_sha256(Path(name))[:DIGITS] != digits:
                yield f"{where}: {name} has changed since it was cited"
