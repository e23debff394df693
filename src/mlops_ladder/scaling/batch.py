"""Batch: predictions for files of any length, part by part, on all workers.

Parquet files are cut between row groups, and a worker reads its part alone.  All other files are
read by one process.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mlops_ladder.batch.scoring import ROWS, score_file, Scored
from mlops_ladder.data.casting import RowCheck
from mlops_ladder.data.formats import Format, make_frame, READ_ERRORS, Rows
from mlops_ladder.data.reading import list_data_files, read_chunks
from mlops_ladder.plugins import get_implementations
from mlops_ladder.scaling.backends import create_executor
from mlops_ladder.settings import Data, Settings


@dataclass(frozen=True)
class Part:
    """Row groups of a Parquet file, after `before` rows of this file and of those before it."""

    path: Path
    groups: list[int]
    before: int

    def __str__(self) -> str:
        return str(self.path)

    @property
    def format(self) -> Format:
        """Return the format by which `read_chunks` reads these rows."""
        return Format("Parquet", self.read)

    def read(self, _file: Any, _data: Data, _text: Any, size: int | None) -> Rows:
        """Yield the rows, at most `size` at a time."""
        with pq.ParquetFile(self.path) as file:
            yield from map(make_frame, file.iter_batches(size or ROWS, self.groups))


def list_parts(paths: Iterable[Path]) -> list[Part]:
    """Return the parts of Parquet files, in order; small row groups are joined.

    Raises ValueError if a file is not Parquet, or has no rows.
    """
    parts, before = list[Part](), 0
    for path in paths:
        metadata = pq.read_metadata(path)
        if not metadata.num_rows:
            raise ValueError(f"{path}: no rows")
        sizes = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        joined = ROWS  # rows of the last part, which takes no more of another file
        for group, rows in enumerate(sizes):
            if rows and joined + rows > ROWS:
                parts.append(Part(path, [], before))
                joined = 0
            if rows:
                parts[-1].groups.append(group)
            joined, before = joined + rows, before + rows
    return parts


def score_parts(saved: dict[str, Any], pattern: str, settings: Settings) -> Iterator[Scored] | None:
    """Return an iterator of what `score_file` yields; None if a file cannot be cut."""
    try:
        parts = list_parts(list_data_files(pattern))
    except READ_ERRORS:  # the reader of one process reports what is wrong
        return None
    return score_on_workers(saved, parts, settings)


def score_on_workers(
    saved: dict[str, Any], parts: list[Part], settings: Settings
) -> Iterator[Scored]:
    """Yield the predictions for these parts, with rows numbered through all files."""
    checks = get_implementations("find_violations")
    with create_executor(settings) as executor:
        for results in executor.map(score_part, parts, saved, settings.data, checks):
            yield from results


def score_part(
    part: Part, saved: dict[str, Any], data: Data, checks: Iterable[RowCheck]
) -> list[Scored]:
    """Return the predictions for a part."""
    frames = read_chunks([part], data, saved["contract"], ROWS)
    numbered = (frame.set_axis(frame.index + part.before) for frame in frames)
    return list(score_file(saved, numbered, checks))
