"""Formats: how a file is written, by its content first, then by its name; each gives frames."""

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any
from unicodedata import normalize
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api import types

from mlops_ladder import ProjectError
from mlops_ladder.settings import Data
from mlops_ladder.strict_model import read_toml

VOCABULARY = read_toml(Path(__file__).with_name("vocabulary.toml"))
# What pandas takes for missing but "None", which is as often a class.
ERRORS = ["#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!"]  # of Excel
NULL_WORDS = ["", *"NA N/A n/a #N/A #NA <NA> NULL null NaN nan -nan".split(), *ERRORS]
AS_WRITTEN = {"keep_default_na": False, "index_col": False, "skipinitialspace": True}
AS_WRITTEN |= {"low_memory": False}
RAGGED = "put that line right"
TITLE = "line 1 has to name every column: delete a title above it, or name an index column"
ZIP, HIDDEN = re.compile(rb"PK(?:\x03\x04|\x05\x06)"), re.compile(r"^__MACOSX/|(?:^|/)\.|/$")
TSV = re.compile(r"\.(?:tsv|tab)(?:\.\w+)?$", re.I)
DAMAGED = EOFError, zlib.error, BadZipFile, gzip.BadGzipFile, SyntaxError  # of XML
READ_ERRORS = OSError, ValueError, LookupError, csv.Error, NotImplementedError, *DAMAGED
Rows = Iterator[pd.DataFrame]


@dataclass(frozen=True)
class Format:
    """A format: its name, and its reader."""

    name: str
    read: Callable[[Any, Data, Any, int | None], Rows]


@dataclass(frozen=True)
class Stream:
    """Content that opens like a file: of a packed file, or of an object in a bucket."""

    name: object
    open_bytes: Callable[[], Any]

    def __str__(self) -> str:
        return str(self.name)

    def open(self, mode: str = "r", encoding: str | None = None, newline: str | None = None) -> Any:
        """Return the content."""
        content = self.open_bytes()
        return content if "b" in mode else io.TextIOWrapper(content, encoding, newline=newline)


def require_module(name: str, package: str) -> Any:
    """Return a module of an optional package; raise ProjectError with the command that adds it."""
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        fault = f"{error.name}: not installed; add it"
        raise ProjectError(f"{fault}: uv add '{package}'") from error


def detect_format(file: Any, data: Data) -> tuple[Any, Format]:
    """Return the content of a file, unpacked, and its format.

    Raises ValueError with the way out if there is no reader for it.
    """
    if own := getattr(file, "format", None):  # of a table, or of a part of a file
        return file, own
    head = read_head(file)
    if ZIP.match(head):
        return open_zip(file, data)
    if head.startswith(b"\x1f\x8b"):
        return require_text(Stream(file, lambda: gzip.open(file.open("rb"))), data)
    for pattern, description in VOCABULARY["other_files"].items():
        if re.match(pattern.encode(), head):
            raise ValueError(description)
    return file, next((kind for magic, kind in FORMATS.items() if re.match(magic, head)), CSV)


def explain_error(error: Exception) -> str:
    """Return why a file cannot be read, in a line."""
    reason = " ".join(str(error).split())
    return f"{reason}; it is damaged: bring it again" if isinstance(error, DAMAGED) else reason


def read_head(file: Any) -> bytes:
    """Return the first bytes of a file."""
    with file.open("rb") as opened:
        return bytes(opened.read(512))


def require_text(packed: Stream, data: Data) -> tuple[Any, Format]:
    """Return a packed file and its format; raise ValueError if it holds no CSV or JSON lines."""
    content, kind = detect_format(packed, data)
    if content is not packed or kind in (PARQUET, FEATHER):
        raise ValueError(f"{kind.name} in a packed file; unpack it")
    return content, kind


