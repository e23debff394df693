"""Trials and faults of deployment, beside other services of this machine.

The tracking server and its backups are tried without Docker: it is the same server, with the same
options, and the backup of the folder.
"""

import os
import re
import secrets
import shutil
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.delivery import list_command_words, read_registered_model, read_services
from mlops_ladder.maturity.sandbox import Copy, Done, last_line, require_network
from mlops_ladder.maturity.service import exchange_json, find_free_port, run_beside, UNREACHABLE
from mlops_ladder.maturity.trials.approval import approve_champion
from mlops_ladder.maturity.trials.project import find_failure

TIMEOUT_S = 900  # for building an image, or waiting until it is ready
OVERLAYS = "deploy/kubernetes/overlays"
COMPOSE = "deploy/compose"
DOWN = f"docker compose --file {COMPOSE}/serving.yaml down --volumes --timeout 5".split()
SERVER_TIMEOUT_S = 120  # until the tracking server answers
CREATE = "/api/2.0/mlflow/experiments/create"
SEARCH = "/api/2.0/mlflow/experiments/search"
BACKED_UP = ("mlruns", "mlartifacts", "models", "mlflow.db*", "promotions.jsonl")
# Breaches of the policies: module, text, its replacement, and a text that has to be printed.
BREACHES = [
    ("registry", "block_public_policy     = true", "block_public_policy     = false", "opens"),
    ("database", "publicly_accessible    = false", "publicly_accessible    = true", "internet"),
    ("database", "storage_encrypted = true", "storage_encrypted = false", "not encrypted"),
    ("deployer", '"ecr:BatchCheckLayerAvailability"', '"ecr:*"', "allows ecr:*"),
    ("deployer", "repo:${var.repository}:environment:${var.branch}", "repo:*", "other people"),
    ("deployer", "project_path:${var.repository}:", "project_path:*:", "other people"),
]


class Deployment:
    """A deployment with names, volumes and an address of its own."""

    def __init__(self, copy: Copy) -> None:
        self.copy, self.name, self.port = copy, f"maturity-{secrets.token_hex(4)}", find_free_port()
        self.environment = {
            "DOCKER_CONFIG": os.environ.get("DOCKER_CONFIG") or str(Path.home() / ".docker"),
            "COMPOSE_PROJECT_NAME": self.name,
            "ADDRESS": f"127.0.0.1:{self.port}",
            "STAGING_ADDRESS": f"127.0.0.1:{find_free_port()}",
        }

    def run(self, *command: str, **more: str) -> Done:
        """Run a command with the names and addresses of this deployment."""
        return self.copy.run(*command, timeout=TIMEOUT_S, **self.environment | more)

    def make(self, target: str, **more: str) -> Done:
        """Run a target, with images under a name of their own."""
        return self.run("make", target, f"REGISTRY={self.name}/", **more)

    def ask(self, path: str) -> tuple[int, Any]:
        """Return the status and the answer behind the proxy."""
        status, answer = exchange_json(HTTPConnection("127.0.0.1", self.port, timeout=30), path)
        return status, answer

    @property
    def commit(self) -> Any:
        """Return the commit in the answer of /version behind the proxy."""
        _, answer = self.ask("/version")
        return answer.get("commit") if isinstance(answer, dict) else answer

    @property
    def is_serving(self) -> bool:
        """Return whether a service answers behind the proxy."""
        return bool(self.ask("/health")[0])

    def remove(self) -> None:
        """Remove every container, volume and image of this deployment."""
        if (self.copy.root / COMPOSE).is_dir():
            for name in (self.name, f"{self.name}-staging"):
                self.run(*DOWN, COMPOSE_PROJECT_NAME=name)
        listed = self.run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}").stdout
        for image in listed.split():
            if image.startswith(self.name):
                self.run("docker", "image", "rm", "--force", image)


@contextmanager
def own_deployment(copy: Copy) -> Iterator[Deployment]:
    """Yield a deployment that is removed in the end.  Raise Unknown without Docker."""
    deployment = Deployment(copy)
    if deployment.run("docker", "info").returncode:
        raise Unknown("no docker")
    for path in (copy.root / COMPOSE).glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        own = re.sub(r"(image: )[^\s$]+:(blue|green)\b", rf"\g<1>{deployment.name}:\2", text)
        path.write_text(own, encoding="utf-8")
    try:
        yield deployment
    finally:
        deployment.remove()


