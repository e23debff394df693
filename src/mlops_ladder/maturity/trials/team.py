"""Tried and planted: the shared tracking server, and backups.

Without Docker: it is the same server, started by the same words, and the backup of the folder.
"""

import re
import secrets
import shutil
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.delivery import read_registered_model, read_services, list_command_words
from mlops_ladder.maturity.sandbox import Copy, last
from mlops_ladder.maturity.service import asked, free_port, running, UNREACHABLE

PATIENCE = 120  # seconds in which a server answers, or a run starts
MADE = "/api/2.0/mlflow/experiments/create"
GONE = ("mlruns", "mlartifacts", "models")


def kept(copy: Copy) -> Path:
    """A backup of what the pipeline has recorded in the copy."""
    copy.need("rehearse")
    copy.must("make", "backup")
    return max((copy.root / "backups").iterdir())


@trial("tracking.shared", "a backup that was brought back answers for the champion")
def restored(copy: Copy) -> Iterator[str]:
    """Keep it, lose all of it, bring it back, ask the registry and the model."""
    place = kept(copy)
    before = read_registered_model(copy.repository)
    for name in GONE:
        shutil.rmtree(copy.root / name, ignore_errors=True)
    for path in (*copy.root.glob("mlflow.db*"), copy.root / "promotions.jsonl"):
        path.unlink(missing_ok=True)
    done = copy.run("make", "recover", f"FROM={place}")
    if done.returncode:
        yield f"make recover: {last(done)}"
        return
    if read_registered_model(copy.repository) != before:
        yield "make recover: the registry is not what it was"
    for target in ("registry", "predict"):
        if (done := copy.run("make", target)).returncode:
            yield f"make {target}: {last(done)}, after a backup was brought back"


@fault("tracking.shared", "a backup that was damaged is refused, and nothing is changed")
def damaged(copy: Copy) -> Iterator[str]:
    """Change a byte of one of its files, and bring it back over what is there."""
    place = kept(copy)
    path = copy.random.choice(sorted(it for it in place.iterdir() if it.name != "manifest.json"))
    content = bytearray(path.read_bytes())
    content[copy.random.randrange(len(content))] ^= 1
    path.write_bytes(content)
    held = copy.root / "mlflow.db"
    before = held.read_bytes()
    done = copy.run("make", "recover", f"FROM={place}", "OVERWRITE=yes")
    if done.returncode == 0:
        yield f"make recover: {path.name} was changed in the backup, and nobody sees it"
    elif held.read_bytes() != before:
        yield "make recover: refuses a damaged backup, and has changed mlflow.db all the same"


def server(copy: Copy, port: int) -> list[str]:
    """The command of the tracking server, with a database and files of the copy."""
    tracking = read_services(copy.repository, "deploy/stack/tracking.yaml").values()
    command = next(
        (list_command_words(it) for it in tracking if "mlflow" in list_command_words(it)), []
    )
    if not command:
        raise Unknown("deploy/stack/tracking.yaml: no server of MLflow")
    own = {"backend-store-uri": "sqlite:///shared.db", "artifacts-destination": "shared"}
    own |= {"host": "127.0.0.1", "port": str(port), "workers": "1"}
    rest = [it for it in command[1:] if it.split("=")[0][2:] not in {*own, "allowed-hosts"}]
    program = str(copy.root / ".venv/bin/mlflow")
    return [program, *rest, *(f"--{name}={value}" for name, value in own.items())]


@fault("tracking.shared", "who has no password writes nothing to the shared server")
def anonymous(copy: Copy) -> Iterator[str]:
    """Start the server as the stack does; write without the password, with another, with it."""
    port, key = free_port(), secrets.token_urlsafe(24)
    users = re.sub("database_uri = .*", "database_uri = sqlite:///users.db", auth(copy))
    (copy.root / "users.ini").write_text(users, encoding="utf-8")
    environment = {"MLFLOW_AUTH_CONFIG_PATH": "users.ini", "MLFLOW_AUTH_ADMIN_USERNAME": "pipeline"}
    environment |= {"MLFLOW_AUTH_ADMIN_PASSWORD": key, "MLFLOW_FLASK_SERVER_SECRET_KEY": key}
    with running(copy, *server(copy, port), **environment) as process:
        write(port, process, key)
        for said, sent, wanted in (
            ("without a password", {}, 401),
            ("with a wrong password", basic("password1234"), 401),
            ("with the password", basic(key), 200),
        ):
            status, _ = asked(HTTPConnection("127.0.0.1", port), MADE, {"name": said}, **sent)
            if status != wanted:
                yield f"{MADE}: {status} {said}, {wanted} is right"


def auth(copy: Copy) -> str:
    """What says who may do what."""
    return copy.repository.text("deploy/stack/auth.ini")


def basic(key: str) -> dict[str, str]:
    """The header of the user `pipeline` with this password."""
    return {"Authorization": "Basic " + b64encode(f"pipeline:{key}".encode()).decode()}


def write(port: int, process: "subprocess.Popen[bytes]", key: str) -> None:
    """Wait until the server answers.  Unknown where it does not."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        to = HTTPConnection("127.0.0.1", port, timeout=30)
        if asked(to, "/api/2.0/mlflow/experiments/search", {}, **basic(key))[0] != UNREACHABLE:
            return
        time.sleep(0.2)
    raise Unknown("the tracking server does not start")
