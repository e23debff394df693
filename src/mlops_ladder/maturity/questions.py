"""What the gate asks beyond scores: slices, groups of people, behaviour."""

from collections.abc import Iterator

from mlops_ladder.maturity import sign
from mlops_ladder.maturity.code import without_library
from mlops_ladder.maturity.monitoring import without
from mlops_ladder.maturity.repository import Repository


def only_reports(repository: Repository, name: str) -> Iterator[str]:
    """Where a question is declared, and keeps no model from becoming champion."""
    known = repository.parsed(f"config/{name}.toml")
    if repository.ours and not (isinstance(known, dict) and known.get("mode") == "enforce"):
        yield f'config/{name}.toml: its refusals are only reported: mode is not "enforce"'


@sign("model.slices", "a model that is bad on one slice of the rows is refused")
def slices(repository: Repository) -> Iterator[str]:
    """It is enforced, and compares slices beyond chance."""
    yield from only_reports(repository, "slices")
    yield from without(repository, "registry/checks/slices.py", "resampled", "sure")


@sign("model.behaviour", "a model that fails where the answer is known without a truth is refused")
def behaviour(repository: Repository) -> Iterator[str]:
    """It is enforced, and asks the model about changed rows."""
    yield from only_reports(repository, "behaviour")
    yield from without(repository, "registry/checks/behaviour.py", "predict", "put")


@sign(
    "model.fairness", "groups are declared, and a model that does not treat them alike is refused"
)
def fairness(repository: Repository) -> Iterator[str]:
    """It is enforced, and has groups: without them only a waiver holds."""
    yield from without_library(repository, "model.fairness")
    yield from only_reports(repository, "fairness")
    known = repository.parsed("config/fairness.toml")
    if repository.ours and not (isinstance(known, dict) and known.get("groups")):
        yield "config/fairness.toml: no groups are declared; where there are none it takes a waiver"
