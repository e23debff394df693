"""What the project is made from, who vouches for it, and whether others' code is pinned."""

import json
import re
from collections.abc import Iterator
from datetime import datetime

from mlops_ladder.maturity import sign, use
from mlops_ladder.maturity.audited import noted
from mlops_ladder.maturity.monitoring import without
from mlops_ladder.maturity.repository import Repository

WORKFLOWS = (".github/workflows", ".github/actions", ".gitlab-ci.yml", ".gitlab")
USES = re.compile(r"^\s*(?:- )?uses\s*:\s*[\"']?([^\s\"'#]+)", re.MULTILINE)
PINNED = re.compile(r"^\./|@[0-9a-f]{40}$|@sha256:[0-9a-f]{64}$")
HOOKS = {
    "before_bundle_load": "the service loads what nobody has signed",
    "find_promotion_objections": "an unsigned version becomes champion",
    "after_bundle_download": "no signature comes along with a model",
}
TOOL = "delivery/release.py"


@sign("gov.supply", "a bill of materials, signatures that are asked for, and pinned actions")
def supplied(repository: Repository) -> Iterator[str]:
    """Read the workflows, and what verifies before anything serves."""
    for name in repository.glob(*WORKFLOWS):
        for used in USES.findall(repository.text(name)):
            if not PINNED.search(used):
                yield f"{name}: {used}: a tag may be other code tomorrow; pin a full commit"
    if not repository.ours:
        return
    yield from without(repository, "governance/sbom.py", "locked", "model", "data")
    yield from without(repository, "registry/signing.py", "signatures.sign", "signatures.signer")
    yield from without(repository, "registry/signed.py", "signatures.signer")
    for hook, why in HOOKS.items():
        line = rf'^{hook}\.signing = "registry\.sign(?:ed|ing):\w+"'
        if not re.search(line, repository.library.get("plugins.toml", ""), re.MULTILINE):
            yield f"plugins.toml of the library: no {hook} for signing: {why}"
    if "required" not in (repository.parsed("config/signing.toml") or {}).get("signing", {}):
        yield "config/signing.toml: does not say whether it is required"
    yield from delivered(repository)


def delivered(repository: Repository) -> Iterator[str]:
    """Where an image gets to production past the signatures."""
    text = repository.library.get(TOOL, "")
    verified, brought = text.find("{verified(image, commit)}"), text.find("._places.bring(")
    if not 0 <= verified < brought or "raise self._places.Refused" not in text:
        yield f"{TOOL}: an image is brought that nobody has verified"
    if "return Attested(places) if" not in text:
        yield f"{TOOL}: `ladder stage` and `ladder promote` do not ask for a signature"


@use("gov.supply")
def signed(repository: Repository) -> list[datetime]:
    """When signatures of versions were noted."""
    found = [json.loads(text) for text in noted(repository)]
    return [datetime.fromisoformat(it["time"]) for it in found if it["kind"] == "signature"]
