"""Tried and planted: the audit log."""

import json
from collections.abc import Iterator

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.gov import LOG, unbroken
from mlops_ladder.maturity.sandbox import Copy, last


@trial("gov.audit", "a promotion is noted by itself, and the chain agrees with registry and git")
def chained(copy: Copy) -> Iterator[str]:
    """Run the pipeline, and look at what was noted of it."""
    found = copy.need("rehearse")
    if not (copy.root / LOG).exists():
        yield f"make pipeline: no {LOG}"
        return
    lines = (copy.root / LOG).read_text(encoding="utf-8").splitlines()
    kinds = {json.loads(text)["kind"] for text in lines}
    for kind in {"configuration", "decision"} - kinds:
        yield f"{LOG}: nothing of kind {kind} is noted after make pipeline"
    yield from unbroken(found)
    done = copy.run("make", "audit")
    if done.returncode:
        yield f"make audit: {last(done)}"


@fault("gov.audit", "a line that was altered is found, and named")
def altered(copy: Copy) -> Iterator[str]:
    """Change who has noted one line, taken at random."""
    copy.need("rehearse")
    path = copy.root / LOG
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    if not lines:
        raise Unknown(f"{LOG}: no line that could be altered")
    place = copy.random.randrange(len(lines))
    lines[place] = json.dumps(json.loads(lines[place]) | {"who": "somebody else"})
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    done = copy.run("make", "audit")
    if done.returncode == 0 or f"{LOG}:{place + 1}" not in done.stdout + done.stderr:
        yield f"make audit: line {place + 1} was altered, and it does not say so"


@fault("gov.audit", "a decision that is taken out of the registry is missed")
def unregistered(copy: Copy) -> Iterator[str]:
    """Delete the last decision with MLflow's client."""
    copy.need("rehearse")
    script = (
        "from mlops_ladder.registry import versions; known = versions.held().copies;"
        " versions.erase(max(known))"
    )
    if (done := copy.python(script)).returncode:
        raise Unknown(f"no decision can be deleted: {last(done)}")
    if copy.run("make", "audit").returncode == 0:
        yield "make audit: passes, though the registry has lost a decision"
