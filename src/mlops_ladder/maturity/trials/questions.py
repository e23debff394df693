"""Tried and planted: slices, groups, behaviour."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.data import read_artifact
from mlops_ladder.maturity.model import name_run
from mlops_ladder.maturity.sandbox import Copy
from mlops_ladder.maturity.trials.project import answer


def asked(copy: Copy, name: str) -> Iterator[str]:
    """Does the run of the champion hold what came of a question, with a picture?"""
    run = copy.need("rehearse").runs[0]
    place = Path(run["artifacts"].removeprefix("file://"))
    said = json.loads(read_artifact(run, "questions.json")).get(name)
    if not said:
        yield f"{name_run(run)}: its gate has not asked for {name}"
    elif said["verdict"] != "not enough rows" and not (place / f"plots/{name}.png").is_file():
        yield f"{name_run(run)}: has no picture of {name}"


@trial("model.slices", "the gate's report has the score of each slice")
def sliced(copy: Copy) -> Iterator[str]:
    """Run the pipeline, and look into its run."""
    yield from asked(copy, "slices")


@trial("model.fairness", "the gate's report has the rates, or the error, of each group")
def grouped(copy: Copy) -> Iterator[str]:
    """Run the pipeline, and look into its run."""
    yield from asked(copy, "fairness")


@trial("model.behaviour", "the gate's report has every test of the artifact")
def tested(copy: Copy) -> Iterator[str]:
    """Run the pipeline, and look into its run."""
    yield from asked(copy, "behaviour")


def refused(copy: Copy, name: str, what: str) -> Iterator[str]:
    """Put a model forward that is bad for some rows only, and see what the gate says."""
    copy.need("rehearse")
    found: dict[str, Any] = answer(copy, "asked", "spoiled", name)
    if "unknown" in found:
        raise Unknown(found["unknown"])
    said = [it for it in found["reasons"] if it.startswith(f"{name}: ") and it.endswith(": no")]
    if found["champion"] != found["before"] or not said:
        yield f"the gate: accepts {what}, {found['spoilt']}; {found['told']} over all rows"


@fault("model.slices", "a model that is bad on one slice, and good on all others, is refused")
def bad_slice(copy: Copy) -> Iterator[str]:
    """Have it learn the rows held out, those of one slice wrongly."""
    yield from refused(copy, "slices", "a model that is bad on one slice")


@fault("model.fairness", "a model that is biased against one group is refused")
def biased(copy: Copy) -> Iterator[str]:
    """Have it learn the rows held out, those of one group wrongly."""
    yield from refused(copy, "fairness", "a model that is biased")


@fault("model.fairness", "without groups, and without a waiver, a model is refused")
def undeclared(copy: Copy) -> Iterator[str]:
    """Take the groups away, and the waivers."""
    (copy.root / "config/fairness.toml").write_text(
        'mode = "enforce"\ngroups = []\n', encoding="utf-8"
    )
    found = answer(copy, "asked", "without_groups")
    if found != ["refused", True]:
        yield f"the gate: {found[0]} though no groups are declared and nobody has waived them"


@fault("model.behaviour", "an inverted model is refused, the model that it was made of passes")
def inverted(copy: Copy) -> Iterator[str]:
    """Declare a direction that the model keeps, and ask about it and about its opposite."""
    found = answer(copy, "asked", "turned")
    if "unknown" in found:
        raise Unknown(found["unknown"])
    if found["honest"] != ["passed", True]:
        yield f"the gate: {found['honest'][0]} for a model as it should be: {found['why']}"
    if found["turned"] != ["refused", True]:
        yield f"the gate: {found['turned'][0]} for an inverted model: {found['declared']}"
