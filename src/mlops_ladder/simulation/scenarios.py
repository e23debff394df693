"""The scenarios: a change of the world, and the expected reaction of the project."""

from dataclasses import dataclass
from typing import Literal

from mlops_ladder.pipeline.retraining.decision import Kind
from mlops_ladder.simulation.world import DRIFTED_SHARE, MIDDLE

Expected = dict[str, str]
CALM: Expected = {
    "drift found": "no",
    "loss found": "no",
    "training": "none",
    "gate": "not asked",
    "rollout": "none",
    "serves": "v1",
    "told": "nobody",
    "feedback": "taken",
    "failed requests": "0",
}
RENEWED: Expected = {
    "training": "run",
    "gate": "accepted",
    "rollout": "start, advance, advance, promote",
    "serves": "v2",
}


@dataclass(frozen=True)
class Scenario:
    """A change on the second day, and the expected result.

    `new`: the share of rows of the new part.  `changed`: the part whose answers change.
    `fault`: a column is lost, outcomes get mixed up, or the candidate's files break after the gate
    has accepted it.  `causes`: reasons for a training.  `either`: results that are not compared.
    `before`: further days with reports on drift and quality, without a reaction.  `batch`: rows
    come as files, and no service answers.
    """

    title: str
    expected: Expected
    new: float = 0
    changed: int | None = None
    fault: Literal["", "column", "outcomes", "files"] = ""
    causes: tuple[Kind, ...] = ("drift", "quality")
    either: tuple[str, ...] = ()
    before: tuple[int, ...] = ()
    batch: bool = False


SCENARIOS = {
    "no_drift": Scenario("Nothing changes, and nothing happens", CALM),
    "covariate_drift": Scenario(
        "Rows come that nobody asked about before: found, learned, brought into use by steps",
        CALM | RENEWED | {"drift found": "yes"},
        before=(1,),
        new=DRIFTED_SHARE,
        either=("loss found",),
    ),
    "concept_drift": Scenario(
        "The same rows get other answers: only the outcomes tell; learned, and brought into use",
        CALM | RENEWED | {"loss found": "yes"},
        changed=MIDDLE,
    ),
    "broken_data": Scenario(
        "A column is lost: nothing is learned from it, and somebody is told",
        CALM | {"drift found": "yes", "training": "veto", "told": "of broken data"},
        fault="column",
        either=("loss found", "feedback"),
    ),
    "worse_candidate": Scenario(
        "Outcomes get mixed up: what learns from them is worse, and the gate refuses it",
        CALM | {"training": "run", "gate": "refused"},
        fault="outcomes",
        causes=("drift", "quality", "data"),
        either=("loss found",),
    ),
    "bad_canary": Scenario(
        "The gate accepts a model that fails where it serves: aborted, and no client notices",
        CALM | RENEWED | {"drift found": "yes", "rollout": "start, abort", "serves": "v1"},
        new=DRIFTED_SHARE,
        fault="files",
        either=("loss found",),
    ),
    "batch_drift": Scenario(
        "Files arrive and no service runs: drift is found, and a new champion scores the next file",
        CALM | RENEWED | {"drift found": "yes", "rollout": "none"},
        new=DRIFTED_SHARE,
        causes=("drift",),
        either=("loss found",),
        batch=True,
    ),
}


def list_scenarios(serve: str) -> list[str]:
    """Return the names of the scenarios of a project with a service, with batches, or both."""
    unused = {"api": True, "batch": False}.get(serve)  # what `batch` is in the others
    return [name for name, scenario in SCENARIOS.items() if scenario.batch is not unused]


def find_surprises(scenario: Scenario, seen: Expected) -> list[str]:
    """Return a line for each result that is not as expected, except those in `either`."""
    return [
        f"{name}: {seen.get(name, 'not seen')}, expected {value}"
        for name, value in scenario.expected.items()
        if name not in scenario.either and seen.get(name) != value
    ]
