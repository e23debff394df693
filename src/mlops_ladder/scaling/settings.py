"""Settings of the scale-out."""

from typing import Literal

from pydantic import Field

from mlops_ladder.strict_model import StrictModel


class Scale(StrictModel):
    """Where searches, batches and backtests are worked out: here, or on a cluster of Dask.

    Without an `address` of a scheduler, `workers` processes of this machine are the cluster.
    `at_once`: trials of a search that are chosen before the first of them is scored, the same
    wherever they run.
    """

    backend: Literal["local", "dask"] = "local"
    workers: int = Field(default=2, ge=1)
    address: str = ""
    at_once: int = Field(default=1, ge=1)
