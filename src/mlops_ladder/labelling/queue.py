"""The queue: logged rows that people are asked about, the least certain and some at random.

It shows what the model was asked, not what it answered: who sees an answer follows it.  The table
of labels holds who said what of which row, and when; it only ever grows.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timedelta, UTC
from pathlib import Path
from random import Random
from typing import Any

from mlops_ladder import ProjectError, write_file_atomically
from mlops_ladder.data.contract import Contract
from mlops_ladder.monitoring.archive import Archive
from mlops_ladder.serving.store import pair_rows
from mlops_ladder.labelling.settings import Labels

FOLDER = Path("data/labelling")
QUEUE, ROWS, DISPUTED = (FOLDER / name for name in ("queue.csv", "rows.jsonl", "disputed.csv"))
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run
MOST = 50_000  # rows of the log that are looked at

Inputs = dict[str, Any]


def logged(archive: Archive, numbers: list[int]) -> Iterator[tuple[str, str, Inputs, Inputs]]:
    """The name, time, inputs and answer of each row of these requests that a model has answered."""
    for name, time, inputs, output in archive.requests(numbers):
        for place, (row, answer) in enumerate(pair_rows(name, inputs, output), start=1):
            if not answer.get("fallback"):
                when = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
                yield f"{name}/{place}", when.isoformat(), row, answer


def doubt(answer: Inputs) -> float:
    """How unsure the model was, 0 to 1: what the likeliest class lacks to certainty.

    Without probabilities 1 where the service abstained, as of a row unlike those of the training.
    """
    shares = answer.get("probability")
    return 1 - max(shares.values()) if shares else float(bool(answer.get("abstain")))


def choose(doubts: dict[str, float], count: int, share: float, seed: int) -> dict[str, str]:
    """So many rows, each with why: this share the least certain, the others at random."""
    unsure = sorted(filter(doubts.get, doubts), key=lambda name: (-doubts[name], name))
    first = unsure[: round(count * share)]
    rest = sorted(doubts.keys() - set(first))
    drawn = Random(seed).sample(rest, min(count - len(first), len(rest)))
    return dict.fromkeys(first, "uncertain") | dict.fromkeys(drawn, "random")


def draw(
    archive: Archive, contract: Contract, settings: Labels, count: int, seed: int
) -> list[Inputs]:
    """So many logged rows that were never queued, with the columns that the model sees.

    Personal columns are never among them.
    """
    known, age = rows(), timedelta(hours=settings.hours)
    numbers = archive.newest("", datetime.now(UTC) - age, MOST)[:, 0].tolist()
    doubts: dict[str, float] = {}
    for name, _, _, answer in logged(archive, numbers):
        if name not in known:
            doubts.setdefault(name, doubt(answer))
    chosen = choose(doubts, count, settings.uncertain, seed)
    found: dict[str, Inputs] = {}
    for name, time, row, _ in logged(archive, numbers):
        if name in chosen and name not in found:
            found[name] = {"row": name, "why": chosen[name], "time": time}
            found[name]["inputs"] = {column: row.get(column) for column in contract.inputs()}
    return [found[name] for name in chosen]


def rows() -> dict[str, Inputs]:
    """The inputs of every row that was ever queued, by its name; of one that was forgotten, none.

    Raises ProjectError where they cannot be read.
    """
    try:
        text = ROWS.read_text(encoding="utf-8") if ROWS.exists() else ""
        return {it["row"]: it["inputs"] for it in map(json.loads, text.splitlines())}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ProjectError(f"{ROWS}: cannot be read: {error!r}; `make restore` it") from error


def older(before: datetime) -> set[str]:
    """The queued rows of requests from before that time; one without a time is from now on."""
    now = datetime.now(UTC).isoformat()
    text = ROWS.read_text(encoding="utf-8") if rows() else ""
    lines = [{"time": now} | json.loads(line) for line in text.splitlines()]
    if any(it["time"] == now for it in lines):
        enqueue(lines, anew=True)
    return {it["row"] for it in lines if it["inputs"] and it["time"] < before.isoformat()}


def forget(names: set[str]) -> None:
    """Have the inputs of these rows gone, also from the sheets.

    Their places stay: the numbers of the other rows are counted by them.
    """
    if not (gone := rows().keys() & names):
        return
    lines = map(json.loads, ROWS.read_text(encoding="utf-8").splitlines())
    enqueue([it | {"inputs": {}} if it["row"] in gone else it for it in lines], anew=True)
    for path in filter(Path.exists, (QUEUE, DISPUTED)):
        with path.open(encoding="utf-8-sig", newline="") as file:
            kept = [it for it in csv.reader(file) if not it or it[0] not in gone]
        text = io.StringIO(newline="")
        csv.writer(text).writerows(kept)
        write_file_atomically(path, f"\ufeff{text.getvalue()}")


def enqueue(drawn: list[Inputs], anew: bool = False) -> None:
    """Keep these rows: the log may forget them before anybody has labelled them."""
    before = ROWS.read_text(encoding="utf-8") if ROWS.exists() and not anew else ""
    lines = [json.dumps(it, ensure_ascii=False) for it in drawn]
    write_file_atomically(ROWS, before + "".join(f"{line}\n" for line in lines))


def sheet(path: Path, names: list[str], seed: int, said: dict[str, str] | None = None) -> None:
    """Write a table to label in, in an order that tells nothing; `said` are labels in dispute."""
    known, told = rows(), said or {}
    columns = list(dict.fromkeys(column for name in names for column in known[name]))
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["row", *columns, *(["labels given"] if told else []), "label", "note"])
    for name in Random(seed).sample(names, len(names)):
        cells = [name, *(known[name].get(column) for column in columns)]
        table.writerow([*map(harmless, cells), *([told[name]] if told else []), "", ""])
    write_file_atomically(path, f"\ufeff{text.getvalue()}")


def harmless(value: Any) -> str:
    """A cell as text that no spreadsheet takes for a formula: clients have written these."""
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text


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
    write_file_atomically(TABLE, text.getvalue())


def files() -> list[Path]:
    """What `make data-version` has to keep: the labels, and the rows that they are about."""
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
