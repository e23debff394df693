"""Labels: who labelled which row, when, and whether people agree beyond chance.

The table of labels only grows.  Agreement on classes is Cohen's kappa (1960), averaged over the
pairs of people by the rows that they share (Light, 1971).  Agreement on numbers is Krippendorff's
alpha for intervals (2004), on the same scale: 1 for people who agree, 0 for people who guess.
"""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, fields, replace
from datetime import datetime, UTC
from itertools import combinations
from pathlib import Path
from statistics import median_low, variance
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score

from mlops_ladder import problem, ProjectError, raise_for_faults, write_file_atomically
from mlops_ladder.data.casting import validate_and_cast
from mlops_ladder.data.contract import Column, Contract
from mlops_ladder.labelling.queue import FOLDER, read_rows, ROWS
from mlops_ladder.settings import Settings
from mlops_ladder.labelling.settings import Labels

TABLE = FOLDER / "labels.csv"
QUEUED, DECIDED = "queue", "adjudication"
MAX_NAME = 80  # characters
Votes = dict[str, dict[str, str]]  # by row: the label of each person


@dataclass(frozen=True)
class Label:
    """The label of one person for one row: of the queue, or to settle a dispute."""

    row: str
    label: str
    source: str
    annotator: str
    time: str


FIELDS = [field.name for field in fields(Label)]


def read_labels() -> list[Label]:
    """Return every label, in their order.  Raise ProjectError that names an incomplete line."""
    if not TABLE.exists():
        return []
    with TABLE.open(encoding="utf-8", newline="") as file:
        head, *lines = list(csv.reader(file)) or [[]]
    wrong = [str(at) for at, row in enumerate(lines, 2) if len(row) != len(FIELDS) or not all(row)]
    if head != FIELDS or wrong:
        where = f"line {', '.join(wrong[:5])}" if wrong else "its header"
        raise ProjectError(f"{TABLE}: {where}: not all of {', '.join(FIELDS)}; `make restore` it")
    return [Label(*line) for line in lines]


def add_labels(new: list[Label]) -> None:
    """Add these labels at the end of the table."""
    text = io.StringIO(newline="")
    rows = map(astuple, [*read_labels(), *new])
    csv.writer(text, lineterminator="\n").writerows([FIELDS, *rows])
    write_file_atomically(TABLE, text.getvalue())


def list_label_files() -> list[Path]:
    """Return the files that `make data-version` keeps: the labels and their rows; a hook."""
    return [path for path in (ROWS, TABLE) if path.exists()]


def collect_votes(labels: list[Label]) -> Votes:
    """Return the last label of each person for each row of the queue."""
    votes: Votes = {}
    for label in labels:
        if label.source == QUEUED:
            votes.setdefault(label.row, {})[label.annotator] = label.label
    return votes


def collect_decisions(labels: list[Label]) -> dict[str, str]:
    """Return the last decision about each row that was in dispute."""
    return {label.row: label.label for label in labels if label.source == DECIDED}


@dataclass(frozen=True)
class Answers:
    """The allowed labels in words, and a function that reads one as the data write it, or None."""

    allowed: str
    parse: Callable[[str], str | None]


def list_classes(settings: Settings, contract: Contract) -> list[str]:
    """Return the classes of the contract, else of the data; none for a number."""
    if settings.problem == "regression":
        return []
    target = contract.target
    if classes := contract.columns[target].categories:
        return classes
    truth = validate_and_cast(problem.read_data(settings), contract, [target])[target]
    return sorted(map(str, truth.dropna().unique()))


def build_answers(settings: Settings, contract: Contract) -> Answers:
    """Return the allowed labels: a class, or a number of the kind and range of the contract."""
    classes, column = list_classes(settings, contract), contract.columns[contract.target]
    if settings.problem == "regression":
        span = f" from {column.range[0]} to {column.range[1]}" if column.range else ""
        whole = "a whole number" if column.kind == "integer" else "a number"
        return Answers(whole + span, lambda text: parse_amount(text, column))

    def parse_class(text: str) -> str | None:
        same = [name for name in classes if name.casefold() == text.casefold()]
        return text if text in classes else same[0] if len(same) == 1 else None

    return Answers(f"one of {', '.join(classes)}", parse_class)


