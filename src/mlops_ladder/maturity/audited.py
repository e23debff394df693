"""What was promoted, approved and configured, in a log that cannot be rewritten unseen."""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from mlops_ladder.maturity import record, sign, Unknown, use
from mlops_ladder.maturity.code import find_lacking_targets
from mlops_ladder.maturity.delivery import registered
from mlops_ladder.maturity.monitoring import without
from mlops_ladder.maturity.repository import read_text, Repository

LOG, REF = "audit.jsonl", "refs/audit/log"

Facts = dict[str, Any]


@sign("gov.audit", "each decision is noted in a chain that is compared with registry and git")
def chained(repository: Repository) -> Iterator[str]:
    """A line holds the digest of the one before; what decides tells it; a target verifies."""
    yield from without(
        repository, "governance/audit/chain.py", "digest", "differences", "registered"
    )
    yield from without(
        repository, "governance/audit/noting.py", "chain.faults", "contradicted", "unnoted"
    )
    if not repository.ours:
        return
    line = 'after_decision.audit = "governance.audit.noting:'
    if line not in repository.library.get("plugins.toml", ""):
        yield "plugins.toml of the library: nobody tells the audit log of a decision"
    for module in ("registry/decisions.py", "serving/rollout/decisions.py"):
        if "after_decision(" not in repository.library.get(module, ""):
            yield f"{module}: tells nobody of a decision"
    yield from find_lacking_targets(repository, "audit")


def noted(repository: Repository) -> list[str]:
    """The lines of the log.  Unknown where there is none on this machine."""
    path = repository.root / LOG
    if not path.exists():
        raise Unknown(f"{LOG} is not on this machine: make audit NOTE=yes")
    return read_text(path).splitlines()


@record("gov.audit", "each line follows from the one before, and each decision has its line")
def unbroken(repository: Repository) -> Iterator[str]:
    """Compute the chain anew, and compare it with the registry and with git."""
    lines, before = noted(repository), "0" * 64
    held = registered(repository)["tags"]
    seen: dict[str, str] = {}
    for place, text in enumerate(lines, 1):
        try:
            line = dict(json.loads(text))
        except ValueError:
            yield f"{LOG}:{place}: cannot be read"
            return
        if line.get("before") != before:
            yield f"{LOG}:{place}: does not follow from the line before"
            return
        if held.get(f"audit.{place:06}") != text:
            yield f"{LOG}:{place}: is not what the registry holds"
        before = hashlib.sha256(text.encode()).hexdigest()
        if line.get("kind") == "decision":
            seen[str(line.get("about"))] = str(line.get("digest"))
    for key in sorted(it for it in held if re.fullmatch(r"promotion\.\d{6}", it)):
        number = str(int(key.rpartition(".")[2]))
        if seen.get(number) != hashlib.sha256(held[key].encode()).hexdigest():
            yield f"{LOG}: decision {number} is not noted as the registry holds it"
    if lines[: len(known := anchored(repository))] != known:
        yield f"{LOG}: {REF} in git holds another one"


def anchored(repository: Repository) -> list[str]:
    """The lines that git holds; none in a clone that has not fetched them."""
    try:
        return repository.git("cat-file", "blob", REF).splitlines()
    except Unknown:
        return []


@use("gov.audit")
def times(repository: Repository) -> list[datetime]:
    """When decisions were noted."""
    found = [json.loads(text) for text in noted(repository)]
    return [datetime.fromisoformat(it["time"]) for it in found if it["kind"] == "decision"]
