"""Tried and planted: the image and its deployment, beside whatever runs on this machine."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from secrets import token_hex
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.sandbox import Copy, Done, last, reached
from mlops_ladder.maturity.service import asked, free_port
from mlops_ladder.maturity.trials.approval import champion, OTHER, worker

PATIENCE = 900  # seconds in which an image is built, or does not become ready
PRODUCTION = "deploy/kubernetes/overlays/production/kustomization.yaml"


class Place:
    """A deployment with names, volumes and an address of its own."""

    def __init__(self, copy: Copy) -> None:
        self.copy, self.own, self.port = copy, f"maturity-{token_hex(4)}", free_port()
        home = os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker")
        self.more = {"DOCKER_CONFIG": home, "COMPOSE_PROJECT_NAME": self.own}
        self.more["ADDRESS"] = f"127.0.0.1:{self.port}"
        self.more["STAGING_ADDRESS"] = f"127.0.0.1:{free_port()}"

    def run(self, *command: str, **more: str) -> Done:
        """How a command ended that is to leave the user's deployment alone."""
        return self.copy.run(*command, timeout=PATIENCE, **self.more | more)

    def make(self, target: str, **more: str) -> Done:
        """How a target ended, with images under a name of their own."""
        return self.run("make", target, f"REGISTRY={self.own}/", **more)

    @property
    def commit(self) -> Any:
        """What /version says behind the proxy."""
        _, said = asked(HTTPConnection("127.0.0.1", self.port, timeout=30), "/version")
        return said.get("commit") if isinstance(said, dict) else said

    @property
    def serves(self) -> bool:
        """Does anybody answer behind the proxy?"""
        status, _ = asked(HTTPConnection("127.0.0.1", self.port, timeout=30), "/health")
        return bool(status)

    def clear(self) -> None:
        """Leave nothing behind: no container, no volume, no image."""
        if (self.copy.root / "deploy/compose").is_dir():
            down = (
                "docker",
                "compose",
                "--file",
                "deploy/compose/serving.yaml",
                "down",
                "--volumes",
            )
            for name in (self.own, f"{self.own}-staging"):
                self.run(*down, "--timeout", "5", COMPOSE_PROJECT_NAME=name)
        listed = self.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout
        for image in listed.split():
            if image.startswith(self.own):
                self.run("docker", "image", "rm", "--force", image)


@contextmanager
def place(copy: Copy) -> Iterator[Place]:
    """A place to deploy to, cleared in the end.  Unknown where there is no Docker."""
    found = Place(copy)
    if found.run("docker", "info").returncode:
        raise Unknown("no docker")
    for path in (copy.root / "deploy/compose").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        own = re.sub(r"(image: )[^\s$]+:(blue|green)\b", rf"\g<1>{found.own}:\2", text)
        path.write_text(own, encoding="utf-8")
    try:
        yield found
    finally:
        found.clear()


@fault("cd.deploy", "what runs is the commit; an image that does not get ready is not switched to")
def switched(copy: Copy) -> Iterator[str]:
    """Deploy, then plant a service that finds no model, commit it, and deploy again."""
    with place(copy) as there:
        copy.need("rehearse")
        if not (copy.root / "deploy/compose").is_dir():
            yield from image_alone(there)
        consent(copy)
        done, commit = reached(there.make("deploy")), head(copy)
        if done.returncode or there.commit != commit:
            yield f"make deploy: {last(done)}; /version names {there.commit}, not {commit[:12]}"
            return
        copy.plant("Dockerfile", 'CMD ["ladder", "serve"]', 'CMD ["sleep", "3600"]')
        copy.must("git", "commit", "--all", "--quiet", "--no-verify", "-m", "Never ready")
        if there.make("deploy").returncode == 0:
            yield "make deploy: ends with 0, though the image never becomes ready"
        if there.commit != commit:
            yield f"/version: {there.commit} after an image that never became ready"
        copy.must("git", "reset", "--quiet", "--hard", commit)


def head(copy: Copy) -> str:
    """The commit that the copy is at."""
    return copy.must("git", "rev-parse", "HEAD").strip()


def image_alone(there: Place) -> Iterator[str]:
    """Start the image, and no more: a cluster is not a place to plant faults in."""
    if (done := reached(there.make("smoke"))).returncode:
        yield f"make smoke: {last(done)}"
    raise Unknown("a cluster of its own is needed to deploy to: only the image was tried")


@trial("cd.promote", "production gets the image that staging runs")
def promoted(copy: Copy) -> Iterator[str]:
    """Bring the commit to staging, and on to production; for a cluster, compare the overlays."""
    if (copy.root / "deploy/kubernetes/overlays").is_dir():
        if (done := overlaid(copy)).returncode:
            yield f"make overlays: {last(done)}"
        raise Unknown("a cluster of its own is needed to promote in: the overlays were compared")
    with place(copy) as there:
        copy.need("rehearse")
        if (done := reached(there.make("stage"))).returncode:
            yield f"make stage: {last(done)}"
        elif there.serves:
            yield "make stage: production serves already"
        elif copy.run("make", "approved").returncode and there.make("promote").returncode == 0:
            yield "make promote: production gets a model that nobody has approved"
        elif why := consent(copy):
            yield f"make approve: {why}"
        elif (done := there.make("promote")).returncode or there.commit != head(copy):
            yield f"make promote: {last(done)}; /version names {there.commit}"


@fault("cd.promote", "an image that does not predict in staging does not get to production")
def kept_out(copy: Copy) -> Iterator[str]:
    """Promote where staging wants a key that nobody gives; for a cluster: overlays that differ."""
    if (copy.root / "deploy/kubernetes/overlays").is_dir():
        copy.plant(PRODUCTION, "resources:", "nameSuffix: -other\nresources:")
        if overlaid(copy).returncode == 0:
            yield "make overlays: ends with 0, though production has other names than staging"
        return
    with place(copy) as there:
        copy.need("rehearse")
        key = copy.must("make", "--silent", "key", "NAME=fault").partition("\n")[0]
        if (done := reached(there.make("stage", KEY=key))).returncode:
            raise Unknown(f"make stage: {last(done)}")
        consent(copy)
        if there.make("promote").returncode == 0:
            yield "make promote: ends with 0, though staging answers nobody"
        if there.serves:
            yield "make promote: production serves what staging did not answer with"


def consent(copy: Copy) -> str:
    """Let somebody else approve the champion, where that is asked for; why they cannot."""
    if not copy.repository.own("registry.approval"):
        return ""
    done = copy.run("make", "approve", f"VERSION={champion(copy)}", **worker(copy, OTHER))
    return last(done) if done.returncode else ""


def overlaid(copy: Copy) -> Done:
    """How the comparison of the overlays ended.  Unknown where there is no kubectl."""
    copy.run("kubectl", "version", "--client")
    return reached(copy.run("make", "overlays"))
