"""From staging to production: production gets the image that staging runs, signed if required.

`stage` brings an image to staging.  `promote` tests it there, and brings the same bytes to
production.  Each attempt is a line of deployments.jsonl.

A signature is of a statement on the digest of an image; git holds it in refs/attestations.  Only
Python's own library is needed: CI deploys without the project's environment.
"""

import getpass
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, UTC
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

from mlops_ladder import project, ProjectError
from mlops_ladder.delivery.smoke import Failed
from mlops_ladder.registry import ssh_signatures

SETTINGS = Path("config/signing.toml")
POINTER, SBOM = Path("models/serving/champion.json"), Path("reports/sbom.json")
REFS = "refs/attestations"
KIND = "image"
TRUE = {"true", "1", "yes", "on", "t", "y"}  # as pydantic reads it
STATEMENT = "https://in-toto.io/Statement/v1"
LOG, APPROVALS = Path("deployments.jsonl"), Path("config/approval.toml")
SIGNED_FROM = 4  # the level that brings signatures
ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN")  # who started a job of CI


def read_signing_settings() -> dict[str, Any]:
    """Return the section [signing], with what the environment overrides."""
    text = SETTINGS.read_text(encoding="utf-8") if SETTINGS.exists() else ""
    settings: dict[str, Any] = tomllib.loads(text).get("signing", {})
    start = f"{project.get_project().prefix}SIGNING__"
    own = {key: value for key, value in os.environ.items() if key.startswith(start)}
    settings |= {key.removeprefix(start).lower(): value for key, value in own.items()}
    settings["required"] = str(settings.get("required", False)).lower() in TRUE
    settings["signers"] = Path(settings.get("signers") or ssh_signatures.SIGNERS)
    return settings


