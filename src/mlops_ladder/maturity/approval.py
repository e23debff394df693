"""A second person: what waits, and who has said yes."""

import json
from collections.abc import Iterator
from datetime import datetime, UTC
from typing import Any

from mlops_ladder.maturity import record, sign, use
from mlops_ladder.maturity.code import find_lacking_targets
from mlops_ladder.maturity.delivery import decided, registered
from mlops_ladder.maturity.repository import Repository

APPROVAL = "config/approval.toml"
WAYS = ("named", "signed", "reviewed")


@sign("registry.approval", "an accepted version waits for a second person, and the gate asks who")
def asked(repository: Repository) -> Iterator[str]:
    """The settings ask for an approval, and the hook by which the registry asks is there."""
    settings = (repository.parsed(APPROVAL) or {}).get("approval", {})
    if settings.get("needed", "shared") not in ("shared", "always"):
        yield f"{APPROVAL}: approval.needed is {settings.get('needed')}: nobody has to approve"
    if settings.get("way", "named") not in WAYS:
        yield f"{APPROVAL}: approval.way is {settings.get('way')}; may be {', '.join(WAYS)}"
    if "\nfind_promotion_objections.approval = " not in repository.library.get("plugins.toml", ""):
        yield "plugins.toml of the library: no find_promotion_objections: the registry asks nobody"
    promotes = repository.library.get("delivery/release.py", "")
    promotes = promotes.partition("def promote(")[2]
    if promotes and "approved(" not in promotes.partition("\ndef ")[0]:
        yield "delivery/release.py: brings to production what nobody has approved"
    yield from find_lacking_targets(repository, "approve")


def approvals(repository: Repository) -> list[dict[str, Any]]:
    """The approvals that the registry holds."""
    found = registered(repository)["versions"].values()
    return [json.loads(it["tags"]["approval"]) for it in found if "approval" in it["tags"]]


@record("registry.approval", "each approval is of the report that the gate wrote, by somebody else")
def bound(repository: Repository) -> Iterator[str]:
    """Compare the approvals with the decisions."""
    proofs = {it["proof"] for it in decided(repository)}
    for it in approvals(repository):
        where = f"v{it['version']}: approved by {it['approver']}"
        if it["proof"] not in proofs:
            yield f"{where}: no decision of the gate has that report"
        if it["approver"].casefold() in map(str.casefold, it["authors"]):
            yield f"{where}, who made it"


@use("registry.approval")
def approved(repository: Repository) -> list[datetime]:
    """When somebody approved."""
    found = [datetime.fromisoformat(it["time"]) for it in approvals(repository)]
    return [it.astimezone(UTC) for it in found]
