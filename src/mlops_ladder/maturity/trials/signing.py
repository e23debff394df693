"""Trials and faults of the supply chain: signed models and images, pinned actions."""

import json
from collections.abc import Iterator

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.delivery import read_registered_model
from mlops_ladder.maturity.gov import WORKFLOWS
from mlops_ladder.maturity.sandbox import Copy

BILL = "reports/sbom.json"

Words = dict[str, str]


def make_key(copy: Copy, name: str) -> None:
    """Make a new key outside the files of the copy.  Raise Unknown if that is impossible."""
    path = copy.root / ".git" / name
    for old in (path, path.with_suffix(".pub")):
        old.unlink(missing_ok=True)
    copy.must("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))


def make_own_key(copy: Copy) -> None:
    """Make the key `own`, and name it in .signers, alone."""
    make_key(copy, "own")
    copy.write(".signers", f"maturity@localhost {copy.text('.git/own.pub')}")


def champion_bundle(copy: Copy) -> Words:
    """Return the champion's version, and the sha256 of its bundle."""
    version = read_registered_model(copy.need("pipeline-smoke"))["aliases"].get("champion")
    if version is None:
        raise Unknown("no version is champion after make pipeline-smoke")
    pointer = json.loads(copy.text("models/serving/champion.json"))
    return {"version": str(version), "sha256": pointer["sha256"]}


def read_bill(copy: Copy, sha256: str) -> Iterator[str]:
    """Yield what is missing in the bill of materials: this model, libraries, data."""
    components = json.loads(copy.text(BILL))["components"]
    models = [part for part in components if part["type"] == "machine-learning-model"]
    if [model["hashes"][0]["content"] for model in models] != [sha256]:
        yield f"{BILL}: does not name the model that serves"
    for kind in {"library", "data"} - {part["type"] for part in components}:
        yield f"{BILL}: names no {kind}"


def unpin_action(copy: Copy) -> dict[str, str]:
    """Replace the commit of an action by a tag; return the workflow."""
    for name in copy.repository.glob(*WORKFLOWS):
        _, uses, rest = copy.repository.text(name).partition("uses: actions/checkout@")
        if uses:
            commit = rest.split()[0]
            copy.plant(name, f"actions/checkout@{commit}", "actions/checkout@v4")
            return {"file": name}
    raise Unknown("no workflow uses an action")
