"""Consent: where a second person has to say yes, by which rule."""

import re
from pathlib import Path

from mlops_ladder.settings import file_of, load, read
from mlops_ladder.settings.operations import Approval
from mlops_ladder.tracking import runs

DEPLOYMENTS = Path("deployments.jsonl")
NEEDED = ("never", "shared", "always")
LOCAL = ("sqlite", "file", "")  # what the address of a registry begins with where nobody else is
DEPLOYED = re.compile(r'"environment": "production".*"result": "deployed"')


def rule() -> Approval:
    """What the settings ask for; the environment may ask for more than the file, never for less.

    So whoever takes the second person out is seen in git.
    """
    wanted = load().approval
    path = file_of("approval")
    written = Approval(**(read(path).get("approval", {}) if path.exists() else {}))
    strict = {
        "needed": max(wanted.needed, written.needed, key=NEEDED.index),
        "way": wanted.way if written.way == "named" else written.way,
        "approvers": written.approvers or wanted.approvers,
    }
    return wanted.model_copy(update=strict)


def needed(wanted: Approval) -> bool:
    """Has somebody else to approve before a version becomes champion here?

    Where it is asked for in what is shared: in a registry that others use, and where production
    follows the champion of this folder.
    """
    if wanted.needed != "shared":
        return wanted.needed == "always"
    address = runs.connect().get_registry_uri()
    return address.partition(":")[0] not in LOCAL or in_production()


def in_production() -> bool:
    """Has this folder brought anything to production?"""
    text = DEPLOYMENTS.read_text(encoding="utf-8") if DEPLOYMENTS.exists() else ""
    return bool(DEPLOYED.search(text))
