"""The team's stack, by Docker Compose: each file of deploy/stack/, and what watches the service.

Secrets come from the environment, else from deploy/stack/.env, which `secrets` makes.
ladder stack secrets | up | down | check
"""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from mlops_ladder.files import write_synced_file

ENV = Path("deploy/stack/.env")
ASKED = re.compile(r"\$\{([A-Z_]+):\?")
SECRET = re.compile(r"PASSWORD|SECRET")
SOUND = re.compile(r"[A-Za-z0-9_-]{16,}")  # nothing that a URL or a file of settings would read
WEAK = re.compile(r"password|changeme|default|example|qwerty|123456|secret|admin", re.I)
FEWEST = 8  # different characters
BUILT = "STACK_IMAGE"  # what `make stack` sets
ADDRESS = r"(?:\w+://(?:[^@/]+@)?(?P<host>[^/:]+)(?::\d+)?/+|(?:[^@/:]+@)?(?P<name>[^/:]{2,}):)"
ORIGIN = re.compile(ADDRESS + r"(?P<path>.+?)(?:\.git)?/?")


class Refused(Exception):
    """What is not done, why, and what to do."""


def files() -> list[Path]:
    """The compose files that are here: without one of them the rest still works."""
    paths = [*sorted(Path("deploy/stack").glob("*.yaml")), Path("monitoring/compose.yaml")]
    return [path for path in paths if path.exists()]


def wanted() -> list[str]:
    """What these files ask for, and nothing stands in for."""
    found = {name for path in files() for name in ASKED.findall(path.read_text(encoding="utf-8"))}
    return sorted(found - {BUILT})


def settings() -> dict[str, str]:
    """What is set: the environment, and for all else deploy/stack/.env."""
    lines = ENV.read_text(encoding="utf-8").splitlines() if ENV.exists() else []
    pairs = [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    return {name: value.strip("\"'") for name, value in pairs} | dict(os.environ)


def make_secrets() -> None:
    """Write what deploy/stack/.env lacks, at random, readable by you alone; change no other."""
    text = ENV.read_text(encoding="utf-8") if ENV.exists() else "# Secrets of the stack: keep it.\n"
    text += "" if text.endswith("\n") else "\n"
    missing = [name for name in wanted() if not re.search(f"^{name}=", text, re.MULTILINE)]
    for name in missing:
        text += f"{name}={secrets.token_urlsafe(32) if SECRET.search(name) else ''}\n"
    write_secrets(text)
    empty = [name for name in wanted() if not settings().get(name)]
    print(f"{ENV}: {', '.join(missing) or 'nothing'} added")
    if empty:
        print(f"To be set by you: {', '.join(empty)}")


def write_secrets(text: str) -> None:
    """Have this text in deploy/stack/.env, whole or not at all.  Refused where the disk is full."""
    place = ENV.resolve()
    part = place.with_name(".env.part")
    try:
        part.unlink(missing_ok=True)
        write_synced_file(part, text.encode(), 0o600)
        part.replace(place)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Refused(f"{ENV}: {error.strerror}; what was there is as it was") from error


def faults(found: dict[str, str]) -> list[str]:
    """What is wrong with the secrets: none, or one that somebody could guess."""
    wrong = []
    for name in wanted():
        value = found.get(name, "")
        if not value:
            wrong.append(f"{name}: not set; `make secrets` makes {ENV}, where it belongs")
        elif SECRET.search(name) and not strong(value):
            wrong.append(f"{name}: guessable; 16 and more of letters, digits, - and _, at random")
    return wrong


def strong(value: str) -> bool:
    """Is it long, and neither a known one nor nearly always the same character?"""
    letters = re.sub("[-_]", "", value)
    return bool(SOUND.fullmatch(value)) and not WEAK.search(letters) and len(set(value)) >= FEWEST


def check() -> None:
    """Raises Refused that lists what is wrong; with DEVELOPMENT=yes a guessable one is allowed."""
    wrong = faults(settings())
    if os.environ.get("DEVELOPMENT") == "yes":
        wrong = [line for line in wrong if "guessable" not in line]
    if wrong:
        raise Refused("\n  ".join(["secrets:", *wrong]))


def docker(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
    """How docker ended.  Raises Refused, with what it said, where it failed."""
    try:
        done = subprocess.run(["docker", *arguments], check=False, **options)
    except FileNotFoundError as error:
        raise Refused("docker: not installed; https://docs.docker.com/engine/install") from error
    if done.returncode:
        said = (done.stderr or b"").decode(errors="replace").strip()
        if "unknown flag: --" in said:
            said = "docker compose: not installed; https://docs.docker.com/compose/install"
        raise Refused(f"docker {' '.join(arguments[-4:])}: {said or 'it says why above'}")
    return done


def compose(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
    """How docker compose ended for the stack."""
    os.environ.setdefault("COMPOSE_IGNORE_ORPHANS", "true")  # the service has a file of its own
    os.environ.setdefault(BUILT, "not-built")
    os.environ.setdefault("REPOSITORY", settings().get("REPOSITORY") or repository())
    where = [word for path in files() for word in ("--file", str(path))]
    secret = ["--env-file", str(ENV)] if ENV.exists() else []
    return docker("compose", *secret, *where, *arguments, **options)


def repository() -> str:
    """Where a browser reads the files of git's `origin`; nothing where it is no address."""
    told = ["git", "remote", "get-url", "origin"]
    origin = subprocess.run(told, check=False, capture_output=True, text=True).stdout.strip()
    found = ORIGIN.fullmatch(origin)
    blob = "-/blob" if Path(".gitlab-ci.yml").exists() else "blob"
    if not found:
        return ""
    return f"https://{found['host'] or found['name']}/{found['path']}/{blob}/HEAD/"


def up() -> None:
    """Start all of it, and wait until all of it is well."""
    check()
    compose("up", "--detach", "--wait", "--wait-timeout", "600")
    compose("ps")


def down() -> None:
    """Stop it; what it keeps stays in its volumes."""
    unset = {name: "-" for name in wanted() if not settings().get(name)}
    os.environ.update(unset)  # to stop something no secret is needed
    compose("rm", "--stop", "--force")


def main(arguments: list[str]) -> None:
    """Do what is asked for with the stack.  SystemExit with the reason if it is refused."""
    known = {"secrets": make_secrets, "up": up, "down": down, "check": check}
    if len(arguments) != 1 or arguments[0] not in known:
        sys.exit("usage: ladder stack secrets | up | down | check")
    try:
        known[arguments[0]]()
    except Refused as refused:
        sys.exit(f"Refused: {refused}")
