"""The plan of a rollout, for the pods of an environment: a ConfigMap that they mount.

`held ENVIRONMENT VERSION SHA256` checks that each pod holds the bundle of a version.  `bring
ENVIRONMENT STEP` gives the pods the plan of standard input; an empty one takes theirs away.
"""

import json
import sys
from collections.abc import Callable

from mlops_ladder.delivery.compose import Refused
from mlops_ladder.delivery.on_kubernetes import find_running, Overlay, SERVICE

BUNDLE = "models/serving/{}/bundle.json"


def require_bundle(environment: str, version: str, sha256: str) -> None:
    """Raise Refused if a running pod lacks the bundle of this version."""
    overlay, (image, _) = Overlay(environment), find_running(environment)
    if not (pods := overlay.list_pods(image)):
        raise Refused(f"no pod runs in {overlay.namespace}; run: make stage promote")
    for pod in pods:
        command = ["sha256sum", BUNDLE.format(version)]
        try:
            output = overlay.kubectl("exec", pod, "-c", SERVICE, "--", *command)
        except Refused as refusal:
            output = str(refusal)
        if output.split(maxsplit=1)[0] != sha256:
            way_out = f"run: make stage promote CANDIDATE={version}"
            fault = f"{output}: no bundle of v{version}; {way_out}"
            raise Refused(f"{overlay.namespace}, {pod}: {fault}")


def apply_plan(environment: str, step: str) -> None:
    """Give the pods the plan, or none; the annotation makes them read it within seconds."""
    overlay, plan = Overlay(environment), sys.stdin.read()
    metadata = {"name": f"{overlay.name}-rollout"}
    data = {"rollout.json": plan} if plan else {}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    overlay.kubectl("apply", "-f", "-", stdin=json.dumps(config))
    step_note = f"rollout-step={step}"
    overlay.kubectl("annotate", "pods", *overlay.pod_labels, "--overwrite", step_note)


def main(arguments: list[str]) -> None:
    """Do what the first argument names.  End the program with the reason if that is refused."""
    actions: dict[str, Callable[..., None]] = {"held": require_bundle, "bring": apply_plan}
    if len(arguments) < 3 or arguments[0] not in actions:
        sys.exit("usage: ladder plan held ENVIRONMENT VERSION SHA256 | bring ENVIRONMENT STEP")
    try:
        actions[arguments[0]](*arguments[1:])
    except Refused as refused:
        sys.exit(str(refused))