def open_zip(file: Any, data: Data) -> tuple[Any, Format]:
    """Return the only file in a ZIP archive, or the sheet of a workbook, and its format."""
    with file.open("rb") as opened, ZipFile(opened) as archive:
        entries = [each for each in archive.infolist() if not HIDDEN.search(each.filename)]
    if any(entry.filename == "xl/workbook.xml" for entry in entries):
        content = render_sheet(file, data.decimal).encode()
        return Stream(file, lambda: io.BytesIO(content)), EXCEL
    if len(entries) != 1:
        shown = ", ".join(entry.filename for entry in entries[:3]) or "nothing"
        way_out = "unpack it; several files that belong together: DATA='folder/*.csv'"
        raise ValueError(f"a ZIP archive of {len(entries)} files ({shown}); {way_out}")
    if entries[0].flag_bits & 1:
        raise ValueError("an encrypted ZIP archive; unpack it with its password")
    name = entries[0].filename
    # pylint: disable-next=consider-using-with  # its reader closes it
    return require_text(Stream(file, lambda: ZipFile(file.open("rb")).open(name)), data)


def render_sheet(file: Any, decimal: str) -> str:
    """Return the only sheet of an Excel workbook that has rows, as the text of a CSV.

    Numbers get this decimal mark.  Raises ValueError if several sheets have rows.
    """
    require_module("openpyxl", "openpyxl")
    with file.open("rb") as opened:
        options: Any = {"sheet_name": None, "header": None, "dtype": "object"}
        options |= {"keep_default_na": False, "na_values": [""]}
        sheets = pd.read_excel(io.BytesIO(opened.read()), engine="openpyxl", **options)
    full = {str(name): sheet for name, sheet in sheets.items() if sheet.notna().any(axis=None)}
    if len(full) > 1:
        shown = ", ".join(full)
        raise ValueError(f"several sheets hold rows ({shown}); save each as a CSV of its own")
    rows = next(iter(full.values()), pd.DataFrame()).dropna(how="all").dropna(axis=1, how="all")
    cells = rows.map(partial(format_cell, decimal), na_action="ignore")
    return str(cells.to_csv(index=False, header=False))


def format_cell(decimal: str, value: Any) -> Any:
    """Return a cell; a number as a text with this decimal mark."""
    return str(value).replace(".", decimal) if isinstance(value, float) else value


def read_csv(file: Any, data: Data, text: Any, size: int | None) -> Rows:
    """Yield the rows of a CSV; the columns in `text` are read as text."""
    if TSV.search(str(file)) and data.separator.encode() not in read_head(file).split(b"\n")[0]:
        data = data.model_copy(update={"separator": "\t"})
    check_widths(file, data)
    with file.open(encoding=data.encoding, newline="") as opened:
        options: Any = {"sep": data.separator, "decimal": data.decimal, "dtype": text, **AS_WRITTEN}
        options |= {"na_values": NULL_WORDS + data.missing, "iterator": True, "chunksize": size}
        reader: Any = pd.read_csv(opened, **options)
        for frame in drop_trailing_blanks(reader if size else [reader.read()]):
            yield frame.rename(columns=lambda name: normalize("NFC", name.strip()))


def drop_trailing_blanks(frames: Iterable[pd.DataFrame]) -> Rows:
    """Yield these rows without the blank ones at their end, as spreadsheets write them."""
    blank = pd.DataFrame()
    for frame in frames:
        rows = pd.concat([blank, frame]) if len(blank) else frame
        end = np.flatnonzero(rows.notna().any(axis=1)).max(initial=-1) + 1
        blank = rows[end:]
        yield rows[:end]


def check_widths(file: Any, data: Data) -> None:
    """Raise ValueError that names the first line with more or fewer fields than the header.

    Also if line 1 is a title instead of the names of the columns.
    """
    with file.open(encoding=data.encoding, newline="") as opened:
        rows = csv.reader(opened, delimiter=data.separator, skipinitialspace=True)
        header = next(filter(any, rows), [])
        width, way_out = len(header), TITLE
        titled = width > 1 and any(header[:1]) and not any(header[1:])
        for row in filter(None, rows):
            ragged = len(row) != width and (len(row) < width or any(row[width:]))
            if ragged or (titled and sum(map(bool, row)) > 1):
                names = 1 if titled else width
                way_out = way_out if titled or len(row) > width else RAGGED
                fault = f"line {rows.line_num} has {len(row)} fields, the header {names}"
                raise ValueError(f"{fault}; {way_out}")
            titled, way_out = False, RAGGED


