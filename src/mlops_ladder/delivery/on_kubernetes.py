"""Staging and production as two overlays of a cluster, or of two: release.py deploys to them.

STAGING_CONTEXT and PRODUCTION_CONTEXT name contexts of kubectl, if it is not the current one.
"""

import json
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlops_ladder.delivery.compose import inspect_image, Refused, run_tool
from mlops_ladder.delivery.smoke import smoke_script

DIGEST = re.compile(r"\S+@sha256:[0-9a-f]{64}")
OVERLAYS = Path("deploy/kubernetes/overlays")
SERVICE = "service"  # the container, in deploy/kubernetes/base/deployment.yaml
CAUSE = "kubernetes.io/change-cause"  # shown by `kubectl rollout history`
IDENTITY = '{.kind} {.metadata.name} {.metadata.namespace}{"\\n"}'
REVISION = "deployment.kubernetes.io/revision"
READY_TIMEOUT = "180s"

Facts = dict[str, Any]


def find_overlay(environment: str) -> str:
    """Return the folder of its manifests; one in a folder there is built on the plain one."""
    paths = sorted(OVERLAYS.glob(f"*/{environment}/kustomization.yaml"))
    return (paths[-1].parent if paths else OVERLAYS / environment).as_posix()


class Overlay:
    """The manifests of an environment, and their Deployment in the cluster."""

    def __init__(self, environment: str) -> None:
        self.folder = find_overlay(environment)
        manifests = run_tool("kubectl", "kustomize", self.folder)
        offline = ("annotate", "--local", "-f", "-", "read=yes", "-o", f"jsonpath={IDENTITY}")
        identities = run_tool("kubectl", *offline, stdin=manifests)
        rows = [row.split(" ") for row in identities.split("\n")]
        names = [row[1:] for row in rows if row[0] == "Deployment" and all(row)]
        if len(names) != 1:
            raise Refused(f"{self.folder}: one Deployment with a namespace is needed")
        self.name, self.namespace = names[0]
        context = os.environ.get(f"{environment.upper()}_CONTEXT")
        self._to = ["kubectl", *(["--context", context] if context else [])]
        self.pod_labels = ["-l", f"app.kubernetes.io/name={self.name}"]

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Return the output of kubectl for this environment."""
        return run_tool(*self._to, "--namespace", self.namespace, *arguments, stdin=stdin)

    def render_image(self, image: str, commit: str) -> str:
        """Return the manifests with this image, and the commit as the cause of the change."""
        name, _, digest = image.partition("@")
        metadata = {"name": self.name, "namespace": self.namespace, "annotations": {CAUSE: commit}}
        cause = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata}
        with TemporaryDirectory(dir=OVERLAYS) as folder:
            kustomization = {
                "resources": [os.path.relpath(self.folder, folder)],
                "images": [{"name": self.name, "newName": name, "digest": digest}],
                "patches": [{"patch": json.dumps(cause)}],
            }
            path = Path(folder, "kustomization.yaml")
            path.write_text(json.dumps(kustomization), encoding="utf-8")
            manifests = run_tool("kubectl", "kustomize", folder)
        if (count := manifests.count(f"image: {image}\n")) != 1:
            raise Refused(f"image: {self.name} stands in the manifests {count} times, not once")
        return manifests

    def read_deployment(self) -> Facts | None:
        """Return the Deployment of the cluster, or None."""
        text = self.kubectl("get", "deployment", self.name, "--ignore-not-found", "-o", "json")
        return dict(json.loads(text)) if text else None

    def wait_until_ready(self) -> None:
        """Return when all pods are those of the newest rollout, and ready."""
        timeout = f"--timeout={READY_TIMEOUT}"
        self.kubectl("rollout", "status", f"deployment/{self.name}", timeout)

    def list_pods(self, image: str) -> list[str]:
        """Return the pods that run this image, without those about to end."""
        pods = json.loads(self.kubectl("get", "pods", *self.pod_labels, "-o", "json"))["items"]
        return [
            pod["metadata"]["name"]
            for pod in pods
            if "deletionTimestamp" not in pod["metadata"] and read_image(pod["spec"]) == image
        ]

    def smoke_pods(self, image: str, commit: str) -> None:
        """Run the smoke test inside each pod of this image: no network policy is in between."""
        script = smoke_script()
        if key := os.environ.get("KEY"):  # not as an argument: the cluster logs these
            script = f"import os\nos.environ['KEY'] = {key!r}\n{script}"
        if not (pods := self.list_pods(image)):
            raise Refused(f"{self.namespace}: no pod runs {image}")
        for pod in pods:
            command = ["python", "-", "http://127.0.0.1:8000", commit]
            self.kubectl("exec", "--stdin", pod, "-c", SERVICE, "--", *command, stdin=script)

    def read_log(self) -> str:
        """Return the end of the pods' logs, or the reason why there is none."""
        options = ("--tail=20", "--prefix", "--ignore-errors")
        try:
            return self.kubectl("logs", *self.pod_labels, *options)
        except Refused as refusal:
            return str(refusal)

    def undo(self, before: Facts | None) -> str:
        """Go back to the revision that ran before, and return what happened."""
        if not (revision := read_annotations(before or {}).get(REVISION)):
            return f"Nothing ran in {self.namespace} before: there is nothing to go back to"
        try:
            self.kubectl("rollout", "undo", f"deployment/{self.name}", f"--to-revision={revision}")
            self.wait_until_ready()
        except Refused as refusal:
            return f"Revision {revision} does not come back: {refusal}"
        return f"{self.namespace} runs revision {revision} again"


