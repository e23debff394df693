"""Batch: predictions for files of any length, part by part, on as many workers as there are."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlops_ladder.batch.scoring import ROWS, score_file, Scored
from mlops_ladder.data.casting import Check
from mlops_ladder.data.contract import Breach
from mlops_ladder.data.reading import read_chunks
from mlops_ladder.plugins import get_implementations
from mlops_ladder.scaling.backends import opened
from mlops_ladder.scaling.row_groups import Part, parts
from mlops_ladder.settings import Data, Settings


def scored(saved: dict[str, Any], pattern: str, settings: Settings) -> Iterator[Scored]:
    """What `batch.score_file` gives for all rows of these files, numbered through all of them."""
    before, checks = 0, get_implementations("find_violations")
    with opened(settings) as places:
        pieces = parts(pattern, settings.data)
        for found in places.each(score_part, pieces, saved, settings.data, checks):
            for part in found:
                breaches = [later(breach, before) for breach in part.breaches]
                rejected = part.rejected.assign(row=part.rejected["row"] + before)
                yield replace(part, breaches=breaches, rejected=rejected)
            before += sum(part.rows for part in found)


def score_part(
    part: Path | Part, saved: dict[str, Any], data: Data, checks: Iterable[Check]
) -> list[Scored]:
    """What comes of the rows of a part, numbered in it."""
    return list(score_file(saved, read_chunks([part], data, saved["contract"], ROWS), checks))


def later(breach: Breach, before: int) -> Breach:
    """The same breach, where so many rows precede."""
    return replace(breach, rows=tuple(row + before for row in breach.rows))
