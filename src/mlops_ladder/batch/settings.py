"""Settings of batches: what is scored on a schedule, and when a batch is not as it should be."""

from typing import Literal

from pydantic import Field

from mlops_ladder.strict_model import StrictModel


class Batches(StrictModel):
    """What the schedule and back-fills read, and where the answers go.

    `by = "file"`: each new file of `source` is a batch, `settle_s` seconds after its last change.
    `by = "time"`: the rows that are later than those before are one.  `out` is the file of the
    answers, with `{period}`.  A batch is late after `late_hours`; 0 for never.  It has too few rows
    below `min_rows`, and too many rejected ones above a share of `max_rejected`.
    """

    source: str = ""
    out: str = "predictions/{period}.csv"
    by: Literal["file", "time"] = "file"
    settle_s: float = Field(default=60, ge=0)
    late_hours: float = Field(default=0, ge=0)
    min_rows: int = Field(default=1, ge=0)
    max_rejected: float = Field(default=0.05, ge=0, le=1)
