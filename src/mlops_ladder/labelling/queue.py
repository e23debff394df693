"""The queue: logged rows that people are asked about, the least certain and some at random.

It shows the inputs of the model, not its answer, which people would follow.
"""

import csv
import io
import json
from collections.abc import Iterator
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
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would run a text that begins so
MAX_ROWS = 50_000  # rows of the log that are looked at

Inputs = dict[str, Any]


def read_logged_rows(
    archive: Archive, numbers: list[int]
) -> Iterator[tuple[str, str, Inputs, Inputs]]:
    """Yield name, time, inputs and answer of each row of these requests that a model answered."""
    for name, time, inputs, output in archive.read_requests(numbers):
        when = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        for place, (row, answer) in enumerate(pair_rows(name, inputs, output), start=1):
            if not answer.get("fallback"):
                yield f"{name}/{place}", when.isoformat(), row, answer


def measure_doubt(answer: Inputs) -> float:
    """Return how unsure the model was, 0 to 1: one minus the probability of the likeliest class.

    Without probabilities it is 1 if the service abstained, as for a row unlike the training.
    """
    shares = answer.get("probability")
    return 1 - max(shares.values()) if shares else float(bool(answer.get("abstain")))


def choose_rows(doubts: dict[str, float], count: int, share: float, seed: int) -> dict[str, str]:
    """Return rows, each with the reason.

    Args:
        doubts: The doubt about each row, by its name.
        count: The number of rows.
        share: The share of the least certain rows, 0 to 1; the others are drawn at random.
        seed: The seed of the draw.
    """
    unsure = sorted(filter(doubts.get, doubts), key=lambda name: (-doubts[name], name))
    first = unsure[: round(count * share)]
    rest = sorted(doubts.keys() - set(first))
    drawn = Random(seed).sample(rest, min(count - len(first), len(rest)))
    return dict.fromkeys(first, "uncertain") | dict.fromkeys(drawn, "random")


def draw_rows(
    archive: Archive, contract: Contract, settings: Labels, count: int, seed: int
) -> list[Inputs]:
    """Return logged rows that were never queued, with the inputs of the model.

    Personal columns are never among them.

    Args:
        archive: The prediction log.
        contract: The contract of the data.
        settings: How old rows may be, and the share of uncertain ones.
        count: The number of rows.
        seed: The seed of the draw.
    """
    queued, since = read_rows(), datetime.now(UTC) - timedelta(hours=settings.hours)
    numbers = archive.find_newest("", since, MAX_ROWS)[:, 0].tolist()
    doubts: dict[str, float] = {}
    for name, _, _, answer in read_logged_rows(archive, numbers):
        if name not in queued:
            doubts.setdefault(name, measure_doubt(answer))
    chosen = choose_rows(doubts, count, settings.uncertain, seed)
    drawn: dict[str, Inputs] = {}
    for name, time, row, _ in read_logged_rows(archive, numbers):
        if name in chosen and name not in drawn:
            inputs = {column: row.get(column) for column in contract.inputs()}
            drawn[name] = {"row": name, "why": chosen[name], "time": time, "inputs": inputs}
    return [drawn[name] for name in chosen]


def read_lines() -> list[Inputs]:
    """Return the lines of the queue.  Raise ProjectError if they cannot be read."""
    try:
        text = ROWS.read_text(encoding="utf-8") if ROWS.exists() else ""
        lines = [json.loads(line) for line in text.splitlines()]
        assert all(line["row"] and line["inputs"] is not None for line in lines)
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise ProjectError(f"{ROWS}: cannot be read: {error!r}; `make restore` it") from error
    return lines


def write_lines(lines: list[Inputs]) -> None:
    """Write the queue.  It keeps the inputs, because the log may lose them before a label comes."""
    texts = [json.dumps(line, ensure_ascii=False) for line in lines]
    write_file_atomically(ROWS, "".join(f"{text}\n" for text in texts))


def read_rows() -> dict[str, Inputs]:
    """Return the inputs of each row that was ever queued, by its name; empty for forgotten ones."""
    return {line["row"]: line["inputs"] for line in read_lines()}


def find_rows_before(time: datetime) -> set[str]:
    """Return the queued rows of requests from before that time.

    A row without a time gets the present one.
    """
    now, lines = datetime.now(UTC).isoformat(), read_lines()
    if any("time" not in line for line in lines):
        lines = [{"time": now} | line for line in lines]
        write_lines(lines)
    return {line["row"] for line in lines if line["inputs"] and line["time"] < time.isoformat()}


def forget_rows(names: set[str]) -> None:
    """Delete the inputs of these rows, also from the sheets and the tasks; a hook.

    Their places stay, because the numbers of the other rows are counted by them.
    """
    lines = read_lines()
    gone = {line["row"] for line in lines} & names
    if not gone:
        return
    write_lines([line | {"inputs": {}} if line["row"] in gone else line for line in lines])
    for path in filter(Path.exists, (QUEUE, DISPUTED)):
        with path.open(encoding="utf-8-sig", newline="") as file:
            kept = [cells for cells in csv.reader(file) if not cells or cells[0] not in gone]
        write_csv(path, kept)
        tasks = path.with_suffix(".json")
        if tasks.exists():
            every = json.loads(tasks.read_text(encoding="utf-8"))
            write_tasks(tasks, [task for task in every if task["data"]["row"] not in gone])


def write_sheets(
    path: Path, names: list[str], seed: int, given: dict[str, str] | None = None
) -> None:
    """Write a table to label in, and beside it the same rows as tasks for Label Studio.

    Args:
        path: The table, a CSV file; the tasks are the JSON file of the same name.
        names: The rows.
        seed: The seed of their order, which tells nothing.
        given: The labels of rows in dispute.
    """
    rows = read_rows()
    columns = list(dict.fromkeys(column for name in names for column in rows[name]))
    head = [*columns, "labels given"] if given else columns
    table, tasks = [["row", *head, "label", "note"]], []
    for name in Random(seed).sample(names, len(names)):
        cells = rows[name] | ({"labels given": given[name]} if given else {})
        safe = [escape_formula(value) for value in (name, *map(rows[name].get, columns))]
        table.append([*safe, *([given[name]] if given else []), "", ""])
        lines = [f"{column}: {cells.get(column)}" for column in head]
        tasks.append({"data": {"row": name, "text": "\n".join(lines)}})
    write_csv(path, table)
    write_tasks(path.with_suffix(".json"), tasks)


def write_csv(path: Path, rows: list[list[str]]) -> None:
    """Write a table that spreadsheets take for UTF-8."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    write_file_atomically(path, f"\ufeff{text.getvalue()}")


def write_tasks(path: Path, tasks: list[Inputs]) -> None:
    """Write tasks as Label Studio imports them."""
    write_file_atomically(path, json.dumps(tasks, ensure_ascii=False, indent=1) + "\n")


def escape_formula(value: Any) -> str:
    """Return a cell as text that no spreadsheet runs as a formula: clients have written these."""
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text
