"""The team's stack, by Docker Compose: each file of deploy/stack/, and monitoring/compose.yaml.

Secrets come from the environment, else from deploy/stack/.env, which `secrets` writes.
ladder stack secrets | up | down | check
"""

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from mlops_ladder.delivery.compose import Refused
from mlops_ladder.files import write_synced_file

ENV = Path("deploy/stack/.env")
REQUIRED = re.compile(r"\$\{([A-Z_]+):\?")
SECRET = re.compile(r"PASSWORD|SECRET")
LONG = re.compile(r"[A-Za-z0-9_-]{16,}")  # nothing that a URL or a file of settings would interpret
WEAK = re.compile(r"password|changeme|default|example|qwerty|123456|secret|admin", re.I)
MIN_CHARACTERS = 8  # different ones in a secret
BUILT = "STACK_IMAGE"  # set by `make stack`
ADDRESS = r"(?:\w+://(?:[^@/]+@)?(?P<host>[^/:]+)(?::\d+)?/+|(?:[^@/:]+@)?(?P<name>[^/:]{2,}):)"
ORIGIN = re.compile(ADDRESS + r"(?P<path>.+?)(?:\.git)?/?")


def list_compose_files() -> list[Path]:
    """Return the compose files that are here: without one of them the rest still works."""
    paths = [*sorted(Path("deploy/stack").glob("*.yaml")), Path("monitoring/compose.yaml")]
    return [path for path in paths if path.exists()]


def list_required_variables() -> list[str]:
    """Return the variables that these files require."""
    texts = [path.read_text(encoding="utf-8") for path in list_compose_files()]
    return sorted({name for text in texts for name in REQUIRED.findall(text)} - {BUILT})


def read_variables() -> dict[str, str]:
    """Return the variables of deploy/stack/.env; the environment overrides them."""
    lines = ENV.read_text(encoding="utf-8").splitlines() if ENV.exists() else []
    pairs = [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    return {name: value.strip("\"'") for name, value in pairs} | dict(os.environ)


def list_unset_variables() -> list[str]:
    """Return the required variables without a value."""
    values = read_variables()
    return [name for name in list_required_variables() if not values.get(name)]


def make_secrets() -> None:
    """Add the missing random secrets to deploy/stack/.env, readable by you alone."""
    text = ENV.read_text(encoding="utf-8") if ENV.exists() else "# Secrets of the stack: keep it.\n"
    text += "" if text.endswith("\n") else "\n"
    required = list_required_variables()
    missing = [name for name in required if not re.search(f"^{name}=", text, re.MULTILINE)]
    for name in missing:
        text += f"{name}={secrets.token_urlsafe(32) if SECRET.search(name) else ''}\n"
    write_secrets(text)
    print(f"{ENV}: {', '.join(missing) or 'nothing'} added")
    if unset := list_unset_variables():
        print(f"To be set by you: {', '.join(unset)}")


def write_secrets(text: str) -> None:
    """Write deploy/stack/.env whole, or raise Refused and leave it as it was."""
    path = ENV.resolve()
    part = path.with_name(".env.part")
    try:
        part.unlink(missing_ok=True)
        write_synced_file(part, text.encode(), 0o600)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise Refused(f"{ENV}: {error.strerror}; what was there is as it was") from error


def is_strong(value: str) -> bool:
    """Return whether a secret is long, not well-known, and of many different characters."""
    letters = re.sub("[-_]", "", value)
    is_varied = len(set(value)) >= MIN_CHARACTERS
    return bool(LONG.fullmatch(value)) and not WEAK.search(letters) and is_varied


def check_secrets() -> None:
    """Raise Refused that lists the missing and weak secrets; DEVELOPMENT=yes allows weak ones."""
    unset = f"not set; `make secrets` makes {ENV}, where it belongs"
    allows_weak = os.environ.get("DEVELOPMENT") == "yes"
    weak = "guessable; 16 and more of letters, digits, - and _, at random"
    faults, values = [], read_variables()
    for name in list_required_variables():
        if not values.get(name):
            faults.append(f"{name}: {unset}")
        elif SECRET.search(name) and not is_strong(values[name]) and not allows_weak:
            faults.append(f"{name}: {weak}")
    if faults:
        raise Refused("\n  ".join(["secrets:", *faults]))


def run_compose(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
    """Run docker compose for the stack.  Raise Refused with its message if it fails."""
    os.environ.setdefault("COMPOSE_IGNORE_ORPHANS", "true")  # the service has a file of its own
    os.environ.setdefault(BUILT, "not-built")
    os.environ.setdefault("REPOSITORY", read_variables().get("REPOSITORY") or find_repository())
    files = [word for path in list_compose_files() for word in ("--file", str(path))]
    secret = ["--env-file", str(ENV)] if ENV.exists() else []
    try:
        command = ["docker", "compose", *secret, *files, *arguments]
        done = subprocess.run(command, check=False, **options)
    except FileNotFoundError as error:
        raise Refused("docker: not installed; https://docs.docker.com/engine/install") from error
    if done.returncode:
        message = (done.stderr or b"").decode(errors="replace").strip()
        if "unknown flag: --" in message:
            message = "docker compose: not installed; https://docs.docker.com/compose/install"
        reason = message or "it says why above"
        raise Refused(f"docker {' '.join(command[-4:])}: {reason}")
    return done


def find_repository() -> str:
    """Return the web address of the files of git's `origin`, or ""."""
    command = ["git", "remote", "get-url", "origin"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    origin = ORIGIN.fullmatch(done.stdout.strip())
    if not origin:
        return ""
    blob = "-/blob" if Path(".gitlab-ci.yml").exists() else "blob"
    return f"https://{origin['host'] or origin['name']}/{origin['path']}/{blob}/HEAD/"


def start_stack() -> None:
    """Start all services, and return when all are healthy."""
    check_secrets()
    run_compose("up", "--detach", "--wait", "--wait-timeout", "600")
    run_compose("ps")


def stop_stack() -> None:
    """Stop all services; their volumes stay."""
    os.environ.update(dict.fromkeys(list_unset_variables(), "-"))  # stopping needs no secret
    run_compose("rm", "--stop", "--force")


def main(arguments: list[str]) -> None:
    """Do what the argument names.  End the program with the reason if that is refused."""
    actions = {"secrets": make_secrets, "up": start_stack, "down": stop_stack}
    actions["check"] = check_secrets
    if len(arguments) != 1 or arguments[0] not in actions:
        sys.exit("usage: ladder stack secrets | up | down | check")
    try:
        actions[arguments[0]]()
    except Refused as refused:
        sys.exit(f"Refused: {refused}")
