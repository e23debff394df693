"""The command `overlays`: show how staging and production differ, and refuse other differences.

Values of environment variables may differ too: those that variables.txt of the overlays names.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mlops_ladder.delivery.compose import Refused, run_tool
from mlops_ladder.delivery.on_kubernetes import find_overlay

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


def render_overlay(environment: str) -> list[Any]:
    """Return the manifests of an environment.  End the program if kustomize refuses them."""
    folder = find_overlay(environment)
    try:
        return list(yaml.safe_load_all(run_tool("kubectl", "kustomize", folder)))
    except Refused as refusal:
        sys.exit(f"{folder}: {refusal}")


def list_children(value: Any) -> list[tuple[str, Any]]:
    """Return the entries of a value; those of a list by name if each has a name of its own."""
    if isinstance(value, dict):
        return list(value.items())
    if not isinstance(value, list):
        return []
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in value]
    are_unique = None not in names and len({*names}) == len(names)
    return [(str(names[at] if are_unique else at), entry) for at, entry in enumerate(value)]


def list_leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield each value that holds no other, with its path."""
    if not (children := list_children(value)):
        yield path, value
    for key, entry in children:
        yield from list_leaves(entry, f"{path}/{key}")


def flatten(manifests: list[Any]) -> dict[str, Any]:
    """Return all values of manifests by path; the path of a namespace has no name."""
    values: dict[str, Any] = {}
    for item in manifests:
        name = "" if item["kind"] == "Namespace" else f"/{item['metadata']['name']}"
        values |= list_leaves(item, f"{item['kind']}{name}")
    return values


def find_overlay_differences(
    staging: list[Any], production: list[Any]
) -> dict[str, tuple[Any, Any]]:
    """Return the two values of each path at which the environments differ."""
    one, other = flatten(staging), flatten(production)
    pairs = {path: (one.get(path, NOTHING), other.get(path, NOTHING)) for path in one | other}
    return {path: pair for path, pair in pairs.items() if pair[0] != pair[1]}


def may_differ(path: str, variables: list[str]) -> bool:
    """Return whether staging and production may differ here."""
    values = [rf"{CONTAINER}/env/{re.escape(name)}/value" for name in variables]
    return any(re.fullmatch(pattern, path) for pattern in (*MAY_DIFFER, *values))


def main() -> None:
    """Print the differences.  End the program with 1 if one is not allowed."""
    lines = VARIABLES.read_text(encoding="utf-8").splitlines() if VARIABLES.exists() else []
    variables = [name for line in lines if (name := line.partition("#")[0].strip())]
    faults = []
    for path, pair in sorted(find_overlay_differences(*map(render_overlay, ENVIRONMENTS)).items()):
        values = " | ".join("nothing" if value is NOTHING else str(value) for value in pair)
        if may_differ(path, variables):
            print(f"  {path}: {values}")
        else:
            faults.append(f"{path}: staging | production: {values}")
    if faults:
        way_out = "make both alike (deploy/kubernetes/overlays/hardened)"
        sys.exit("\n".join([*faults, f"Not tried in staging: {way_out}"]))
    print("Staging and production are alike in all else.")
