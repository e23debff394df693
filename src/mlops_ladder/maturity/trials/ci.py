"""Tried and planted: the tests that CI runs."""

import re
from collections.abc import Iterator

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.ci import GROUPS
from mlops_ladder.maturity.data import read_columns
from mlops_ladder.maturity.sandbox import Copy, last

LONG = 560  # seconds for all tests
FEW = ("tests/code/test_prediction.py", "tests/model")  # where a fault in the model shows first
ASKED = '    found = pd.DataFrame({"prediction": np.ravel(model.predict(rows))}, index=rows.index)'
NEGATED = (
    "model/prediction.py",
    ASKED,
    '    rows = rows.assign(**{name: -rows[name] for name in rows.select_dtypes("number")})\n'
    + ASKED,
)
SWAPPED = (
    "model/prediction.py",
    ASKED,
    f"    rows = rows.iloc[::-1].set_axis(rows.index)\n{ASKED}",
)
UNFITTED = (
    "model/training.py",
    ".fit(kept[inputs], answers)\n        seconds",
    "\n        seconds",
)


@trial("ci.tests", "the tests pass, and some did in each group")
def passes(copy: Copy) -> Iterator[str]:
    """Run them all, then count."""
    done = copy.run("make", "test", timeout=LONG)
    if done.returncode:
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        yield from [f"{name}: fails" for name in failed] or [f"make test: {last(done)}"]
        return
    done = copy.run("make", "--silent", "test-counts")
    counts = dict(re.findall(r"(\w+) (\d+)", done.stdout))
    if done.returncode:
        yield f"make test-counts: {last(done)}"
    for group in GROUPS:
        if not int(counts.get(group, 0)):
            yield f"tests/{group}: no test there passed"


@fault("ci.tests", "with the features spoiled where rows are predicted, a test fails")
def negated(copy: Copy) -> Iterator[str]:
    """Every number has the other sign; where there is none, rows get each other's answers."""
    inputs = [it for it in read_columns(copy.repository).values() if it.get("role") == "feature"]
    numbers = any(it.get("kind") in ("number", "integer") for it in inputs)
    words = "every number negated" if numbers else "rows in another order"
    yield from survived(copy, words, *(NEGATED if numbers else SWAPPED))


@fault("ci.tests", "with a `fit` that does nothing, a test fails")
def unfitted(copy: Copy) -> Iterator[str]:
    """The model never learns."""
    yield from survived(copy, "nothing fitted", *UNFITTED)


def survived(copy: Copy, words: str, module: str, old: str, new: str) -> Iterator[str]:
    """What a fault in a module means where every test passes all the same."""
    copy.spoil(module, old, new)
    few = [it for it in FEW if (copy.root / it).exists()] or ["tests"]
    program = str(copy.root / ".venv/bin/pytest")
    done = copy.run(program, "-q", "-x", "--no-header", "-p", "no:cacheprovider", *few)
    if done.returncode not in (0, 1):
        raise Unknown(f"pytest {' '.join(few)}: {last(done)}")
    if not done.returncode:
        yield f"{module}: with {words} there, no test of {', '.join(few)} fails"
