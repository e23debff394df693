"""The sections of `improvement.toml`: how the project replaces its own model."""

from itertools import pairwise

from pydantic import Field, field_validator

from .contract import Section


class Rollout(Section):
    """How an accepted version comes into use: shadow, then shares of the clients, then all.

    `enabled`: the pipeline begins a rollout instead of promoting at once.  Clients are told apart by
    `key_header`.  A step takes until each model has answered `units` of them, and `minutes`.
    The candidate may fail in a share of `failures` more, take `latency` times as long, and differ
    by `shift` or lose by `loss` standard deviations before it counts as worse; `false_aborts` is
    the share of harmless rollouts that may be aborted.
    """

    enabled: bool = False
    shadow: bool = True
    shares: list[float] = Field(default=[0.05, 0.25, 0.5], min_length=1)
    key_header: str = Field(default="X-Key", pattern=r"^[A-Za-z0-9-]+$")
    units: int = Field(default=500, ge=20)
    minutes: float = Field(default=10, ge=0)
    false_aborts: float = Field(default=0.05, gt=0, lt=1)
    failures: float = Field(default=0.01, ge=0, lt=1)
    latency: float = Field(default=1.5, ge=1)
    shift: float = Field(default=0.3, ge=0)
    loss: float = Field(default=0.2, ge=0)
    capacity: int = Field(default=5_000, ge=1)

    @field_validator("shares")
    @classmethod
    def growing(cls, shares: list[float]) -> list[float]:
        """Each share of the clients is larger than the one before, and leaves some to compare."""
        if not all(0 < low < high < 1 for low, high in pairwise([*shares, (1 + shares[-1]) / 2])):
            raise ValueError("shares grow, and lie between 0 and 1: [0.05, 0.25, 0.5]")
        return shares
