"""Do staging and production differ only where they may?  What they differ in is shown.

The values of environment variables may differ too: those that variables.txt of the overlays names.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mlops_ladder.delivery.compose import ran, Refused
from mlops_ladder.delivery.on_kubernetes import place

VARIABLES = Path("deploy/kubernetes/overlays/variables.txt")
ENVIRONMENTS = ("staging", "production")
CONTAINER = r"Deployment/[^/]+/spec/template/spec/(?:initC|c)ontainers/[^/]+"
MAY_DIFFER = (
    r"Namespace/metadata/name",
    r"[^/]+/[^/]+/metadata/namespace",
    r"Deployment/[^/]+/spec/replicas",
    r"HorizontalPodAutoscaler/[^/]+/spec/(?:min|max)Replicas",
    r"ScaledObject/[^/]+/spec/(?:(?:min|max)ReplicaCount|triggers/\d+/metadata/query)",
    r"Ingress/[^/]+/spec/(?:rules/\d+/host|tls/\d+/hosts/\d+)",
    rf"{CONTAINER}/resources/.+",
)
NOTHING = object()


def rendered(environment: str) -> list[Any]:
    """The manifests of an environment.  Ends the program where kustomize refuses them."""
    try:
        return list(yaml.safe_load_all(ran("kubectl", "kustomize", place(environment))))
    except Refused as refusal:
        sys.exit(f"{place(environment)}: {refusal}")


def inner(value: Any) -> list[tuple[str, Any]]:
    """What a value holds: entries of a list go by their names where each has one of its own."""
    if isinstance(value, dict):
        return list(value.items())
    if not isinstance(value, list):
        return []
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in value]
    own = None not in names and len({*names}) == len(names)
    return [(str(names[at] if own else at), entry) for at, entry in enumerate(value)]


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Each value that holds no other, with the way to it."""
    if not (held := inner(value)):
        yield path, value
    for key, entry in held:
        yield from leaves(entry, f"{path}/{key}")


def flat(manifests: list[Any]) -> dict[str, Any]:
    """All values of manifests, by the way to them; a namespace goes without its name."""
    found: dict[str, Any] = {}
    for it in manifests:
        name = "" if it["kind"] == "Namespace" else f"/{it['metadata']['name']}"
        found |= leaves(it, f"{it['kind']}{name}")
    return found


def differences(staging: list[Any], production: list[Any]) -> dict[str, tuple[Any, Any]]:
    """What differs: the two values, by the way to them."""
    one, other = flat(staging), flat(production)
    pairs = {path: (one.get(path, NOTHING), other.get(path, NOTHING)) for path in one | other}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def allowed(path: str, variables: list[str]) -> bool:
    """May staging and production differ in this?"""
    named = [rf"{CONTAINER}/env/{re.escape(name)}/value" for name in variables]
    return any(re.fullmatch(pattern, path) for pattern in (*MAY_DIFFER, *named))


def main(arguments: list[str]) -> None:
    """Show what differs.  Ends with 1 where something does that may not."""
    if arguments:
        sys.exit("usage: ladder overlays")
    lines = VARIABLES.read_text(encoding="utf-8").splitlines() if VARIABLES.exists() else []
    variables = [name for line in lines if (name := line.partition("#")[0].strip())]
    found = differences(*map(rendered, ENVIRONMENTS))
    wrong = []
    for path, pair in sorted(found.items()):
        words = " | ".join("nothing" if value is NOTHING else str(value) for value in pair)
        if allowed(path, variables):
            print(f"  {path}: {words}")
        else:
            wrong.append(f"{path}: staging | production: {words}")
    if wrong:
        sys.exit(
            "\n".join(
                [
                    *wrong,
                    "Not tried in staging: make both alike (deploy/kubernetes/overlays/hardened)",
                ]
            )
        )
    print("Staging and production are alike in all else.")