def run_git(*arguments: str, stdin: str = "") -> str:
    """Return the output of git.  Raise ProjectError with its message if it fails."""
    command = ["git", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProjectError((done.stderr or done.stdout).strip())
    return done.stdout.strip()


def parse_digest(image: str) -> str:
    """Return the sha256 in the digest of an image.  Raise ProjectError without one."""
    digest = image.rpartition("sha256:")[2]
    if len(digest) != 64 or "sha256:" not in image:
        raise ProjectError(f"{image}: no digest; it cannot be signed or verified")
    return digest


def make_statement(image: str, commit: str) -> str:
    """Return the statement on an image: digest, commit, champion and bill of materials."""
    files = {path.name: path for path in (POINTER, SBOM) if path.exists()}
    digests = {name: sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    predicate = {"commit": run_git("rev-parse", f"{commit}^0"), "files": digests}
    predicate["time"] = datetime.now(UTC).isoformat(timespec="seconds")
    subject = {"name": image, "digest": {"sha256": parse_digest(image)}}
    kind = f"urn:{project.get_project().package}:image:v1"
    head = {"_type": STATEMENT, "subject": [subject], "predicateType": kind}
    return json.dumps(head | {"predicate": predicate})


def sign_image(targets: Any, image: str, commit: str) -> None:
    """Sign an image by its digest.  Raise ProjectError if that signature would not count."""
    pinned, settings = targets.pin_image(image), read_signing_settings()
    key = settings.get("key") or run_git("config", "--type=path", "user.signingkey")
    statement = make_statement(pinned, commit)
    signature = ssh_signatures.sign_bytes(statement.encode(), key, KIND)
    signer = ssh_signatures.verify_bytes(statement.encode(), signature, KIND, settings["signers"])
    text = json.dumps({"statement": statement, "signature": signature})
    blob = run_git("hash-object", "-w", "--stdin", stdin=text)
    run_git("update-ref", f"{REFS}/{parse_digest(pinned)}", blob)
    print(f"{pinned}: signed by {signer}.  For others: git push origin '{REFS}/*'")


def verify_image(image: str, commit: str) -> str:
    """Return who has signed that this image is of this commit.

    Raises ProjectError if no signature, or none of a known signer, says so.
    """
    digest = parse_digest(image)
    try:
        signed = json.loads(run_git("cat-file", "blob", f"{REFS}/{digest}"))
        statement, signature = str(signed["statement"]), str(signed["signature"])
    except (ProjectError, ValueError, KeyError, TypeError) as error:
        way_out = f"git fetch origin '{REFS}/*:{REFS}/*', or make sign-image"
        raise ProjectError(f"{image}: not signed; {way_out}") from error
    try:
        signers = read_signing_settings()["signers"]
        signer = ssh_signatures.verify_bytes(statement.encode(), signature, KIND, signers)
    except ProjectError as error:
        raise ProjectError(f"{image}: not signed: {error}") from error
    content = json.loads(statement)
    if content["subject"][0]["digest"] != {"sha256": digest}:
        raise ProjectError(f"{image}: {signer} has signed another digest")
    if content["predicate"]["commit"] != commit:
        other = content["predicate"]["commit"]
        raise ProjectError(f"{image}: {signer} has signed it as commit {other}")
    return str(signer)


class SignedTargets:
    """Staging and production, which get no image that is not signed."""

    def __init__(self, targets: Any) -> None:
        self._targets = targets

    def __getattr__(self, name: str) -> Any:
        return getattr(self._targets, name)

    def bring_image(self, environment: str, image: str, commit: str) -> None:
        """Verify, then bring.  Raise Refused if a signature is required and missing."""
        try:
            print(f"{image}: signed by {verify_image(image, commit)}", flush=True)
        except ProjectError as error:
            if read_signing_settings()["required"]:
                raise self._targets.Refused(str(error)) from error
            print(f"{error}\nIt is brought all the same: [signing] required = false", flush=True)
        self._targets.bring_image(environment, image, commit)


def verify_environments(targets: Any) -> None:
    """Print who has signed what runs.  Raise ProjectError if an image is not signed."""
    for environment in ("staging", "production"):
        image, commit = targets.find_running(environment)
        print(f"{environment} runs {image}, signed by {verify_image(image, commit)}")


def find_author() -> str:
    """Return who started the job, else git's user, else the machine's."""
    command = ["git", "config", "user.name"]
    named = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    author = next((os.environ[name] for name in ACTORS if os.environ.get(name)), named)
    try:
        return author or getpass.getuser()
    except (OSError, KeyError):  # in a container the user may have no name
        return "unknown"


@contextmanager
def log_deployment(environment: str, image: str, commit: str) -> Iterator[None]:
    """Append the outcome to the log.  If the log cannot be written, nothing is deployed."""
    entry = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "who": find_author()}
    entry |= {"environment": environment, "image": image, "commit": commit}
    with LOG.open("a", encoding="utf-8") as log:
        start = log.tell()
        log.write(json.dumps(entry | {"result": "refused", "why": "it was killed"}) + "\n")
        log.flush()
        log.truncate(start)  # there is room for a line
        try:
            yield
        except BaseException as error:
            why = str(error).partition("\n")[0] or type(error).__name__
            log.write(json.dumps(entry | {"result": "refused", "why": why}) + "\n")
            raise
        log.write(json.dumps(entry | {"result": "deployed"}) + "\n")


def stage(targets: Any, image: str, commit: str) -> None:
    """Bring the image to staging by its digest: a name may mean another image tomorrow."""
    pinned = targets.pin_image(image)
    with log_deployment("staging", pinned, commit):
        targets.bring_image("staging", pinned, commit)
    print(f"staging runs {pinned}.  Next: make promote", flush=True)


def require_approval(targets: Any) -> None:
    """Raise Refused if a second person has to approve the champion, and nobody has."""
    if APPROVALS.exists():
        command = ["make", "--silent", "approved"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            reason = re.split(r"\nmake(?:\[\d+\])?: ", done.stderr or done.stdout)[0]
            raise targets.Refused(reason.removeprefix("Error: ").strip())


def promote_image(targets: Any) -> None:
    """Bring what staging runs to production, after it has passed the smoke test in staging.

    Raises Refused if a second person has to approve the champion, and nobody has.
    """
    image, commit = targets.find_running("staging")
    print(f"staging runs {image}, commit {commit[:12]}; testing it ...", flush=True)
    with log_deployment("production", image, commit):
        require_approval(targets)
        targets.check_running("staging", image, commit)
        print("it is ready and predicts; production gets it too ...", flush=True)
        targets.bring_image("production", image, commit)
        running, _ = targets.find_running("production")
        if running != image:
            raise targets.Refused(f"production runs {running}; somebody else deploys there")
    print(f"production runs {image}, as staging does; noted in {LOG}")


def perform(targets: Any, action: Callable[..., None], *arguments: str) -> None:
    """Run an action on both environments.  End the program with the reason if it is refused."""
    try:
        action(targets, *arguments)
    except (ProjectError, Failed, OSError, targets.Refused) as refused:
        sys.exit(f"Not done: {refused}")


def find_targets() -> Any:
    """Return the module of staging and production: of Kubernetes, or of Compose.

    From level 4 on they get no image without a signature if one is required.
    """
    name = "on_kubernetes" if Path("deploy/kubernetes/overlays").is_dir() else "compose"
    targets = import_module(f"{__package__}.{name}")
    return SignedTargets(targets) if project.get_project().level >= SIGNED_FROM else targets


def run_release_action(action: Callable[..., None], usage: str, arguments: list[str]) -> None:
    """Perform an action if there are as many arguments as its usage names."""
    if len(arguments) != len(usage.split()) - 1:
        sys.exit(f"usage: ladder {usage}")
    perform(find_targets(), action, *arguments)


def stage_main(arguments: list[str]) -> None:
    """Bring an image of a commit to staging."""
    run_release_action(stage, "stage IMAGE COMMIT", arguments)


def promote_main(arguments: list[str]) -> None:
    """Bring what staging runs to production."""
    run_release_action(promote_image, "promote", arguments)


def unstage_main(arguments: list[str]) -> None:
    """Stop staging."""
    run_release_action(lambda targets: targets.stop_environment("staging"), "unstage", arguments)


def sign_main(arguments: list[str]) -> None:
    """Sign the image of a commit."""
    run_release_action(sign_image, "sign-image IMAGE COMMIT", arguments)


def verify_main(arguments: list[str]) -> None:
    """Print who signed the images of staging and production."""
    run_release_action(verify_environments, "attested", arguments)