def read_annotations(resource: Facts) -> dict[str, str]:
    """Return the annotations of an object of the cluster."""
    return dict(resource.get("metadata", {}).get("annotations", {}))


def read_image(pod: Facts) -> str:
    """Return the image of the service; a cluster may have added other containers."""
    images = [item["image"] for item in pod["containers"] if item["name"] == SERVICE]
    return str(images[0]) if images else ""


def pin_image(image: str) -> str:
    """Return the image by the digest of its registry.  Raise Refused if no registry has it."""
    repository = image.rpartition(":")[0].removeprefix("docker.io/")  # which Docker leaves out
    for pinned in json.loads(inspect_image(image, "{{json .RepoDigests}}")):
        if pinned.startswith(f"{repository}@") and DIGEST.fullmatch(pinned):
            return str(pinned)
    raise Refused(f"{image}: has no digest, for no registry has it; REGISTRY=host/ names one")


def find_running(environment: str) -> tuple[str, str]:
    """Return the image of an environment, and its commit.  Raise Refused if it has no digest."""
    overlay = Overlay(environment)
    if (deployment := overlay.read_deployment()) is None:
        raise Refused(f"nothing runs in {overlay.namespace}; run: make stage")
    image = read_image(deployment["spec"]["template"]["spec"])
    if not DIGEST.fullmatch(image):
        raise Refused(f"{overlay.namespace} runs {image or 'nothing'}, no digest; run: make stage")
    return image, read_annotations(deployment).get(CAUSE, "")


def check_running(environment: str, image: str, commit: str) -> None:
    """Run the smoke test in each pod.  Raise Refused if one fails, or another image runs."""
    overlay = Overlay(environment)
    overlay.wait_until_ready()
    overlay.smoke_pods(image, commit)


def bring_image(environment: str, image: str, commit: str) -> None:
    """Roll an image out, and test it.  If it fails, undo the rollout and raise Refused."""
    overlay = Overlay(environment)
    before, manifests = overlay.read_deployment(), overlay.render_image(image, commit)
    try:
        overlay.kubectl("apply", "-f", "-", stdin=manifests)
        overlay.wait_until_ready()
        overlay.smoke_pods(image, commit)
    except Refused as refusal:
        log = overlay.read_log()
        raise Refused(f"{refusal}\nThe logs:\n{log}\n{overlay.undo(before)}") from refusal


def stop_environment(environment: str) -> None:
    """Delete the Deployment of an environment."""
    overlay = Overlay(environment)
    overlay.kubectl("delete", "deployment", overlay.name, "--ignore-not-found")
