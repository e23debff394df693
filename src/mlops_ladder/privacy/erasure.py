"""Erasure: the rows of one id leave the data and the log, and a record says so.

All files are prepared first, then the plan is written down, and only then anything changes.  A run
that is killed after that leaves `forgotten.part`; the same command once more completes it.
Requests that are older than the retention leave the log too.
"""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, UTC
from io import BytesIO, StringIO
from itertools import compress
from pathlib import Path
from typing import Annotated
from unicodedata import normalize

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from mlops_ladder import ProjectError, read_text_if_exists
from mlops_ladder import write_file_atomically, write_synced_file
from mlops_ladder.data import remote
from mlops_ladder.data.contract import Column, Contract, read_contract, Role
from mlops_ladder.data.formats import CSV, detect_format, NULL_WORDS, PARQUET
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.data.sources import compute_sha256, update_declared
from mlops_ladder.monitoring.archive import Archive, Change, NoLog
from mlops_ladder.plugins import get_hooks
from mlops_ladder.privacy.erasure_log import Entry, normalize_id
from mlops_ladder.privacy.erasure_log import make_marks, read_erasures, RECORD
from mlops_ladder.privacy.residual_search import describe_residuals
from mlops_ladder.privacy.rules import read_rules
from mlops_ladder.registry.decisions import get_actor, registry_lock
from mlops_ladder.settings import Data, load_settings, Settings

ERASURE_MARKER = Path("forgotten.part")
LOCK = Path("models/forget.lock")
ROLES: tuple[Role, ...] = ("id", "group", "personal")
DRY_RUN = typer.Option("--dry-run", help="only say what would be removed")
BYTE_ORDER_MARK = "\ufeff"  # begins a file, and is part of no name


@dataclass(frozen=True)
class ErasureRequest:
    """The id to erase: `text` in one of `columns`.  `ids` identify a row wherever it is logged.

    `copies` are ids of logged rows that became data.
    """

    text: str
    columns: Mapping[str, Column]
    ids: Mapping[str, Column]
    copies: frozenset[str] = frozenset()

    def matches_row(self, row: Mapping[str, object]) -> bool:
        """Return whether a row belongs to the id."""
        return any(
            row.get(name) is not None
            and normalize_id(row[name], column) == normalize_id(self.text, column)
            for name, column in self.columns.items()
        ) or any(row.get(name) in self.copies for name in self.ids)

    def read_ids(self, row: Mapping[str, object]) -> dict[str, str]:
        """Return the ids of a row, by column."""
        present = {name: value for name in self.ids if (value := row.get(name)) is not None}
        return {name: normalize_id(value, self.ids[name]) for name, value in present.items()}

    def check_columns(self, names: list[str]) -> None:
        """Raise ValueError if a file has none of the columns that can hold the id."""
        if names and not self.columns.keys() & set(names):
            raise ValueError(f"has no column {' or '.join(self.columns)}")


@dataclass(frozen=True)
class RemainingFile:
    """A data file after the erasure: its bytes, its number of rows, the ids of each erased row."""

    content: bytes
    left: int
    erased: list[dict[str, str]]


def remove_rows(path: Path, data: Data, request: ErasureRequest) -> RemainingFile:
    """Return a file without the rows of the id.  Raise ProjectError if others would change."""
    try:
        content, kind = detect_format(path, data)
        if kind is PARQUET:
            return remove_parquet_rows(path, request)
        if kind is not CSV or content is not path:
            raise ValueError("only a CSV or Parquet can lose rows; write it as one of them")
        return remove_csv_rows(path.read_bytes(), data, request)
    except (OSError, ValueError, LookupError, csv.Error, pa.ArrowException) as error:
        raise ProjectError(f"{path}: {error}; nothing is changed") from error


