"""Sinks: where predictions go, whole or not at all: a file, an object in a bucket, a table."""

import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, ExitStack
from itertools import chain, repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlops_ladder import ProjectError
from mlops_ladder.data.contract import Contract
from mlops_ladder.data.formats import require_module, TSV
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.data.remote import is_bucket, is_remote, load_module
from mlops_ladder.export.runtime import frame_to_rows

SHEET_ROWS = 2**20 - 1  # that Excel opens, without the header
OTHERS = r"xls|xlsm|xlsb|ods|json|bz2|xz|zst|7z|tar|tgz|rar|avro|orc|(?:parquet|feather|xlsx).\w+"
NOT_WRITTEN = re.compile(rf"\.(?:{OTHERS})$", re.I)
PACKED = re.compile(r"\.(gz|zip)$", re.I)
Write = Callable[[pd.DataFrame], object]


@contextmanager
def open_sink(out: str, contract: Contract) -> Iterator[Any]:
    """Open a file, a bucket or a table; the latter holds one row for each id of the contract.

    Its `write` takes answers, its `reject` rejected rows.  Nothing is replaced before `commit`.
    """
    with ExitStack() as stack:
        if is_remote(out) and not is_bucket(out):
            yield stack.enter_context(load_module(out).open_table(out, contract.names("id")))
            return
        folder = Path(out).parent
        if is_remote(out):
            load_module(out)  # a package that is missing is named before the work
            folder = Path(stack.enter_context(TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        sink = FileSink(out, folder)
        stack.callback(sink.discard)
        yield sink


def name_rejected(out: str) -> str:
    """Return where the rejected rows of a batch are."""
    if is_remote(out) and not is_bucket(out):
        return f"{out}_rejected"
    folder, slash, name = out.rpartition("/")
    return f"{folder}{slash}{Path(name).stem}.rejected.csv"


def refuse_overwriting(pattern: str, *targets: str) -> None:
    """Raise ProjectError if one of these files, objects or tables is read as well."""
    read = {pattern}
    if not is_remote(pattern):
        read = {str(path.resolve()) for path in list_data_files(pattern)}
    for target in targets:
        if (target if is_remote(target) else str(Path(target).resolve())) in read:
            raise ProjectError(f"{target}: the file that is read; write to another: OUT=file")


class FileSink:
    """Files that are written under another name, and then replace those of the batch before."""

    def __init__(self, out: str, folder: Path) -> None:
        if NOT_WRITTEN.search(out):
            kinds = "csv, tsv, csv.gz, zip, parquet, feather, jsonl or xlsx"
            raise ProjectError(f"{out}: this kind of file is not written; end its name in {kinds}")
        self._out, self._folder, self._open = out, folder, ExitStack()
        self._parts: dict[str, tuple[Path, Write]] = {}

    def _append(self, target: str, frame: pd.DataFrame) -> None:
        if target not in self._parts:
            part = self._folder / f"{target.rpartition('/')[2]}.part"
            make = WRITERS.get(Path(PACKED.sub("", target)).suffix.lower(), write_text_rows)
            self._parts[target] = part, make(self._open, part, target)
        self._parts[target][1](frame)

    def write(self, frame: pd.DataFrame) -> None:
        """Write answers."""
        self._append(self._out, frame)

    def reject(self, frame: pd.DataFrame) -> None:
        """Write rejected rows."""
        self._append(name_rejected(self._out), frame)

    def commit(self) -> None:
        """Replace what was there before, the answers last; old rejected rows are deleted."""
        self._open.close()
        for target in (name_rejected(self._out), self._out):
            part, _ = self._parts.get(target, (None, None))
            if is_remote(target):
                load_module(target).put_object(part, target)
            elif part:
                part.replace(target)
            else:
                Path(target).unlink(missing_ok=True)

    def discard(self) -> None:
        """Delete what is not finished."""
        try:
            self._open.close()
        finally:
            for part, _ in self._parts.values():
                part.unlink(missing_ok=True)


def open_text(stack: ExitStack, path: Path, name: str) -> Any:
    """Open a text file to write, packed if its name ends so."""
    if name.lower().endswith(".gz"):
        return stack.enter_context(gzip.open(path, "wt", encoding="utf-8", newline=""))
    if not name.lower().endswith(".zip"):
        return stack.enter_context(path.open("w", encoding="utf-8", newline=""))
    # pylint: disable-next=consider-using-with  # the stack does
    archive = stack.enter_context(ZipFile(path, "w", ZIP_DEFLATED))
    inner = Path(PACKED.sub("", name)).name
    entry = inner if Path(inner).suffix else f"{inner}.csv"
    raw = stack.enter_context(archive.open(entry, "w", force_zip64=True))
    return stack.enter_context(io.TextIOWrapper(raw, "utf-8", newline=""))


def write_text_rows(stack: ExitStack, path: Path, name: str) -> Write:
    """Return the function that writes frames as CSV, or TSV if the name ends so."""
    stream, header = open_text(stack, path, name), chain([True], repeat(False))
    options: Any = {"index": False, "sep": "\t" if TSV.search(name) else ","}
    return lambda frame: frame.to_csv(stream, header=next(header), **options)


def write_json_lines(stack: ExitStack, path: Path, name: str) -> Write:
    """Return the function that writes frames as JSON lines."""
    stream = open_text(stack, path, name)
    encode = json.JSONEncoder(ensure_ascii=False, default=str).encode
    return lambda frame: stream.writelines(f"{encode(row)}\n" for row in frame_to_rows(frame))


def write_arrow(stack: ExitStack, path: Path, name: str) -> Write:
    """Return the function that writes frames as Parquet or Feather, with the types of the first."""
    make: Any = pq.ParquetWriter if name.lower().endswith(".parquet") else pa.ipc.new_file
    opened: list[Any] = []

    def write(frame: pd.DataFrame) -> None:
        table = pa.Table.from_pandas(frame, *opened[1:], preserve_index=False)
        if not opened:
            opened.extend([stack.enter_context(make(str(path), table.schema)), table.schema])
        opened[0].write_table(table)

    return write


def write_sheet(stack: ExitStack, path: Path, name: str) -> Write:
    """Return the function that writes frames as a sheet of Excel; text that begins with = is text.

    The function raises ProjectError if there are more rows than Excel opens.
    """
    openpyxl = require_module("openpyxl", "openpyxl")
    book = openpyxl.Workbook(write_only=True)
    sheet, rows = book.create_sheet("predictions"), list[int]()
    stack.callback(book.save, path)

    def make_cell(value: Any) -> Any:
        cell = openpyxl.cell.WriteOnlyCell(sheet, str(value) if hasattr(value, "tzinfo") else value)
        cell.data_type = "s" if cell.data_type == "f" else cell.data_type
        return cell

    def write(frame: pd.DataFrame) -> None:
        if not rows:
            sheet.append(list(map(str, frame)))
        rows.append(len(frame))
        if sum(rows) > SHEET_ROWS:
            raise ProjectError(f"{name}: Excel opens {SHEET_ROWS:,} rows; write to a .csv")
        for row in frame_to_rows(frame):
            sheet.append([make_cell(value) for value in row.values()])

    return write


WRITERS = {".parquet": write_arrow, ".feather": write_arrow, ".xlsx": write_sheet}
WRITERS |= {".jsonl": write_json_lines, ".ndjson": write_json_lines}
