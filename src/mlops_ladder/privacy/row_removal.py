"""Removal: a data file without the rows of one id, all others byte for byte as they were."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO, StringIO
from pathlib import Path
from unicodedata import normalize

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_ladder import ProjectError
from mlops_ladder.data import contract, reading
from mlops_ladder.privacy.erasure_log import canonical
from mlops_ladder.settings import Data

Cells = dict[str, str]
MARK = "\ufeff"  # begins a file, and belongs to no name


@dataclass(frozen=True)
class Asked:
    """Whose rows are meant: `text` in one of `columns`.  `ids` name a row wherever it is logged.

    `copies` are ids of rows that were logged and became data.
    """

    text: str
    columns: Mapping[str, contract.Column]
    ids: Mapping[str, contract.Column]
    copies: frozenset[str] = frozenset()

    def fits(self, row: Mapping[str, object]) -> bool:
        """Is it a row of this id?"""
        return any(
            row.get(name) is not None and canonical(row[name], column) == self.of(column)
            for name, column in self.columns.items()
        ) or any(row.get(name) in self.copies for name in self.ids)

    def of(self, column: contract.Column) -> str:
        """What is looked for in a column."""
        return canonical(self.text, column)

    def named(self, row: Mapping[str, object]) -> Cells:
        """The ids of a row."""
        known = {name: value for name in self.ids if (value := row.get(name)) is not None}
        return {name: canonical(value, self.ids[name]) for name, value in known.items()}


@dataclass(frozen=True)
class Part:
    """What is left of a file: its bytes and how many rows; and of each row that goes its ids."""

    content: bytes
    left: int
    gone: list[Cells]


def without(path: Path, data: Data, asked: Asked) -> Part:
    """The file without these rows.  ProjectError where it cannot be written as it was."""
    try:
        if reading.is_parquet(path):
            return without_parquet(path, asked)
        return without_csv(path.read_bytes(), data, asked)
    except (OSError, ValueError, LookupError, csv.Error, pa.ArrowException) as error:
        raise ProjectError(f"{path}: {error}; nothing is changed") from error


def without_csv(raw: bytes, data: Data, asked: Asked) -> Part:
    """The same for the bytes of a CSV, in the encoding and with the separator of the settings."""
    text = raw.decode(data.encoding)
    if text.encode(data.encoding) != raw:
        raise ValueError(f"not written by the rules of {data.encoding}; save it as UTF-8")
    header: list[str] = []
    kept, gone, left = [], [], 0
    for lines, row in records(text, data.separator):
        if not header or not row:
            header = header or [normalize("NFC", it.strip()) for it in row]
            present(header, asked)
        elif asked.fits(cells := dict(zip(header, row, strict=False))):
            gone.append(asked.named(cells))
            continue
        else:
            left += 1
        kept.append(lines)
    return Part("".join(kept).encode(data.encoding), left, gone)


def records(text: str, separator: str) -> Iterator[tuple[str, list[str]]]:
    """Each record as it stands, line ends and all, and its cells, which may hold line ends too."""
    taken: list[str] = []

    def noted() -> Iterator[str]:
        for line in StringIO(text, newline=""):
            taken.append(line)
            yield line.removeprefix(MARK)

    for row in csv.reader(noted(), delimiter=separator, skipinitialspace=True):
        yield "".join(taken), row
        taken.clear()


def without_parquet(path: Path, asked: Asked) -> Part:
    """The same for a Parquet file: its schema, notes and compression stay."""
    with pq.ParquetFile(path) as file:
        table, about = file.read(), file.metadata
        groups = about.num_row_groups
        codec = about.row_group(0).column(0).compression if groups and about.num_columns else "NONE"
        size = max((about.row_group(it).num_rows for it in range(groups)), default=1)
    names = table.column_names
    present(names, asked)
    wanted = [name for name in names if name in {*asked.columns, *asked.ids}]
    rows = table.select(wanted).to_pylist()
    meant = [asked.fits(row) for row in rows]
    kept, sink = table.filter(pa.array([not it for it in meant])), BytesIO()
    codec = codec.replace("UNCOMPRESSED", "NONE")
    pq.write_table(kept, sink, compression=codec, row_group_size=max(size, 1))
    gone = [asked.named(row) for row, it in zip(rows, meant, strict=True) if it]
    return Part(sink.getvalue(), kept.num_rows, gone)


def present(names: list[str], asked: Asked) -> None:
    """Raises ValueError where none of the columns is there: whose rows these are, nobody knows."""
    if names and not asked.columns.keys() & set(names):
        raise ValueError(f"has no column {' or '.join(asked.columns)}")