def parse_amount(text: str, column: Column) -> str | None:
    """Return a number of the contract's kind and range, also with a decimal comma; else None."""
    try:
        value = float(text if "." in text else text.replace(",", "."))
    except ValueError:
        return None
    low, high = column.range or (-1e300, 1e300)
    if not low <= value <= high or (column.kind == "integer" and value % 1):
        return None
    return str(int(value)) if column.kind == "integer" else repr(value)


class Entry(NamedTuple):
    """A label in a file: where it stands, the row, the label, and who gave it if that is known."""

    place: str
    row: str
    label: str
    annotator: str = ""


def read_sheet(path: Path, text: str) -> Iterator[Entry]:
    """Yield the labels of a filled sheet, with any spreadsheet's separator.

    Raises ProjectError if a column is missing.
    """
    mark = max(",;\t", key=text.partition("\n")[0].count)
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=mark)
    if missing := [name for name in ("row", "label") if name not in (table.fieldnames or [])]:
        raise ProjectError(f"{path}: has no column {', '.join(missing)}; fill in the queue's file")
    for line in table:
        label, row = ((line[name] or "").strip() for name in ("label", "row"))
        yield Entry(f"line {table.line_num}", row, label)


def read_label_studio(path: Path, text: str) -> Iterator[Entry]:
    """Yield the labels of Label Studio's export in the format JSON; skipped tasks have none.

    Raises ProjectError if it is not such an export.
    """
    try:
        for place, task in enumerate(json.loads(text), start=1):
            annotations = [item for item in task["annotations"] if not item.get("was_cancelled")]
            for annotation in annotations:
                user = annotation.get("completed_by", "")
                user = user.get("email", "") if isinstance(user, dict) else f"user {user}"
                for result in annotation["result"]:
                    value = result["value"]
                    label = value["choices"][0] if "choices" in value else value.get("number", "")
                    yield Entry(f"task {place}", task["data"]["row"], str(label), user)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        way_out = "export it from Label Studio as JSON"
        raise ProjectError(f"{path}: cannot be read: {error!r}; {way_out}") from error