def deploy_broken_image(copy: Copy) -> Iterator[str]:
    """Deploy; then commit an image that never becomes ready, and deploy again."""
    with own_deployment(copy) as deployment:
        copy.need("pipeline-smoke")
        if not (copy.root / COMPOSE).is_dir():
            yield from start_image_alone(deployment)
        approve_champion(copy)
        done, commit = require_network(deployment.make("deploy")), current_commit(copy)
        if done.returncode or deployment.commit != commit:
            served = f"/version names {deployment.commit}, not {commit[:12]}"
            yield f"make deploy: {last_line(done)}; {served}"
            return
        copy.plant("Dockerfile", 'CMD ["ladder", "serve"]', 'CMD ["sleep", "3600"]')
        copy.must("git", "commit", "--all", "--quiet", "--no-verify", "-m", "Never ready")
        if deployment.make("deploy").returncode == 0:
            yield "make deploy: ends with 0, though the image never becomes ready"
        if deployment.commit != commit:
            yield f"/version: {deployment.commit} after an image that never became ready"
        copy.must("git", "reset", "--quiet", "--hard", commit)


def current_commit(copy: Copy) -> str:
    """Return the commit of the copy."""
    return copy.must("git", "rev-parse", "HEAD").strip()


def start_image_alone(deployment: Deployment) -> Iterator[str]:
    """Start only the image: no fault is planted in a cluster."""
    if (done := require_network(deployment.make("smoke"))).returncode:
        yield f"make smoke: {last_line(done)}"
    raise Unknown("a cluster of its own is needed to deploy to: only the image was tried")


def promote_image(copy: Copy) -> Iterator[str]:
    """Bring the commit to staging, and on to production; for a cluster, compare the overlays."""
    if (copy.root / OVERLAYS).is_dir():
        if (done := compare_overlays(copy)).returncode:
            yield f"make overlays: {last_line(done)}"
        raise Unknown("a cluster of its own is needed to promote in: the overlays were compared")
    with own_deployment(copy) as deployment:
        copy.need("pipeline-smoke")
        if (done := require_network(deployment.make("stage"))).returncode:
            yield f"make stage: {last_line(done)}"
        elif deployment.is_serving:
            yield "make stage: production serves already"
        elif copy.run("make", "approved").returncode and not deployment.make("promote").returncode:
            yield "make promote: production gets a model that nobody has approved"
        elif reason := approve_champion(copy):
            yield f"make approve: {reason}"
        else:
            done = deployment.make("promote")
            if done.returncode or deployment.commit != current_commit(copy):
                yield f"make promote: {last_line(done)}; /version names {deployment.commit}"


def promote_broken_image(copy: Copy) -> Iterator[str]:
    """Promote while staging asks for a key that is not sent; for a cluster, change the overlays."""
    if (copy.root / OVERLAYS).is_dir():
        name = f"{OVERLAYS}/production/kustomization.yaml"
        copy.plant(name, "resources:", "nameSuffix: -other\nresources:")
        if compare_overlays(copy).returncode == 0:
            yield "make overlays: ends with 0, though production has other names than staging"
        return
    with own_deployment(copy) as deployment:
        copy.need("pipeline-smoke")
        key = copy.must("make", "--silent", "key", "NAME=fault").partition("\n")[0]
        if (done := require_network(deployment.make("stage", KEY=key))).returncode:
            raise Unknown(f"make stage: {last_line(done)}")
        approve_champion(copy)
        if deployment.make("promote").returncode == 0:
            yield "make promote: ends with 0, though staging answers nobody"
        if deployment.is_serving:
            yield "make promote: production serves the image, though staging does not answer"


def compare_overlays(copy: Copy) -> Done:
    """Compare the overlays.  Raise Unknown without kubectl."""
    copy.run("kubectl", "version", "--client")
    return require_network(copy.run("make", "overlays"))


def break_policy(copy: Copy) -> dict[str, str]:
    """Plant a random breach of the policies for the forge in use."""
    forge = str(copy.original.answers.get("ci"))
    other = {"github": "project_path", "gitlab": "repo:"}.get(forge, "none")
    chosen = [breach for breach in BREACHES if other not in breach[1]]
    module, old, new, output = copy.random.choice(chosen)
    name = f"deploy/infra/{module}/main.tf"
    copy.plant(name, old, new)
    return {"file": name, "new": new, "breach": output}


