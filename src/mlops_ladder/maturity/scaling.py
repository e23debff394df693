"""What is worked out on many machines: search, batch and backtest, by one setting."""

import re
from collections.abc import Iterator

from mlops_ladder.maturity import sign
from mlops_ladder.maturity.code import without_library
from mlops_ladder.maturity.improvement import section
from mlops_ladder.maturity.monitoring import without
from mlops_ladder.maturity.repository import Repository

PAPER = "docs/scale.md"
BACKENDS = ("local", "dask")
HOOKS = ("get_executor", "score_batch")


@sign("pipeline.scaleout", "search, batch and backtest run here or on a cluster, by one setting")
def scaled_out(repository: Repository) -> Iterator[str]:
    """The setting is there, the work goes through it, and a worker has to be alike."""
    yield from without_library(repository, "pipeline.scaleout")
    if not repository.ours:
        return
    backend = section(repository, "scale").get("backend")
    if backend not in BACKENDS:
        yield f"config/scale.toml: scale.backend is {backend}, none of {', '.join(BACKENDS)}"
    registered = repository.library.get("plugins.toml", "")
    for hook in HOOKS:
        if not re.search(rf'^{hook}\.\w+ = "scaling\.', registered, re.MULTILINE):
            yield f"plugins.toml of the library: {hook} is not registered, so nothing is handed out"
    for module in ("pipeline/tuning.py", "monitoring/staleness.py"):
        yield from without(repository, module, "mapped", "places.each")
    yield from without(repository, "scaling/batch.py", "places.each")
    yield from without(repository, "scaling/backends.py", "found := differences")
    if "measured" not in repository.text(PAPER):
        yield f"{PAPER}: does not say which of its numbers are measured"
