"""Batch: predictions for files of any length, part by part, on as many workers as there are."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from .. import observers
from ..contract import Breach, Refused, merged, refuse
from ..prediction import ROWS, Check, score_file
from ..reading import read_chunks
from ..settings import Data, Settings
from .backends import opened
from .parts import Part, parts

Scored = tuple[int, list[Breach], pd.DataFrame | None]


def scored(saved: dict[str, Any], pattern: str, settings: Settings) -> Iterator[pd.DataFrame]:
    """What `prediction.score_file` gives for all rows of these files, in their order.

    Raises ProjectError where rows break the model's contract: once all were read, with every
    breach, its rows numbered through all files.
    """
    breaches: list[Breach] = []
    before, checks = 0, observers("checked")
    with opened(settings) as places:
        pieces = parts(pattern, settings.data)
        for rows, found, answers in places.each(score_part, pieces, saved, settings.data, checks):
            breaches += [later(breach, before) for breach in found]
            before += rows
            if not breaches and answers is not None:
                yield answers
    refuse([breach.of(before) for breach in merged(breaches)])


def score_part(
    part: Path | Part, saved: dict[str, Any], data: Data, checks: Iterable[Check]
) -> Scored:
    """How many rows a part has, how they break the contract, else the predictions for them."""
    sizes: list[int] = []

    def counted(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            sizes.append(len(frame))
            yield frame

    frames = counted(read_chunks([part], data, saved["contract"], ROWS))
    try:
        answers = pd.concat(score_file(saved, frames, checks))
    except Refused as error:
        return sum(sizes), error.breaches, None
    return sum(sizes), [], answers


def later(breach: Breach, before: int) -> Breach:
    """The same breach, where so many rows precede."""
    return replace(breach, rows=tuple(row + before for row in breach.rows))
