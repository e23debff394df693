"""Deploy an image of the service on this machine, and switch to it only when it answers.

Two places, blue and green, are behind a proxy (deploy/compose/serving.yaml).  The image starts in
the free place.  When it is ready, holds the commit and predicts, the traffic moves there, and the
old container ends.  If it fails, the old one goes on.   ladder deploy IMAGE COMMIT

Staging and production are two Compose projects; release.py deploys to them.  Staging is named as
production with `-staging` behind it, and has the address STAGING_ADDRESS (127.0.0.1:8001).  A
digest here is the id of an image: a sha256 of its whole content.
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
from unittest.mock import patch

from mlops_ladder.delivery.smoke import Failed, smoke, smoke_script

CHAMPION = Path("models/serving/champion.json")
OTHER = {"blue": "green", "green": "blue"}
INSTALL = {
    "docker": "https://docs.docker.com/engine/install",
    "kubectl": "https://kubernetes.io/docs/tasks/tools",
}
START_TIMEOUT_S = "90"
SETTINGS = Path("config/access.toml")
LABEL = '{{index .Config.Labels "org.opencontainers.image.revision"}}'


class Refused(Exception):
    """The reason why nothing is deployed, with the way out."""


def run_tool(*command: str, stdin: str = "") -> str:
    """Return the output of a command.  Raise Refused with its message if it fails."""
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise Refused(f"{command[0]}: not installed; {INSTALL[command[0]]}") from error
    if done.returncode:
        raise Refused((done.stdout + done.stderr).strip())
    return done.stdout.strip()


def compose(*arguments: str, stdin: str = "") -> str:
    """Return the output of docker compose for the services of this project."""
    paths = sorted(Path("deploy/compose").glob("*.yaml"))
    files = [word for path in paths for word in ("-f", str(path))]
    return run_tool("docker", "compose", "--progress", "quiet", *files, *arguments, stdin=stdin)


def inspect_image(image: str, template: str) -> str:
    """Return a field of an image."""
    return run_tool("docker", "image", "inspect", "--format", template, image)


def list_running() -> list[str]:
    """Return the services that run."""
    return compose("ps", "--services", "--status", "running").split()


def find_serving_place() -> str:
    """Return the running place that gets the traffic, or ""."""
    marks = compose("exec", "-T", "proxy", "sh", "-c", "ls /data").split()
    place = "green" if "green" in marks else "blue"
    return place if place in list_running() else ""


def start_place(place: str, image: str, commit: str) -> None:
    """Start the image in a place, and return when it predicts.  Raise Refused if it does not."""
    run_tool("docker", "tag", image, compose("config", "--images", place))
    up = ["up", "--detach", "--no-deps", "--force-recreate", "--pull", "never", "--wait"]
    try:
        compose(*up, "--wait-timeout", START_TIMEOUT_S, place)
        smoke_inside(place, commit)
    except Refused as refusal:
        log = compose("logs", "--no-log-prefix", "--tail", "20", place)
        raise Refused(f"{refusal}\nThe end of its log:\n{log}") from refusal


def smoke_inside(place: str, commit: str) -> None:
    """Run the smoke test inside a place.  Raise Refused if it fails."""
    command = ["python", "-", "http://127.0.0.1:8000", commit]
    key = ["--env", "KEY"] if "KEY" in os.environ else []
    compose("exec", "-T", *key, place, *command, stdin=smoke_script())


def move_traffic(place: str) -> None:
    """Send the next request to this place."""
    command = ["touch"] if place == "green" else ["rm", "-f"]
    compose("exec", "-T", "proxy", *command, "/data/green")


def remove_place(place: str) -> None:
    """Let a place finish its requests, stop it, and untag its image."""
    compose("rm", "--stop", "--force", place)
    run_tool("docker", "image", "rm", compose("config", "--images", place))


def keep_address() -> None:
    """Keep the address where the proxy listens, unless ADDRESS names another one."""
    if not os.environ.get("ADDRESS"):
        with suppress(Refused):  # it does not run, or not by ADDRESS
            os.environ["ADDRESS"] = compose("port", "proxy", "8000")


def switch(image: str, commit: str) -> None:
    """Switch to an image.  Raise Refused, and keep the old container, if it does not answer."""
    if not CHAMPION.exists():
        raise Refused(f"{CHAMPION}: no champion, so /ready would answer 503; run: make pipeline")
    keep_address()
    compose("up", "--detach", "--wait", "proxy")
    old = find_serving_place()
    new = OTHER[old or "green"]
    print(f"{old or 'nothing'} serves; starting {image} in {new} ...", flush=True)
    start = time.monotonic()
    try:
        start_place(new, image, commit)
        print(f"{new} is ready after {time.monotonic() - start:.1f} s; the traffic moves")
        move_traffic(new)
        address = f"http://{compose('port', 'proxy', '8000')}"
        smoke(address, commit)
    except (Refused, Failed) as refusal:
        move_traffic(old or "blue")
        remove_place(new)
        raise Refused(f"{image}: {refusal}\n{old or 'Nothing'} goes on") from refusal
    if old:
        remove_place(old)
    print(f"{address} answers with {commit}.  Back: make deploy COMMIT=…")


def main(arguments: list[str]) -> None:
    """Deploy an image of a commit.  End the program with the reason if the traffic stays."""
    if len(arguments) != 2:
        sys.exit("usage: ladder deploy IMAGE COMMIT")
    try:
        switch(*arguments)
    except Refused as refused:
        sys.exit(f"Not switched: {refused}")


@contextmanager
def select_environment(environment: str) -> Iterator[None]:
    """Let Compose act on this environment."""
    with patch.dict(os.environ):
        if environment == "staging":
            name = json.loads(compose("config", "--format", "json"))["name"]
            address = os.environ.get("STAGING_ADDRESS") or "127.0.0.1:8001"
            os.environ |= {"COMPOSE_PROJECT_NAME": f"{name}-staging", "ADDRESS": address}
        yield


def pin_image(image: str) -> str:
    """Return the id of an image."""
    return inspect_image(image, "{{.Id}}")


def find_serving_image(environment: str) -> tuple[str, str]:
    """Return the place that gets the traffic, and its image.  Raise Refused if there is none."""
    place = find_serving_place() if "proxy" in list_running() else ""
    if not place:
        raise Refused(f"nothing runs in {environment}; run: make stage")
    containers = compose("ps", "--quiet", place).split()
    images = set(run_tool("docker", "inspect", "--format", "{{.Image}}", *containers).split())
    if len(images) != 1:
        raise Refused(f"{place} runs {len(images)} images; somebody else deploys there")
    return place, images.pop()


def find_running(environment: str) -> tuple[str, str]:
    """Return the image that gets the traffic, and its commit.  Raise Refused if there is none."""
    with select_environment(environment):
        _, image = find_serving_image(environment)
        return image, inspect_image(image, LABEL)


def check_running(environment: str, image: str, commit: str) -> None:
    """Run the smoke test.  Raise Refused if it fails, or another image runs by now."""
    with select_environment(environment):
        place, running = find_serving_image(environment)
        if running != image:
            raise Refused(f"{environment} runs {running} by now; somebody else deploys there")
        smoke_inside(place, commit)


def bring_image(environment: str, image: str, commit: str) -> None:
    """Switch an environment to an image, only if it answers.  Raise Refused if it does not."""
    with select_environment(environment):
        keep_address()
        refuse_open_service(environment)
        switch(image, commit)


def refuse_open_service(environment: str) -> None:
    """Raise Refused if other machines would reach a service that needs no API key."""
    ports = json.loads(compose("config", "--format", "json"))["services"]["proxy"]["ports"]
    addresses = [port.get("host_ip", "0.0.0.0") for port in ports]
    public = [address for address in addresses if not ip_address(address).is_loopback]
    access = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))["access"]
    is_meant = os.environ.get("PUBLIC") == "yes" or not access["open"]  # it then needs keys
    if public and not Path(access["key_file"]).exists() and not is_meant:
        raise Refused(
            f"{environment} would listen at {public[0]}, and every machine that reaches it could"
            " send requests; run: make key NAME=…   or, if that is meant, set PUBLIC=yes"
        )


def stop_environment(environment: str) -> None:
    """Stop the service; its log of predictions stays."""
    with select_environment(environment):
        compose("down")
