"""Statements: sentences about the project that end with what they rest on.

A citation names a file with the first digits of its sha256, or a run of MLflow.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops_ladder import ProjectError
from mlops_ladder.data.sources import checksum
from mlops_ladder.governance.documents import evidence
from mlops_ladder.markdown import as_code, as_words

DIGITS = 12
RUN = r"run `[0-9a-f]{32}`"
FILE = re.compile(r"`([^`]+)` sha256 `([0-9a-f]{12})`")
CITED = re.compile(rf"\[(?:(?:{FILE.pattern}|{RUN})(?:; |(?=\]$)))+\]$")
CODE = re.compile(r"`[^`]*`")  # names of columns and files claim nothing
CLAIM = re.compile(r"\b(?:non-?)?(?:compli(?:an|ed|es)|comply|conform(?!al\b)|certif)\w*", re.I)
NOTHING = "No evidence: "


@dataclass(frozen=True)
class Section:
    """A heading with its statements, and where there are none how to make evidence."""

    title: str
    statements: Iterable[str]
    way_out: str

    def __str__(self) -> str:
        body = "\n".join(self.statements) or f"{NOTHING}{self.way_out}"
        return f"## {self.title}\n\n{body}\n"


def cite(source: str | Path) -> str:
    """How a file, or a run by its id, is cited."""
    path = Path(source)
    if not path.suffix and re.fullmatch("[0-9a-f]{32}", path.name):
        return f"run `{path.name}`"
    return f"`{path.as_posix()}` sha256 `{checksum(path)[:DIGITS]}`"


def said(text: Any, *sources: str | Path) -> str:
    """A statement on one line, with its sources; what is no code in it is words, not markup."""
    parts = re.split(f"({CODE.pattern})", " ".join(str(text).split()))
    words = "".join(part if CODE.fullmatch(part) else as_words(part) for part in parts)
    return f"- {words} [{'; '.join(map(cite, sources))}]"


def named(names: Iterable[Any]) -> str:
    """Names of columns, files or versions, as code."""
    return ", ".join(map(as_code, names))


def toml(name: str) -> dict[str, Any]:
    """What a file of settings says; nothing where there is none.

    Raises ProjectError where it is no TOML.
    """
    try:
        path = Path(name)
        return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProjectError(f"{name}: not valid TOML: {error}") from error


def of(name: str) -> tuple[dict[str, Any], list[str | Path]]:
    """What a file of evidence says, nothing where there is none, and how it is cited."""
    facts = evidence.kept(name) or {}
    run_id = [str(facts["run_id"])] if facts.get("run_id") else []
    return facts, [evidence.FOLDER / f"{name}.json", *run_id]


def faults(text: str) -> Iterator[str]:
    """What is wrong with a text of statements, by line: no source, a changed one, a claim.

    What a statement may not say is that something fulfils a law or a standard: that is judged by
    others, and not by a program.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"line {number}"
        if claim := CLAIM.search(CODE.sub("", line)):
            yield f"{where}: says {claim[0]!r}: no evidence shows that; say what was done instead"
        if line.startswith("- ") and not CITED.search(line):
            yield f"{where}: a statement without its source: {line[:60]}"
        for name, digits in FILE.findall(line) if line.startswith("- ") else ():
            if not Path(name).is_file():
                yield f"{where}: {name} is cited, and is not there"
            elif checksum(Path(name))[:DIGITS] != digits:
                yield f"{where}: {name} has changed since it was cited"
