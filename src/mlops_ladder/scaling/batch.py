"""Batch: predictions for files of any length, part by part, on as many workers as there are.

Files are cut into parts that workers read for themselves, without reading what is before: a CSV
where a record ends, Parquet between its row groups.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mlops_ladder.batch.scoring import ROWS, score_file, Scored
from mlops_ladder.data.casting import RowCheck
from mlops_ladder.data.contract import Violation
from mlops_ladder.data.reading import is_parquet, list_data_files, read_chunks
from mlops_ladder.plugins import get_implementations
from mlops_ladder.scaling.backends import create_executor
from mlops_ladder.settings import Data, Settings

BLOCK = 8_000_000  # bytes of a CSV; as frames they take ten times as much


@dataclass(frozen=True)
class Part:
    """Some rows of a file, which opens as if they were all of it.

    Of a CSV the header and the bytes of `span`, which `before` lines of rows precede; of Parquet
    these row groups.
    """

    path: Path
    header: bytes = b""
    span: tuple[int, int] = (0, 0)
    before: int = 0
    groups: tuple[int, ...] | None = None

    def __str__(self) -> str:
        return str(self.path)

    def __fspath__(self) -> str:
        return str(self.path)

    def open(
        self, mode: str = "r", encoding: str | None = None, newline: str | None = None
    ) -> io.BytesIO | io.TextIOWrapper:
        """The content, or how a file of Parquet begins."""
        start, end = self.span if self.groups is None else (0, 4)
        with self.path.open("rb") as file:
            file.seek(start)
            content = io.BytesIO(self.header + file.read(end - start))
        return content if "b" in mode else io.TextIOWrapper(content, encoding, newline=newline)


def parts(pattern: str, data: Data) -> Iterator[Path | Part]:
    """The files that a pattern names, in pieces, in their order; whole where one cannot be cut.

    What cannot be read is told by who reads it.
    """
    for path in list_data_files(pattern):
        try:
            found = parquet_parts(path) if is_parquet(path) else csv_parts(path, data)
            yield from found
        except OSError:
            yield path


def parquet_parts(path: Path) -> Iterator[Path | Part]:
    """Row groups, of which small ones are put together."""
    try:
        with pq.ParquetFile(path) as file:
            sizes = [file.metadata.row_group(it).num_rows for it in range(file.num_row_groups)]
    except ValueError:
        sizes = []
    if not sizes:
        yield path
        return
    groups: list[int] = []
    for group in range(len(sizes)):
        if groups and sum(sizes[it] for it in [*groups, group]) > ROWS:
            yield Part(path, groups=tuple(groups))
            groups = []
        groups.append(group)
    yield Part(path, groups=tuple(groups))


def csv_parts(path: Path, data: Data) -> Iterator[Path | Part]:
    """Blocks of whole records, each with the header of the file."""
    if not "a\n".encode(data.encoding).endswith(b"a\n"):  # UTF-16: a byte is no character
        yield path
        return
    with path.open("rb") as file:
        header = first_record(file, data)
        start, rest, before, more = len(header), b"", 0, b"-"
        file.seek(start)
        while more:
            more = file.read(BLOCK)
            content = rest + more
            end = cut(content, data) if more else len(content)
            if content[:end].strip() or (not more and start == len(header)):
                yield Part(path, header, (start, start + end), before)
            before += content.count(b"\n", 0, end)
            start, rest = start + end, content[end:]


def first_record(file: Any, data: Data) -> bytes:
    """The header, with the ends of its lines."""
    taken: list[bytes] = []
    try:
        next(records(iter(file), taken, data), None)
    except (ValueError, csv.Error):
        return b""
    return b"".join(taken)


def records(lines: Iterator[bytes], taken: list[bytes], data: Data) -> Iterator[list[str]]:
    """The records of these lines; those that were read for them so far are in `taken`."""

    def told() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line.decode(data.encoding)

    return csv.reader(told(), delimiter=data.separator, skipinitialspace=True)


def cut(content: bytes, data: Data) -> int:
    """Where a record ends, as near to the end as can be said; 0 where none does.

    What is not to be decoded is cut off as it is, for who reads it to complain of.
    """
    whole = content.rfind(b"\n") + 1
    if b'"' not in content:
        return whole
    taken: list[bytes] = []
    ends = [0, 0]  # of the last record nothing is known: a quote may be open
    try:
        for _ in records(io.BytesIO(content[:whole]), taken, data):
            size = ends[-1] + sum(map(len, taken))
            taken.clear()
            ends = [ends[-1], size]
    except (ValueError, csv.Error):
        return len(content)
    return ends[0]


def scored(saved: dict[str, Any], pattern: str, settings: Settings) -> Iterator[Scored]:
    """What `batch.score_file` gives for all rows of these files, numbered through all of them."""
    before, checks = 0, get_implementations("find_violations")
    with create_executor(settings) as places:
        pieces = parts(pattern, settings.data)
        for found in places.each(score_part, pieces, saved, settings.data, checks):
            for part in found:
                breaches = [later(breach, before) for breach in part.breaches]
                rejected = part.rejected.assign(row=part.rejected["row"] + before)
                yield replace(part, breaches=breaches, rejected=rejected)
            before += sum(part.rows for part in found)


def score_part(
    part: Path | Part, saved: dict[str, Any], data: Data, checks: Iterable[RowCheck]
) -> list[Scored]:
    """What comes of the rows of a part, numbered in it."""
    return list(score_file(saved, read_chunks([part], data, saved["contract"], ROWS), checks))


def later(breach: Violation, before: int) -> Violation:
    """The same breach, where so many rows precede."""
    return replace(breach, rows=tuple(row + before for row in breach.rows))
