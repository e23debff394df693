"""The ML Test Score (Breck, Cai, Nielsen, Salib, Sculley 2017): 28 tests in four sections.

Half a point for a test that was run and whose result is at hand, a whole one where it is run again
and again; a section is the sum of its seven, and the score the smallest of the four.
"""

from collections.abc import Iterable

from mlops_ladder.maturity.grading import Assessed

SECTIONS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "data": (
        ("what is expected of features stands in a schema", ("data.schema",)),
        ("every feature is of use", ("feature.review",)),
        ("no feature costs too much", ("feature.review",)),
        ("features keep to rules above them", ("data.privacy", "data.contract")),
        ("privacy is controlled", ("data.privacy",)),
        ("a new feature is added quickly", ("feature.shared",)),
        ("the code of features is tested", ("feature.shared", "ci.tests")),
    ),
    "model": (
        ("specifications are reviewed and kept", ("repo.vcs", "ci.review")),
        ("offline and online metrics agree", ("monitor.quality",)),
        ("hyperparameters are tuned", ("model.tune",)),
        ("the harm of staleness is known", ("monitor.staleness",)),
        ("a simpler model is not better", ("model.baseline",)),
        ("quality holds on important slices", ("model.slices",)),
        ("the model is tested for inclusion", ("model.fairness",)),
    ),
    "infrastructure": (
        ("training is reproducible", ("model.repro",)),
        ("specifications are unit tested", ("ci.tests",)),
        ("the pipeline is tested as a whole", ("pipeline.flow",)),
        ("quality is validated before serving", ("registry.gate",)),
        ("one example can be followed step by step", ("model.explain",)),
        ("models are tried on a part of the traffic first", ("serving.canary",)),
        ("a model can be rolled back", ("registry.rollback",)),
    ),
    "monitoring": (
        ("changes of what it depends on are noticed", ("env.lock", "ci.review")),
        ("what holds for inputs in training holds in serving", ("monitor.drift",)),
        ("training and serving are not skewed", ("monitor.skew",)),
        ("models are not too stale", ("monitor.staleness",)),
        ("models are numerically stable", ("monitor.metrics",)),
        ("speed and memory have not got worse", ("serving.load",)),
        ("the quality of predictions has not got worse", ("monitor.quality",)),
    ),
}
POINTS = {"exercised": 0.5, "practised": 1.0}


def sums(found: Iterable[Assessed]) -> dict[str, float]:
    """The points of each section, 0 to 7."""
    points = {it.id: POINTS.get(it.grade, 0.0) for it in found}
    return {
        section: sum(min(points.get(name, 0.0) for name in names) for _, names in items)
        for section, items in SECTIONS.items()
    }
