"""Taking in: a filled sheet becomes labels, all of them or none."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, UTC
from pathlib import Path

from mlops_ladder import problem, ProjectError, raise_for_faults
from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.labelling.queue import add, DECIDED, decisions, Label, labels, rows, votes
from mlops_ladder.settings import Settings

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
    found = validate_and_cast(problem.read_data(settings), contract, [contract.target])[
        contract.target
    ]
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
    known = said(who, source)
    found, wrong = judged(path, {} if relabel else known, asked)
    empty = [] if found else ["it holds no label; fill in the column `label`"]
    raise_for_faults(f"{path}: nothing is taken in", wrong or empty)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new = [Label(row, it, source, who, now) for row, it in found.items() if known.get(row) != it]
    add(new)
    return new


def judged(path: Path, known: dict[str, str], asked: Answers) -> tuple[dict[str, str], list[str]]:
    """The label of each row of a filled sheet, and a line for each that is not taken in."""
    queued, wrong = rows(), []
    found: dict[str, str] = {}
    for line, name, text in filled(path):
        row, label = name if name in queued else name.removeprefix("'"), asked.read(text)
        told = "was never queued; the column `row` has to stay as it was"
        if row in queued:
            told = refused(label, found.get(row), known.get(row), asked)
        if told:
            wrong.append(f"line {line}: row {row!r}, label {text!r}: {told}")
        else:
            found[row] = str(label)
    return found, wrong


def refused(label: str | None, above: str | None, before: str | None, asked: Answers) -> str:
    """Why a label is not taken in, beside one above in the sheet and one given before; or empty."""
    if label is None:
        return f"has to be {asked.allowed}"
    if above not in (None, label):
        return f"{above!r} further up in this file; keep one"
    if before not in (None, label):
        return f"the same person said {before!r} before; where this is meant: RELABEL=yes"
    return ""


def said(who: str, source: str) -> dict[str, str]:
    """What this person has said of each row; of rows in dispute, what was decided."""
    known = labels()
    if source == DECIDED:
        return decisions(known)
    return {row: them[who] for row, them in votes(known).items() if who in them}
