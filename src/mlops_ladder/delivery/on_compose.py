"""Staging and production as two Compose projects of this machine: release.py asks for them.

Staging is the project of production with `-staging` behind its name, on STAGING_ADDRESS
(127.0.0.1:8001).  A digest here is the id of an image: sha256 of all that is in it.
"""

import json
import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

from mlops_ladder.delivery import compose as deployment
from mlops_ladder.delivery.compose import compose, docker, Refused

SETTINGS = Path("config/access.toml")
LABEL = '{{index .Config.Labels "org.opencontainers.image.revision"}}'


@contextmanager
def at(environment: str) -> Iterator[None]:
    """Have what is said to Compose be said to this environment."""
    before = dict(os.environ)
    if environment == "staging":
        name = json.loads(compose("config", "--format", "json"))["name"]
        address = os.environ.get("STAGING_ADDRESS") or "127.0.0.1:8001"
        os.environ |= {"COMPOSE_PROJECT_NAME": f"{name}-staging", "ADDRESS": address}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def pinned(image: str) -> str:
    """The id of an image."""
    return docker("image", "inspect", "--format", "{{.Id}}", image)


def held(environment: str) -> tuple[str, str]:
    """The place that gets the traffic, and the id of its image.  Refused where there is none."""
    services = compose("ps", "--services", "--status", "running").split()
    place = deployment.serving() if "proxy" in services else ""
    if not place:
        raise Refused(f"nothing runs in {environment}; run: make stage")
    copies = compose("ps", "--quiet", place).split()
    images = set(docker("inspect", "--format", "{{.Image}}", *copies).split())
    if len(images) != 1:
        raise Refused(f"{place} runs {len(images)} images; somebody else deploys there")
    return place, images.pop()


def running(environment: str) -> tuple[str, str]:
    """The id of the image that gets the traffic, and its commit.  Refused where none does."""
    with at(environment):
        _, image = held(environment)
        return image, docker("image", "inspect", "--format", LABEL, image)


def smoked(environment: str, image: str, commit: str) -> None:
    """The smoke test of an image where it runs.  Refused where it fails, or another one runs."""
    with at(environment):
        place, found = held(environment)
        if found != image:
            raise Refused(f"{environment} runs {found} by now; somebody else deploys there")
        deployment.asked(place, commit)


def bring(environment: str, image: str, commit: str) -> None:
    """Switch to an image, and only where it answers.  Else Refused, and what served goes on."""
    with at(environment):
        deployment.stay()
        guarded(environment)
        deployment.deploy(image, commit)


def guarded(environment: str) -> None:
    """Raises Refused where other machines would reach the service, and nobody needs a key."""
    ports = json.loads(compose("config", "--format", "json"))["services"]["proxy"]["ports"]
    reached = [port.get("host_ip", "0.0.0.0") for port in ports]
    others = [address for address in reached if not ip_address(address).is_loopback]
    access = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))["access"]
    meant = os.environ.get("PUBLIC") == "yes" or not access["open"]  # it then refuses by itself
    if not others or Path(access["key_file"]).exists() or meant:
        return
    raise Refused(
        f"{environment} would listen at {others[0]}, and whoever reaches it might ask;"
        " run: make key NAME=…   or, where that is meant, set PUBLIC=yes"
    )


def stop(environment: str) -> None:
    """End what runs there; its log of predictions stays."""
    with at(environment):
        compose("down")