def read_entries(path: Path) -> list[Entry]:
    """Return the labels in a filled sheet, or in an export of Label Studio.

    Raises ProjectError if it cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ProjectError(f"{path}: cannot be read: {error}; save it as CSV in UTF-8") from error
    read = read_label_studio if path.suffix.lower() == ".json" else read_sheet
    return [entry for entry in read(path, text) if entry.label]


def normalize_person(by: str) -> str:
    """Return a name without regard to case and spaces.  Raise ProjectError if it is empty."""
    who = " ".join(by.split()).casefold()
    if not 0 < len(who) <= MAX_NAME or not who.isprintable():
        raise ProjectError(f"BY={by!r}: say who labelled, in 1 to {MAX_NAME} characters: BY=name")
    return who


def import_labels(
    path: Path, by: str, source: str, answers: Answers, relabel: bool = False
) -> list[Label]:
    """Import the labels of a file; all of them, or none.  Return those that are new.

    Args:
        path: A filled sheet, or Label Studio's JSON.
        by: Who labelled; "" for the users whom Label Studio names.
        source: QUEUED or DECIDED.
        answers: The allowed labels.
        relabel: Whether another label of the same person than before is meant.

    Raises:
        ProjectError: Names each row that was never queued, has no allowed label, has two labels,
            or had another one before.
    """
    entries, now = read_entries(path), datetime.now(UTC).isoformat(timespec="seconds")
    queued, before = read_rows(), collect_given(source)
    accepted: dict[tuple[str, str], str] = {}
    wrong = [] if entries else ["it holds no label; fill in the column `label`"]
    for place, row, text, user in entries:
        key = row if row in queued else row.removeprefix("'"), normalize_person(by or user)
        earlier = None if relabel else before.get(key, before.get((key[0], "")))
        label, reason = answers.parse(text), "was never queued; the column `row` has to stay"
        if key[0] in queued:
            reason = find_objection(label, accepted.get(key), earlier, answers)
        if reason:
            wrong.append(f"{place}: row {key[0]!r}, label {text!r}: {reason}")
        else:
            accepted[key] = str(label)
    raise_for_faults(f"{path}: nothing is taken in", wrong)
    new = [
        Label(row, label, source, who, now)
        for (row, who), label in accepted.items()
        if before.get((row, who), before.get((row, ""))) != label
    ]
    add_labels(new)
    return new


def collect_given(source: str) -> dict[tuple[str, str], str]:
    """Return earlier labels by row and person; for decisions, of any person, by row alone."""
    labels = read_labels()
    if source == DECIDED:
        return {(row, ""): label for row, label in collect_decisions(labels).items()}
    votes = collect_votes(labels)
    return {(row, who): label for row, given in votes.items() for who, label in given.items()}


def find_objection(
    label: str | None, above: str | None, before: str | None, answers: Answers
) -> str:
    """Return why a label is not accepted, or "".

    Args:
        label: The label as the data write it; None if it is not allowed.
        above: The label of the same person for this row further up in the file.
        before: The label of the same person from before.
        answers: The allowed labels.
    """
    if label is None:
        return f"has to be {answers.allowed}"
    if above not in (None, label):
        return f"{above!r} further up in this file; keep one"
    if before not in (None, label):
        return f"the same person said {before!r} before; where this is meant: RELABEL=yes"
    return ""


@dataclass(frozen=True)
class Agreement:
    """The rows with a final label, the rows in dispute, and the agreement on `shared` rows.

    `value` is NaN if no two people labelled a row in common, or chance says nothing.
    """

    settled: dict[str, str]
    disputed: Votes
    value: float
    shared: int

    def is_trusted(self, settings: Labels) -> bool:
        """Return whether people agree by more than chance, so that rows may be learned from."""
        return settings.annotators == 1 or self.value >= settings.agreement


def judge_labels(labels: list[Label], settings: Labels, spread: float | None = None) -> Agreement:
    """Return which rows are settled, and which are in dispute.

    A row is settled if enough people agree on it, or if somebody decided.  Two numbers agree if
    they are no more than `tolerance` spreads apart.  Rows without a decision count only if the
    agreement is beyond chance.

    Args:
        labels: All labels.
        settings: How many people label a row, and what agreement is needed.
        spread: The standard deviation of the target if it is a number.
    """
    votes, decided = collect_votes(labels), collect_decisions(labels)
    complete = {row: given for row, given in votes.items() if len(given) >= settings.annotators}
    agreed = {row: find_consensus(given, settings, spread) for row, given in complete.items()}
    disputed = {row for row, label in agreed.items() if label is None} - decided.keys()
    value = compute_alpha(votes) if spread is not None else compute_kappa(votes)
    shared = sum(len(given) > 1 for given in votes.values())
    agreement = Agreement(decided, {row: complete[row] for row in disputed}, value, shared)
    if not agreement.is_trusted(settings):
        return agreement
    settled = {row: label for row, label in agreed.items() if label is not None}
    return replace(agreement, settled=settled | decided)


def find_consensus(labels: dict[str, str], settings: Labels, spread: float | None) -> str | None:
    """Return the label that people agree on: of numbers the middle one; None in a dispute."""
    if spread is None:
        return next(iter(labels.values())) if len(set(labels.values())) == 1 else None
    by_number = {float(label): label for label in labels.values()}
    if max(by_number) - min(by_number) > settings.tolerance * spread:
        return None
    return by_number[median_low(map(float, labels.values()))]


def compute_kappa(votes: Votes) -> float:
    """Return the agreement on classes beyond chance; 1 if people never differ."""
    table, kappas, weights = pd.DataFrame.from_dict(votes, orient="index"), [], []
    for pair in combinations(table.columns.sort_values(), 2):
        if len(both := table[[*pair]].dropna()):
            first, second = (both[who].tolist() for who in pair)
            kappas.append(1.0 if first == second else cohen_kappa_score(first, second))
            weights.append(len(both))
    return float(np.average(kappas, weights=weights)) if kappas else float("nan")


def compute_alpha(votes: Votes) -> float:
    """Return the agreement on numbers beyond chance; 1 if people never differ."""
    units = [list(map(float, row.values())) for row in votes.values() if len(row) > 1]
    values = [value for unit in units for value in unit]
    within = sum(len(unit) * variance(unit) for unit in units)
    if not values or not within:
        return 1.0 if values else float("nan")
    return float(1 - within / (len(values) * variance(values)))
