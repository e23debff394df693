"""The table of labels: who said what of which row, and when.  It only ever grows."""

import csv
import io
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from mlops_ladder import ProjectError, write_whole
from mlops_ladder.labelling.queue import FOLDER, ROWS

TABLE = FOLDER / "labels.csv"
QUEUED, DECIDED = "queue", "adjudication"


@dataclass(frozen=True)
class Label:
    """What one person said of one row: from the queue, or to settle a dispute."""

    row: str
    label: str
    source: str
    annotator: str
    time: str


FIELDS = [field.name for field in fields(Label)]


def labels() -> list[Label]:
    """Every label, in their order.  ProjectError that names a line that is none."""
    if not TABLE.exists():
        return []
    with TABLE.open(encoding="utf-8", newline="") as file:
        head, *lines = list(csv.reader(file)) or [[]]
    wrong = [str(at) for at, it in enumerate(lines, 2) if len(it) != len(FIELDS) or not all(it)]
    if head != FIELDS or wrong:
        told = f"line {', '.join(wrong[:5])}" if wrong else "its header"
        raise ProjectError(f"{TABLE}: {told}: not all of {', '.join(FIELDS)}; `make restore` it")
    return [Label(*line) for line in lines]


def add(new: list[Label]) -> None:
    """Put these at the end."""
    text = io.StringIO(newline="")
    table = csv.writer(text, lineterminator="\n")
    table.writerows([FIELDS, *map(astuple, [*labels(), *new])])
    write_whole(TABLE, text.getvalue())


def files() -> list[Path]:
    """What `make snapshot` has to keep: the labels, and the rows that they are about."""
    return [path for path in (ROWS, TABLE) if path.exists()]


def votes(known: list[Label]) -> dict[str, dict[str, str]]:
    """Of each row that came from the queue, what each person has said of it last."""
    found: dict[str, dict[str, str]] = {}
    for it in known:
        if it.source == QUEUED:
            found.setdefault(it.row, {})[it.annotator] = it.label
    return found


def decisions(known: list[Label]) -> dict[str, str]:
    """Of each row that was in dispute and is settled, the label that was decided on last."""
    return {it.row: it.label for it in known if it.source == DECIDED}