def remove_csv_rows(raw: bytes, data: Data, request: ErasureRequest) -> RemainingFile:
    """Return a CSV without the rows of the id, in the encoding and separator of the settings."""
    text = raw.decode(data.encoding)
    if text.encode(data.encoding) != raw:
        raise ValueError(f"not written by the rules of {data.encoding}; save it as UTF-8")
    header: list[str] = []
    kept, erased, left = [], [], 0
    for lines, row in split_records(text, data.separator):
        if not header or not row:
            header = header or [normalize("NFC", name.strip()) for name in row]
            request.check_columns(header)
        elif request.matches_row(cells := dict(zip(header, row, strict=False))):
            erased.append(request.read_ids(cells))
            continue
        else:
            left += 1
        kept.append(lines)
    return RemainingFile("".join(kept).encode(data.encoding), left, erased)


def split_records(text: str, separator: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each record with its line ends, and its cells, which may contain line ends too."""
    lines: list[str] = []

    def collect_lines() -> Iterator[str]:
        for line in StringIO(text, newline=""):
            lines.append(line)
            yield line.removeprefix(BYTE_ORDER_MARK)

    for row in csv.reader(collect_lines(), delimiter=separator, skipinitialspace=True):
        yield "".join(lines), row
        lines.clear()


def remove_parquet_rows(path: Path, request: ErasureRequest) -> RemainingFile:
    """Return a Parquet file without the rows of the id; schema, metadata and compression stay."""
    with pq.ParquetFile(path) as file:
        table, metadata = file.read(), file.metadata
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    codec = groups[0].column(0).compression if groups and metadata.num_columns else "NONE"
    request.check_columns(table.column_names)
    columns = [name for name in table.column_names if name in {*request.columns, *request.ids}]
    rows = table.select(columns).to_pylist()
    matches = [request.matches_row(row) for row in rows]
    kept, sink = table.filter([not match for match in matches]), BytesIO()
    size = max([1, *(group.num_rows for group in groups)])
    codec = codec.replace("UNCOMPRESSED", "NONE")
    pq.write_table(kept, sink, compression=codec, row_group_size=size)
    erased = [request.read_ids(row) for row in compress(rows, matches)]
    return RemainingFile(sink.getvalue(), kept.num_rows, erased)


def plan_entry(
    request: ErasureRequest,
    parts: dict[Path, RemainingFile],
    changes: list[Change],
    earlier: Entry | None = None,
) -> Entry:
    """Return the entry for the record, without the marks of the id.

    Args:
        request: The id to erase.
        parts: The files that change.
        changes: The requests of the log that change.
        earlier: The entry of an interrupted run, whose counts stay.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    new: Entry = {"time": now, "who": get_actor(), "columns": list(request.columns)}
    entry = earlier or new | {"files": {}, "log": {"requests": 0, "rows": 0}}
    for path, part in parts.items():
        counts = entry["files"].setdefault(str(path), {"rows": 0, "before": compute_sha256(path)})
        counts["rows"] = max(counts["rows"], len(part.erased))
        counts["left"] = part.left
    rows, log = sum(len(change.gone) for change in changes), entry["log"]
    log |= {"requests": max(log["requests"], len(changes)), "rows": max(log["rows"], rows)}
    return entry


def read_interrupted(ids: dict[str, str]) -> Entry | None:
    """Return the plan of an interrupted run.  Raise ProjectError if it was about another id."""
    if not ERASURE_MARKER.exists():
        return None
    entry: Entry = json.loads(ERASURE_MARKER.read_text(encoding="utf-8"))
    if entry["ids"] != ids:
        reason = "to forget another id was begun and not ended; run that one again first"
        raise ProjectError(f"{ERASURE_MARKER}: {reason}")
    return entry


def part_path(path: Path) -> Path:
    """Return the path beside a data file, links resolved, where its new content is prepared."""
    return path.resolve().with_name(f"{path.resolve().name}.part")


def prepare_erasure(parts: dict[Path, RemainingFile], entry: Entry) -> None:
    """Write every new file beside its place, then the plan.

    Raise ProjectError if that fails; then nothing is changed.
    """
    try:
        for path, part in parts.items():
            write_synced_file(part_path(path), part.content)
            shutil.copymode(path, part_path(path))
        write_file_atomically(ERASURE_MARKER, json.dumps(entry, ensure_ascii=False))
    except OSError as error:
        for prepared in filter(Path.is_file, map(part_path, parts)):
            prepared.unlink()
        name = error.filename or " and ".join(map(str, parts))
        raise ProjectError(f"{name}: {error.strerror}; nothing is changed") from error


def apply_erasure(
    parts: dict[Path, RemainingFile], archive: Archive | None, changes: list[Change], entry: Entry
) -> Entry:
    """Change the log, the files and data/sources.toml, then record it; it can be repeated.

    Plugins that keep logged rows elsewhere are called first: later the log cannot name these rows.

    Args:
        parts: The files that change, which are prepared.
        archive: The prediction log, if there is one.
        changes: The requests of the log that change.
        entry: The entry for the record.
    """
    get_hooks().forget_rows(names=set(list_row_names(changes, "/")))
    if archive:  # without changes too: an interrupted run may not have compacted the database
        archive.apply_changes(changes)
    for path, part in parts.items():
        part_path(path).replace(path.resolve())
        if not part.left:  # a file without rows cannot be read
            path.resolve().unlink()
            path.with_name(f"{path.name}.dvc").unlink(missing_ok=True)
    for name, counts in entry["files"].items():
        counts["after"] = compute_sha256(Path(name)) if counts["left"] else None
    update_declared(entry["files"])
    if entry["time"] not in [old["time"] for old in read_erasures() if old["ids"] == entry["ids"]]:
        line = json.dumps(entry, ensure_ascii=False)
        write_file_atomically(RECORD, f"{read_text_if_exists(RECORD)}{line}\n")
    ERASURE_MARKER.unlink()
    return entry


def parse_request(contract: Contract, text: str, column: str, settings: Settings) -> ErasureRequest:
    """Return what to erase.

    Args:
        contract: The contract of the data.
        text: The id, as it stands in the data.
        column: The column that holds it; without a name, every column of role `id`.
        settings: They list the words for a missing value.

    Raises:
        ProjectError: The text is no id, or the column cannot hold one.
    """
    if not text.strip() or text.strip() in NULL_WORDS + settings.data.missing:
        raise ProjectError(f"ID={text!r}: no id; run: make forget ID=…")
    ids, allowed = contract.names("id"), contract.names(*ROLES)
    if column and column not in allowed:
        reason = f"is of no role {' or '.join(ROLES)}; there are: {', '.join(allowed) or 'none'}"
        raise ProjectError(f"COLUMN={column!r}: {reason}")
    if not column and not ids:
        way_out = 'give role = "id" to one that names somebody'
        way_out += ", or name one of role group or personal: COLUMN=…"
        raise ProjectError(f"contract.toml: no column has the role id; {way_out}")
    columns = contract.columns
    chosen = {name: columns[name] for name in ([column] if column else ids)}
    return ErasureRequest(text, chosen, {name: columns[name] for name in ids})


def open_log(settings: Settings) -> AbstractContextManager[Archive | None]:
    """Return a context of the prediction log; of None if nothing has been logged yet."""
    try:
        return Archive(settings.serving.prediction_log_url)
    except NoLog:
        return nullcontext()


def remove_from_files(request: ErasureRequest, settings: Settings) -> dict[Path, RemainingFile]:
    """Return what is left of each data file."""
    source = settings.data.path
    new = remote.refresh_snapshot(source)
    files = {path: remove_rows(path, settings.data, request) for path in list_data_files(source)}
    if new and any(part.erased for part in files.values()):
        raise ProjectError(f"{source}: holds the id; delete it there first; nothing is changed")
    return files


def list_row_names(changes: list[Change], *marks: str) -> list[str]:
    """Return the names of rows of the log: the id of the request, a mark, the place of the row."""
    rows = [(change.request_id, place) for change in changes for place in change.gone]
    return [f"{request_id}{mark}{place}" for request_id, place in rows for mark in marks]


def find_logged_rows(
    archive: Archive | None, request: ErasureRequest, parts: dict[Path, RemainingFile]
) -> list[Change]:
    """Return what changes in the log: rows of the id, and rows with the ids of erased rows."""
    ids = {pair for part in parts.values() for row in part.erased for pair in row.items()}

    def belongs(row: dict[str, object]) -> bool:
        return request.matches_row(row) or not ids.isdisjoint(request.read_ids(row).items())

    return archive.find_changes(belongs) if archive else []


def erase_id(request: ErasureRequest, settings: Settings, dry: bool = False) -> Entry:
    """Erase an id from data and log, and record it.

    Args:
        request: The id to erase.
        settings: Where data and log are.
        dry: Change nothing.

    Returns:
        The entry of the record, or with `dry` what it would be.

    Raises:
        ProjectError: The id is nowhere, or no row would be left; then nothing is changed.
    """
    files = remove_from_files(request, settings)
    with open_log(settings) as archive:
        changes = find_logged_rows(archive, request, files)
        if copies := frozenset(list_row_names(changes, "/", "-")):  # labelled, or from feedback
            files = remove_from_files(replace(request, copies=copies), settings)
        parts = {path: part for path, part in files.items() if part.erased}
        if not parts and not changes and not ERASURE_MARKER.exists():
            columns = " or ".join(request.columns)
            places = f"in {columns} of {len(files)} data files, nor in a logged request"
            raise ProjectError(f"the id is not {places}; nothing is changed")
        if not any(part.left for part in files.values()):
            reason = "no row would be left; delete the data yourself"
            raise ProjectError(f"{settings.data.path}: {reason}")
        if dry:
            return plan_entry(request, parts, changes)
        marks = make_marks(request.text, request.columns)
        entry = plan_entry(request, parts, changes, read_interrupted(marks)) | {"ids": marks}
        prepare_erasure(parts, entry)
        return apply_erasure(parts, archive, changes, entry)


def main(
    forgotten_id: Annotated[str, typer.Option("--id", help="the id, as it stands in the data")],
    column: Annotated[str, typer.Option(help="a column of role id, group or personal")] = "",
    dry_run: Annotated[bool, DRY_RUN] = False,
) -> None:
    """Erase an id; print what was removed, where it still is, and the next step."""
    settings = load_settings()
    request = parse_request(read_contract(), forgotten_id, column, settings)
    if dry_run:
        print(f"Would remove {format_entry(erase_id(request, settings, dry=True))}")
        return
    with registry_lock(LOCK):
        entry = erase_id(request, settings)
    print(f"Removed {format_entry(entry)}\nRecorded in {RECORD}, by a mark that names nobody")
    files = map(Path, entry["files"])
    if lines := list(describe_residuals(request.text.strip(), settings.data.encoding, files)):
        print("\n  ".join(["Still there, see docs/privacy.md:", *lines]))
    print(f"Next: make data-version datasheet; git add {RECORD} and the changes; make pipeline")


def format_entry(entry: Entry) -> str:
    """Return in words what an entry has removed, with a line for each file."""
    files, log = entry["files"], entry["log"]
    rows = sum(counts["rows"] for counts in files.values())
    lines = [f"  {name}: {cut['rows']:,} rows, {cut['left']:,} left" for name, cut in files.items()]
    logged_rows = f"{log['rows']:,} rows of {log['requests']:,} logged requests"
    return "\n".join([f"{rows:,} rows of {len(files)} data files, and {logged_rows}", *lines])


def delete_expired_requests(settings: Settings) -> tuple[int, str]:
    """Delete requests older than the retention, and copies of them; return the count, and words."""
    days = read_rules(read_contract()).retention.log_days
    before = datetime.now(UTC) - timedelta(days=days)
    get_hooks().delete_expired(settings=settings, before=before)
    try:
        with Archive(settings.serving.prediction_log_url) as archive:
            deleted, left = archive.delete_before(before)
    except NoLog as reason:
        return 0, f"nothing to delete: {reason}"
    return deleted, f"{deleted:,} requests older than {days:g} days deleted, {left:,} left"


def run_retention() -> None:
    """Delete requests older than the retention from the prediction log, and print the count."""
    print(f"Prediction log: {delete_expired_requests(load_settings())[1]}")
