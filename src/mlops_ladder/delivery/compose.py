"""Deploy an image of the service on this machine, and switch to it only when it answers.

Two places, blue and green, are behind a proxy (deploy/compose/serving.yaml).  The image starts in
the one that is free; when it is ready, holds the commit and predicts, the traffic moves there, and
the old one ends.  If it does not, the old one goes on.   ladder deploy IMAGE COMMIT

Staging and production are two Compose projects, for which release.py asks.  Staging has `-staging`
behind the name of production, and the address STAGING_ADDRESS (127.0.0.1:8001).  A digest here is
the id of an image: sha256 of all that is in it.
"""

import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

from mlops_ladder.delivery.smoke import Failed, smoke, smoke_script

CHAMPION = Path("models/serving/champion.json")
OTHER = {"blue": "green", "green": "blue"}
INSTALL = {
    "docker": "https://docs.docker.com/engine/install",
    "kubectl": "https://kubernetes.io/docs/tasks/tools",
}
SECONDS = "90"  # that an image gets to become ready
SETTINGS = Path("config/access.toml")
LABEL = '{{index .Config.Labels "org.opencontainers.image.revision"}}'


class Refused(Exception):
    """Why the traffic does not move, or nothing is rolled out, with what to see and to do."""


def ran(*command: str, stdin: str = "") -> str:
    """What a command prints.  Raises Refused with its words where it fails."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Refused(f"{command[0]}: not installed; {INSTALL[command[0]]}") from error
    if done.returncode:
        raise Refused((done.stdout + done.stderr).strip())
    return done.stdout.strip()


def docker(*arguments: str, stdin: str = "") -> str:
    """What docker prints.  Raises Refused with its words where it fails."""
    return ran("docker", *arguments, stdin=stdin)


def compose(*arguments: str, stdin: str = "") -> str:
    """What docker compose prints for the services of this project."""
    paths = sorted(Path("deploy/compose").glob("*.yaml"))
    files = [word for path in paths for word in ("-f", str(path))]
    return docker("compose", "--progress", "quiet", *files, *arguments, stdin=stdin)


def serving() -> str:
    """The place that gets the traffic and runs; nothing where none does."""
    marked = compose("exec", "-T", "proxy", "sh", "-c", "ls /data").split()
    place = "green" if "green" in marked else "blue"
    return place if place in compose("ps", "--services", "--status", "running").split() else ""


def start(place: str, image: str, commit: str) -> None:
    """Start the image in a place, and return once it predicts.  Else raises Refused."""
    docker("tag", image, compose("config", "--images", place))
    up = ["up", "--detach", "--no-deps", "--force-recreate", "--pull", "never", "--wait"]
    try:
        compose(*up, "--wait-timeout", SECONDS, place)
        asked(place, commit)
    except Refused as refusal:
        log = compose("logs", "--no-log-prefix", "--tail", "20", place)
        raise Refused(f"{refusal}\nThe end of its log:\n{log}") from refusal


def asked(place: str, commit: str) -> None:
    """The smoke test, inside a place: nobody else is asked.  Raises Refused where it fails."""
    local = ["python", "-", "http://127.0.0.1:8000", commit]
    key = ["--env", "KEY"] if "KEY" in os.environ else []
    compose("exec", "-T", *key, place, *local, stdin=smoke_script())


def move(place: str) -> None:
    """Move the traffic: the next request goes to this place."""
    command = ["touch"] if place == "green" else ["rm", "-f"]
    compose("exec", "-T", "proxy", *command, "/data/green")


def remove(place: str) -> None:
    """Let a place end what it was asked, stop it, and forget its image."""
    compose("rm", "--stop", "--force", place)
    docker("image", "rm", compose("config", "--images", place))


def stay() -> None:
    """Unless ADDRESS names another one, the proxy stays at the address where it listens."""
    if not os.environ.get("ADDRESS"):
        with suppress(Refused):  # it does not run, or not by ADDRESS
            os.environ["ADDRESS"] = compose("port", "proxy", "8000")


def deploy(image: str, commit: str) -> None:
    """Bring the image into service.  Raises Refused, and lets the old one go on, where it fails."""
    if not CHAMPION.exists():
        raise Refused(f"{CHAMPION}: no champion, so /ready would answer 503; run: make pipeline")
    stay()
    compose("up", "--detach", "--wait", "proxy")
    old = serving()
    new = OTHER[old or "green"]
    print(f"{old or 'nothing'} serves; starting {image} in {new} ...", flush=True)
    began = time.monotonic()
    try:
        start(new, image, commit)
        print(f"{new} is ready after {time.monotonic() - began:.1f} s; the traffic moves")
        move(new)
        address = f"http://{compose('port', 'proxy', '8000')}"
        smoke(address, commit)
    except (Refused, Failed) as refusal:
        move(old or "blue")
        remove(new)
        raise Refused(f"{image}: {refusal}\n{old or 'Nothing'} goes on") from refusal
    if old:
        remove(old)
    print(f"{address} answers with {commit}.  Back: make deploy COMMIT=…")


def main(arguments: list[str]) -> None:
    """Deploy an image of a commit.  SystemExit with the reason if the traffic does not move."""
    if len(arguments) != 2:
        sys.exit("usage: ladder deploy IMAGE COMMIT")
    try:
        deploy(*arguments)
    except Refused as refused:
        sys.exit(f"Not switched: {refused}")


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
    place = serving() if "proxy" in services else ""
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
        asked(place, commit)


def bring(environment: str, image: str, commit: str) -> None:
    """Switch to an image, and only where it answers.  Else Refused, and what served goes on."""
    with at(environment):
        stay()
        guarded(environment)
        deploy(image, commit)


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