def make_backup(copy: Copy) -> Path:
    """Return a backup of the records of the pipeline."""
    copy.need("pipeline-smoke")
    copy.must("make", "backup")
    return max((copy.root / "backups").iterdir())


def restore_backup(copy: Copy) -> Iterator[str]:
    """Delete everything after a backup, bring it back, and ask the registry and the model."""
    folder = make_backup(copy)
    before = read_registered_model(copy.repository)
    for path in (path for pattern in BACKED_UP for path in copy.root.glob(pattern)):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    done = copy.run("make", "recover", f"FROM={folder}")
    if done.returncode:
        yield f"make recover: {last_line(done)}"
        return
    if read_registered_model(copy.repository) != before:
        yield "make recover: the registry is not what it was"
    for target in ("registry", "predict"):
        yield from find_failure(copy, "make", target)


def restore_damaged_backup(copy: Copy) -> Iterator[str]:
    """Change a byte of a backup, and restore it over what is there."""
    folder = make_backup(copy)
    names = sorted(path.name for path in folder.iterdir() if path.name != "manifest.json")
    path = folder / copy.random.choice(names)
    content = bytearray(path.read_bytes())
    content[copy.random.randrange(len(content))] ^= 1
    path.write_bytes(content)
    database = copy.root / "mlflow.db"
    before = database.read_bytes()
    done = copy.run("make", "recover", f"FROM={folder}", "OVERWRITE=yes")
    if done.returncode == 0:
        yield f"make recover: {path.name} was changed in the backup, and nobody sees it"
    elif database.read_bytes() != before:
        yield "make recover: refuses a damaged backup, and has changed mlflow.db all the same"


def server_command(copy: Copy, port: int) -> list[str]:
    """Return the command of the tracking server, with a database and files of the copy."""
    tracking = read_services(copy.repository, "deploy/stack/tracking.yaml").values()
    command = next((words for words in map(list_command_words, tracking) if "mlflow" in words), [])
    if not command:
        raise Unknown("deploy/stack/tracking.yaml: no server of MLflow")
    own = {"backend-store-uri": "sqlite:///shared.db", "artifacts-destination": "shared"}
    own |= {"host": "127.0.0.1", "port": str(port), "workers": "1"}
    rest = [word for word in command[1:] if word.split("=")[0][2:] not in {*own, "allowed-hosts"}]
    program = str(copy.root / ".venv/bin/mlflow")
    return [program, *rest, *(f"--{name}={value}" for name, value in own.items())]


def write_without_password(copy: Copy) -> Iterator[str]:
    """Start the server as the stack does; write without the password, with another, with it."""
    port, key = find_free_port(), secrets.token_urlsafe(24)
    users = "database_uri = sqlite:///users.db"
    copy.write("users.ini", re.sub("database_uri = .*", users, copy.text("deploy/stack/auth.ini")))
    environment = {"MLFLOW_AUTH_CONFIG_PATH": "users.ini", "MLFLOW_AUTH_ADMIN_USERNAME": "pipeline"}
    environment |= {"MLFLOW_AUTH_ADMIN_PASSWORD": key, "MLFLOW_FLASK_SERVER_SECRET_KEY": key}
    with run_beside(copy, *server_command(copy, port), **environment) as process:
        wait_for_server(port, process, key)
        for case, headers, right in (
            ("without a password", {}, 401),
            ("with a wrong password", basic_auth("password1234"), 401),
            ("with the password", basic_auth(key), 200),
        ):
            connection = HTTPConnection("127.0.0.1", port)
            status, _ = exchange_json(connection, CREATE, {"name": case}, **headers)
            if status != right:
                yield f"{CREATE}: {status} {case}, {right} is right"


def basic_auth(password: str) -> dict[str, str]:
    """Return the header of the user `pipeline` with this password."""
    return {"Authorization": "Basic " + b64encode(f"pipeline:{password}".encode()).decode()}


def wait_for_server(port: int, process: "subprocess.Popen[bytes]", key: str) -> None:
    """Wait until the server answers.  Raise Unknown if it does not."""
    until = time.monotonic() + SERVER_TIMEOUT_S
    while process.poll() is None and time.monotonic() < until:
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        if exchange_json(connection, SEARCH, {}, **basic_auth(key))[0] != UNREACHABLE:
            return
        time.sleep(0.2)
    raise Unknown("the tracking server does not start")
