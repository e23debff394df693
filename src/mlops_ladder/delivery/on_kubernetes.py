"""Staging and production as two overlays of a cluster, or of two: release.py asks for them.

STAGING_CONTEXT and PRODUCTION_CONTEXT name contexts of kubectl where it is not the one in use.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from mlops_ladder.delivery.compose import ran, Refused
from mlops_ladder.delivery.smoke import smoke_script

DIGEST = re.compile(r"\S+@sha256:[0-9a-f]{64}")
OVERLAYS = Path("deploy/kubernetes/overlays")
SERVICE = "service"  # the container, in deploy/kubernetes/base/deployment.yaml
CAUSE = "kubernetes.io/change-cause"  # what `kubectl rollout history` shows
IDENTITY = ("name", "namespace")
REVISION = "deployment.kubernetes.io/revision"
SECONDS = "180"  # that pods get to become ready

Facts = dict[str, Any]


def place(environment: str) -> str:
    """The folder of its manifests: an overlay, or one in a folder there that is made from it."""
    found = sorted(OVERLAYS.glob(f"*/{environment}/kustomization.yaml"))
    return (found[-1].parent if found else OVERLAYS / environment).as_posix()


class Overlay:
    """The manifests of an environment, and the Deployment in them."""

    def __init__(self, environment: str) -> None:
        self.text = ran("kubectl", "kustomize", place(environment))
        parts = [it for it in self.text.split("\n---\n") if "\nkind: Deployment\n" in it]
        found = [re.findall(rf"^  {key}: (\S+)$", "".join(parts), re.M) for key in IDENTITY]
        if [len(it) for it in found] != [1, 1]:
            raise Refused(f"{place(environment)}: one Deployment with a namespace is needed")
        self.name, self.namespace = (it[0] for it in found)
        context = os.environ.get(f"{environment.upper()}_CONTEXT")
        self._to = ["kubectl", *(["--context", context] if context else [])]
        self._ours = ["-l", f"app.kubernetes.io/name={self.name}"]

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """What kubectl prints of this environment."""
        return ran(*self._to, "--namespace", self.namespace, *arguments, stdin=stdin)

    def with_image(self, image: str, commit: str) -> str:
        """The manifests with the image and the commit put in."""
        text = re.sub(rf"^(\s+{re.escape(CAUSE)}:) commit$", rf"\1 {commit}", self.text, flags=re.M)
        text, count = re.subn(rf"^([\s-]+image:) {self.name}$", rf"\1 {image}", text, flags=re.M)
        if count != 1:
            raise Refused(f"image: {self.name} stands in the manifests {count} times, not once")
        return text

    def deployment(self) -> Facts | None:
        """What the cluster knows of the Deployment; None where it has none."""
        told = self.kubectl("get", "deployment", self.name, "--ignore-not-found", "-o", "json")
        found: Facts | None = json.loads(told) if told else None
        return found

    def settled(self) -> None:
        """Return once all pods are those of the newest rollout, and ready."""
        self.kubectl("rollout", "status", f"deployment/{self.name}", f"--timeout={SECONDS}s")

    def pods(self, image: str) -> list[str]:
        """The pods that run this image and are not about to end."""
        listed = json.loads(self.kubectl("get", "pods", *self._ours, "-o", "json"))["items"]
        return [
            pod["metadata"]["name"]
            for pod in listed
            if "deletionTimestamp" not in pod["metadata"] and image_of(pod["spec"]) == image
        ]

    def smoke(self, image: str, commit: str) -> None:
        """Ask each pod that runs this image, from its inside: no network policy is in between."""
        script = smoke_script()
        if key := os.environ.get("KEY"):  # not as an argument: the cluster logs these
            script = f"import os\nos.environ['KEY'] = {key!r}\n{script}"
        if not (pods := self.pods(image)):
            raise Refused(f"{self.namespace}: no pod runs {image}")
        for pod in pods:
            asked = ["python", "-", "http://127.0.0.1:8000", commit]
            self.kubectl("exec", "--stdin", pod, "-c", SERVICE, "--", *asked, stdin=script)

    def log(self) -> str:
        """The end of the pods' logs, or why there is none."""
        try:
            return self.kubectl("logs", *self._ours, "--tail=20", "--prefix", "--ignore-errors")
        except Refused as refusal:
            return str(refusal)

    def undo(self, before: Facts | None) -> str:
        """Go back to the revision that ran before, and say so."""
        if not (revision := annotations(before or {}).get(REVISION)):
            return f"Nothing ran in {self.namespace} before: there is nothing to go back to"
        try:
            self.kubectl("rollout", "undo", f"deployment/{self.name}", f"--to-revision={revision}")
            self.settled()
        except Refused as refusal:
            return f"Revision {revision} does not come back: {refusal}"
        return f"{self.namespace} runs revision {revision} again"


def annotations(found: Facts) -> dict[str, str]:
    """What is noted beside an object of the cluster."""
    return dict(found.get("metadata", {}).get("annotations", {}))


def image_of(pod: Facts) -> str:
    """The image of the service, among other containers that a cluster may have put beside it."""
    return str(next((it["image"] for it in pod["containers"] if it["name"] == SERVICE), ""))


def pinned(image: str) -> str:
    """The image by the digest that its registry gave it.  Refused where it was pushed nowhere."""
    told = ran("docker", "image", "inspect", "--format", "{{json .RepoDigests}}", image)
    repository = image.rpartition(":")[0].removeprefix("docker.io/")  # which Docker leaves out
    for found in json.loads(told):
        if found.startswith(f"{repository}@") and DIGEST.fullmatch(found):
            return str(found)
    raise Refused(f"{image}: has no digest, for no registry has it; REGISTRY=host/ names one")


def running(environment: str) -> tuple[str, str]:
    """The image that an environment is to run, and its commit.  Refused where it is no digest."""
    overlay = Overlay(environment)
    if (found := overlay.deployment()) is None:
        raise Refused(f"nothing runs in {overlay.namespace}; run: make stage")
    image = image_of(found["spec"]["template"]["spec"])
    if not DIGEST.fullmatch(image):
        raise Refused(f"{overlay.namespace} runs {image or 'nothing'}, no digest; run: make stage")
    return image, annotations(found).get(CAUSE, "")


def smoked(environment: str, image: str, commit: str) -> None:
    """The smoke test in each pod.  Refused where one fails, or another image comes or runs."""
    overlay = Overlay(environment)
    overlay.settled()
    overlay.smoke(image, commit)


def bring(environment: str, image: str, commit: str) -> None:
    """Roll an image out, and see that it answers.  Else the revision before is back: Refused."""
    overlay = Overlay(environment)
    before, manifests = overlay.deployment(), overlay.with_image(image, commit)
    try:
        overlay.kubectl("apply", "-f", "-", stdin=manifests)
        overlay.settled()
        overlay.smoke(image, commit)
    except Refused as refusal:
        log = overlay.log()
        raise Refused(f"{refusal}\nThe logs:\n{log}\n{overlay.undo(before)}") from refusal


def stop(environment: str) -> None:
    """End what runs there."""
    overlay = Overlay(environment)
    overlay.kubectl("delete", "deployment", overlay.name, "--ignore-not-found")
