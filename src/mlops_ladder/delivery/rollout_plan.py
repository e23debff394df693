"""The plan of a rollout, for the pods of an environment: a ConfigMap that they mount.

`held ENVIRONMENT VERSION SHA256` asks whether each pod holds the bundle of a version; `bring
ENVIRONMENT STEP` gives them the plan of standard input, and an empty one takes theirs away.
"""

import json
import sys
from collections.abc import Callable

from mlops_ladder.delivery.compose import Refused
from mlops_ladder.delivery.on_kubernetes import DIGEST, image_of, Overlay

BUNDLE = "models/serving/{}/bundle.json"


def held(overlay: Overlay, version: str, sha256: str) -> None:
    """Raises Refused where a pod that runs holds no such bundle."""
    found = overlay.deployment()
    image = image_of(found["spec"]["template"]["spec"]) if found else ""
    pods = overlay.pods(image) if DIGEST.fullmatch(image) else []
    if not pods:
        raise Refused(f"nothing runs in {overlay.namespace}; run: make stage promote")
    file = BUNDLE.format(version)
    for pod in pods:
        try:
            said = overlay.kubectl("exec", pod, "-c", "service", "--", "sha256sum", file)
        except Refused as refusal:
            said = str(refusal)
        if said.split(maxsplit=1)[0] != sha256:
            run = f"make stage promote CANDIDATE={version}"
            told = f"{said}: no bundle of v{version}; run: {run}"
            raise Refused(f"{overlay.namespace}, {pod}: {told}")


def bring(overlay: Overlay, step: str) -> None:
    """Give the pods the plan, or none; they see it in seconds, for a change of theirs is told."""
    plan = sys.stdin.read()
    made = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"rollout.json": plan} if plan else {}}
    made["metadata"] = {"name": f"{overlay.name}-rollout"}
    overlay.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    ours = ["-l", f"app.kubernetes.io/name={overlay.name}"]
    overlay.kubectl("annotate", "pods", *ours, "--overwrite", f"rollout-step={step}")


def main(arguments: list[str]) -> None:
    """What the command line asks for.  Ends with the reason where it is refused."""
    if len(arguments) < 3 or arguments[0] not in ("held", "bring"):
        sys.exit("usage: ladder plan held ENVIRONMENT VERSION SHA256 | bring ENVIRONMENT STEP")
    command, environment, *rest = arguments
    acts: dict[str, Callable[..., None]] = {"held": held, "bring": bring}
    try:
        acts[command](Overlay(environment), *rest)
    except Refused as refused:
        sys.exit(str(refused))