def read_excel_sheet(file: Any, data: Data, text: Any, size: int | None) -> Rows:
    """Yield the rows of an Excel sheet, which is read as the CSV that Excel would save."""
    options = {"encoding": "utf-8", "separator": ","}
    yield from read_csv(file, data.model_copy(update=options), text, size)


def read_parquet(file: Any, _data: Data, _text: Any, size: int | None) -> Rows:
    """Yield the rows of a Parquet file, a named index as columns; see `normalize_dtype`."""
    with pq.ParquetFile(file if hasattr(file, "__fspath__") else file.open("rb")) as opened:
        yield from map(make_frame, opened.iter_batches(size) if size else [opened.read()])


def read_feather(file: Any, _data: Data, _text: Any, size: int | None) -> Rows:
    """Yield the rows of a Feather file, the IPC format of Arrow."""
    with file.open("rb") as opened:
        source = pa.ipc.open_file(opened)
        blocks = map(source.get_batch, range(source.num_record_batches))
        for block in blocks if size else [source.read_all()]:
            most = size or len(block)
            yield from (make_frame(block[at : at + most]) for at in range(0, len(block), most))


def read_json_lines(file: Any, _data: Data, _text: Any, size: int | None) -> Rows:
    """Yield the rows of JSON lines; a row without a key has no value in that column.

    Raises ValueError that names the first line that is no object.
    """
    names = list({name: None for row in parse_json_lines(file) for name in row})
    rows = ([row.get(name) for name in names] for row in parse_json_lines(file))
    while block := list(islice(rows, size)):
        yield make_frame(make_table(names, block))


def parse_json_lines(file: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of JSON lines.  Raise ValueError that names a line that is none."""
    with file.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = {**json.loads(line)} if line.strip() else None
            except (ValueError, TypeError) as error:
                fault = f"line {number} is no JSON object ({error})"
                raise ValueError(f"{fault}; write each row as one in a line of its own") from error
            if row is not None:
                yield row


def make_table(names: list[str], rows: Iterable[Iterable[Any]]) -> pa.Table:
    """Return rows as a table.  Raise ValueError if two columns have the same name."""
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"column {repeated[0]!r} is there twice; name each column once")
    return pa.table([make_array(list(values)) for values in zip(*rows, strict=True)], names)


def make_array(values: list[Any]) -> pa.Array:
    """Return values as a column; as text if they are of several kinds, nested or unknown."""
    if any(isinstance(value, dict | list) for value in values):
        values = [json.dumps(value, default=str) if value is not None else None for value in values]
    with suppress(pa.ArrowException, OverflowError):
        array = pa.array(values)
        if not isinstance(array.type, pa.BaseExtensionType):
            return array
    return pa.array([None if value is None else str(value) for value in values])


def make_frame(table: Any) -> pd.DataFrame:
    """Return a table or batch of Arrow as rows."""
    frame = table.to_pandas()
    if any(frame.index.names):
        frame = frame.reset_index()
    return pd.DataFrame(frame.apply(normalize_dtype).rename(columns=str))


def normalize_dtype(values: pd.Series) -> pd.Series:
    """Return durations as seconds; lists, dates, bytes and other types as text."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = pd.Series(np.asarray(values), index=values.index).infer_objects()
    if types.is_timedelta64_dtype(values):
        return pd.Series(values.dt.total_seconds())
    if types.infer_dtype(values) == "decimal":
        return values.astype("float64")
    if types.is_numeric_dtype(values) or types.is_datetime64_any_dtype(values):
        return values
    return values.map(str, na_action="ignore").astype("str")


CSV, EXCEL = Format("CSV", read_csv), Format("Excel", read_excel_sheet)
PARQUET, FEATHER = Format("Parquet", read_parquet), Format("Feather", read_feather)
FORMATS = {b"PAR1": PARQUET, b"ARROW1": FEATHER}  # by the first bytes
FORMATS[rb'(?:\xef\xbb\xbf)?\s*\{\s*["}]'] = Format("JSON lines", read_json_lines)
