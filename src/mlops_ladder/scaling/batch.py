"""Batch: predictions for files of any length, part by part, on all workers.

Files are cut into parts, and a worker reads its part alone: a CSV file is cut between records, a
Parquet file between row groups.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mlops_ladder.batch.scoring import ROWS, score_file, Scored
from mlops_ladder.data import formats
from mlops_ladder.data.casting import RowCheck
from mlops_ladder.data.contract import Violation
from mlops_ladder.data.reading import list_data_files, read_chunks
from mlops_ladder.plugins import get_implementations
from mlops_ladder.scaling.backends import create_executor
from mlops_ladder.settings import Data, Settings

BLOCK = 8_000_000  # bytes of a CSV; as frames they take ten times as much


@dataclass(frozen=True)
class Part:
    """Some rows of a file, which opens like a file of these rows.

    Of a CSV file: the header and the bytes of `span`, after `before` lines of rows.  Of a Parquet
    file: these row groups.
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
        """Return the content, or the first bytes of a Parquet file."""
        start, end = self.span if self.groups is None else (0, 4)
        with self.path.open("rb") as file:
            file.seek(start)
            content = io.BytesIO(self.header + file.read(end - start))
        return content if "b" in mode else io.TextIOWrapper(content, encoding, newline=newline)


def list_parts(pattern: str, data: Data) -> Iterator[Path | Part]:
    """Yield the parts of the files that match a pattern, in order.

    A file that cannot be cut or opened is yielded whole: its reader reports what is wrong.
    """
    for path in list_data_files(pattern):
        try:
            content, kind = formats.detect_format(path, data)
            if content is not path or kind not in (formats.CSV, formats.PARQUET):
                yield path
                continue
            is_csv = kind is formats.CSV
            yield from list_csv_parts(path, data) if is_csv else list_parquet_parts(path)
        except formats.READ_ERRORS:
            yield path


def list_parquet_parts(path: Path) -> Iterator[Path | Part]:
    """Yield row groups; small ones are joined."""
    try:
        with pq.ParquetFile(path) as file:
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    except ValueError:
        sizes = []
    if not sizes:
        yield path
        return
    groups: list[int] = []
    for group, size in enumerate(sizes):
        if groups and sum(sizes[groups[0] : group]) + size > ROWS:
            yield Part(path, groups=tuple(groups))
            groups = []
        groups.append(group)
    yield Part(path, groups=tuple(groups))


def list_csv_parts(path: Path, data: Data) -> Iterator[Path | Part]:
    """Yield blocks of whole records, each with the header of the file."""
    if not "a\n".encode(data.encoding).endswith(b"a\n"):  # UTF-16: a byte is no character
        yield path
        return
    with path.open("rb") as file:
        header = read_header(file, data)
        start, rest, before, more = len(header), b"", 0, b"-"
        file.seek(start)
        while more:
            more = file.read(BLOCK)
            content = rest + more
            end = find_record_end(content, data) if more else len(content)
            if content[:end].strip() or (not more and start == len(header)):
                yield Part(path, header, (start, start + end), before)
            before += content.count(b"\n", 0, end)
            start, rest = start + end, content[end:]


def read_header(file: Any, data: Data) -> bytes:
    """Return the header with its line ends."""
    taken: list[bytes] = []
    try:
        next(parse_records(iter(file), taken, data), None)
    except (ValueError, csv.Error):
        return b""
    return b"".join(taken)


def parse_records(lines: Iterator[bytes], taken: list[bytes], data: Data) -> Iterator[list[str]]:
    """Yield the records of these lines, and append the lines read so far to `taken`."""

    def decode() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line.decode(data.encoding)

    return csv.reader(decode(), delimiter=data.separator, skipinitialspace=True)


def find_record_end(content: bytes, data: Data) -> int:
    """Return the end of the last record that is certainly complete; 0 if there is none.

    Content that cannot be decoded is one part: its reader reports that.
    """
    whole = content.rfind(b"\n") + 1
    if b'"' not in content:
        return whole
    taken: list[bytes] = []
    ends = [0, 0]  # the last record may be incomplete: a quote may be open
    try:
        for _ in parse_records(io.BytesIO(content[:whole]), taken, data):
            size = ends[-1] + sum(map(len, taken))
            taken.clear()
            ends = [ends[-1], size]
    except (ValueError, csv.Error):
        return len(content)
    return ends[0]


def score_parts(saved: dict[str, Any], pattern: str, settings: Settings) -> Iterator[Scored]:
    """Yield what `score_file` yields, with rows numbered through all files."""
    before, checks = 0, get_implementations("find_violations")
    with create_executor(settings) as executor:
        pieces = list_parts(pattern, settings.data)
        for results in executor.map(score_part, pieces, saved, settings.data, checks):
            for part in results:
                breaches = [shift_rows(breach, before) for breach in part.breaches]
                rejected = part.rejected.assign(row=part.rejected["row"] + before)
                yield replace(part, breaches=breaches, rejected=rejected)
            before += sum(part.rows for part in results)


def score_part(
    part: Path | Part, saved: dict[str, Any], data: Data, checks: Iterable[RowCheck]
) -> list[Scored]:
    """Return the predictions for a part, with rows numbered in it."""
    return list(score_file(saved, read_chunks([part], data, saved["contract"], ROWS), checks))


def shift_rows(violation: Violation, before: int) -> Violation:
    """Return the same violation for rows after `before` others."""
    return replace(violation, rows=tuple(row + before for row in violation.rows))
