"""Taking in: a filled sheet becomes labels, all of them or none."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from .. import ProjectError
from ..contract import Column, Contract
from ..prediction import conform
from ..problem import read_data
from ..settings import Settings
from .queue import rows
from .table import DECIDED, Label, add, decisions, labels, votes

LONGEST = 80  # characters of a name


@dataclass(frozen=True)
class Answers:
    """What a label may be, in words, and what reads one as the data write it; None for no label."""

    allowed: str
    read: Callable[[str], str | None]


def classes(settings: Settings, contract: Contract) -> list[str]:
    """What a label may be: the classes of the contract, else of the data; none for a number."""
    if settings.problem == "regression":
        return []
    if known := contract.columns[contract.target].categories:
        return known
    found = conform(read_data(settings), contract, [contract.target])[contract.target]
    return sorted(map(str, found.dropna().unique()))


def answers(settings: Settings, contract: Contract) -> Answers:
    """What may be answered to this problem: a class, or a number of the kind and range."""
    known, column = classes(settings, contract), contract.columns[contract.target]
    if settings.problem == "regression":
        span = f" from {column.range[0]} to {column.range[1]}" if column.range else ""
        whole = "a whole number" if column.kind == "integer" else "a number"
        return Answers(whole + span, lambda text: amount(text, column))

    def named(text: str) -> str | None:
        alike = [name for name in known if name.casefold() == text.casefold()]
        return text if text in known else alike[0] if len(alike) == 1 else None

    return Answers(f"one of {', '.join(known)}", named)


def amount(text: str, column: Column) -> str | None:
    """A number of the contract's kind and range, also with a comma for a point."""
    try:
        value = float(text if "." in text else text.replace(",", "."))
    except ValueError:
        return None
    low, high = column.range or (-1e300, 1e300)
    if not low <= value <= high or (column.kind == "integer" and value % 1):
        return None
    return str(int(value)) if column.kind == "integer" else repr(value)


def filled(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, row and label of a filled sheet where there is a label; any spreadsheet's separator.

    Raises ProjectError where it cannot be read, or lacks a column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path}: cannot be read: {error}; save it as CSV in UTF-8") from error
    mark = max(",;\t", key=text.partition("\n")[0].count)
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark)
    if lacking := [name for name in ("row", "label") if name not in (table.fieldnames or [])]:
        raise ProjectError(f"{path}: has no column {', '.join(lacking)}; fill in the queue's file")
    for it in table:
        if label := (it["label"] or "").strip():
            yield table.line_num, (it["row"] or "").strip(), label


def person(by: str) -> str:
    """The name as it is kept: who is written in two ways is still one.  ProjectError for none."""
    who = " ".join(by.split()).casefold()
    if not 0 < len(who) <= LONGEST or not who.isprintable():
        raise ProjectError(f"BY={by!r}: say who labelled, in 1 to {LONGEST} characters: BY=name")
    return who


def take(path: Path, who: str, source: str, asked: Answers, relabel: bool = False) -> list[Label]:
    """Take the labels of a filled sheet in; those that are new.  All of them, or none.

    Raises ProjectError that names each row with its label: one that was never queued, a label that
    is none, two labels for a row, another one than this person gave before unless `relabel`.
    """
    known, queued = said(who, source), rows()
    found: dict[str, str] = {}
    wrong = []
    for line, name, text in filled(path):
        row = name if name in queued else name.removeprefix("'")
        label, told = asked.read(text), ""
        if row not in queued:
            told = "was never queued; the column `row` has to stay as it was"
        elif label is None:
            told = f"has to be {asked.allowed}"
        elif found.setdefault(row, label) != label:
            told = f"{found[row]!r} further up in this file; keep one"
        elif known.get(row, label) != label and not relabel:
            told = f"{who} said {known[row]!r} before; where this is meant: RELABEL=yes"
        wrong += [f"line {line}: row {row!r}, label {text!r}: {told}"] if told else []
    if wrong or not found:
        shown = "\n  ".join(wrong or ["it holds no label; fill in the column `label`"])
        raise ProjectError(f"{path}: nothing is taken in\n  {shown}")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = [Label(row, it, source, who, now) for row, it in found.items() if known.get(row) != it]
    add(new)
    return new


def said(who: str, source: str) -> dict[str, str]:
    """What this person has said of each row; of rows in dispute, what was decided."""
    known = labels()
    if source == DECIDED:
        return decisions(known)
    return {row: them[who] for row, them in votes(known).items() if who in them}
