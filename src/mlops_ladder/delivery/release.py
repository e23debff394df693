"""From staging to production: what was tried is what serves, the same bytes, signed if required.

An image is brought to staging; `promote` asks it there, and brings the one that it asked to
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
from mlops_ladder.registry import signatures

SETTINGS = Path("config/signing.toml")
POINTER, SBOM = Path("models/serving/champion.json"), Path("reports/sbom.json")
REFS = "refs/attestations"
KIND = "image"
TRUE = {"true", "1", "yes", "on", "t", "y"}  # as pydantic reads it
STATEMENT = "https://in-toto.io/Statement/v1"
LOG, APPROVALS = Path("deployments.jsonl"), Path("config/approval.toml")
SIGNED_FROM = 4  # the level that brings signatures
ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN")  # who started a job of CI


def settings() -> dict[str, Any]:
    """The section [signing], and what the environment says instead."""
    text = SETTINGS.read_text(encoding="utf-8") if SETTINGS.exists() else ""
    known: dict[str, Any] = tomllib.loads(text).get("signing", {})
    own = f"{project.get_project().prefix}SIGNING__"
    told = {key[len(own) :].lower(): it for key, it in os.environ.items() if key.startswith(own)}
    known |= told
    known["required"] = str(known.get("required", False)).lower() in TRUE
    return known


def git(*arguments: str, stdin: str = "") -> str:
    """What git says.  ProjectError in its words where it fails."""
    command = ["git", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProjectError((done.stderr or done.stdout).strip())
    return done.stdout.strip()


def digest_of(image: str) -> str:
    """The sha256 in the digest of an image.  ProjectError where its name holds none."""
    found = image.rpartition("sha256:")[2]
    if len(found) != 64 or "sha256:" not in image:
        raise ProjectError(f"{image}: no digest; it cannot be signed or verified")
    return found


def stated(image: str, commit: str) -> str:
    """The statement on an image: its digest, its commit, the champion and the bill of materials."""
    files = {path.name: path for path in (POINTER, SBOM) if path.exists()}
    held = {name: sha256(path.read_bytes()).hexdigest() for name, path in files.items()}
    return json.dumps(
        {
            "_type": STATEMENT,
            "subject": [{"name": image, "digest": {"sha256": digest_of(image)}}],
            "predicateType": f"urn:{project.get_project().package}:image:v1",
            "predicate": {
                "commit": git("rev-parse", f"{commit}^0"),
                "files": held,
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        }
    )


def sign(places: Any, image: str, commit: str) -> None:
    """Sign an image by its digest.  ProjectError where that signature would not count."""
    found, known = places.pinned(image), settings()
    key = known.get("key") or git("config", "--type=path", "user.signingkey")
    statement = stated(found, commit)
    signature = signatures.sign(statement.encode(), key, KIND)
    by = signatures.signer(statement.encode(), signature, KIND, signers(known))
    text = json.dumps({"statement": statement, "signature": signature})
    blob = git("hash-object", "-w", "--stdin", stdin=text)
    git("update-ref", f"{REFS}/{digest_of(found)}", blob)
    print(f"{found}: signed by {by}.  For others: git push origin '{REFS}/*'")


def signers(known: dict[str, Any]) -> Path:
    """The file of those whose signature counts."""
    return Path(known.get("signers") or signatures.SIGNERS)


def verified(image: str, commit: str) -> str:
    """Who has signed that this image is of this commit.  ProjectError where nobody has who may."""
    digest = digest_of(image)
    try:
        held = json.loads(git("cat-file", "blob", f"{REFS}/{digest}"))
        statement, signature = str(held["statement"]), str(held["signature"])
    except (ProjectError, ValueError, KeyError, TypeError) as error:
        told = f"git fetch origin '{REFS}/*:{REFS}/*', or make sign-image"
        raise ProjectError(f"{image}: not signed; {told}") from error
    try:
        by = signatures.signer(statement.encode(), signature, KIND, signers(settings()))
    except ProjectError as error:
        raise ProjectError(f"{image}: not signed: {error}") from error
    said = json.loads(statement)
    if said["subject"][0]["digest"] != {"sha256": digest}:
        raise ProjectError(f"{image}: {by} has signed another digest")
    if said["predicate"]["commit"] != commit:
        raise ProjectError(f"{image}: {by} has signed it as commit {said['predicate']['commit']}")
    return str(by)


class Attested:
    """The places of release.py, to which nothing is brought that is not signed."""

    def __init__(self, places: Any) -> None:
        self._places = places

    def __getattr__(self, name: str) -> Any:
        return getattr(self._places, name)

    def bring(self, environment: str, image: str, commit: str) -> None:
        """Verify, then bring.  Refused where nobody has signed, and somebody has to."""
        try:
            print(f"{image}: signed by {verified(image, commit)}", flush=True)
        except ProjectError as error:
            if settings()["required"]:
                raise self._places.Refused(str(error)) from error
            print(f"{error}\nIt is brought all the same: [signing] required = false", flush=True)
        self._places.bring(environment, image, commit)


def verify(places: Any) -> None:
    """Say who has signed what runs.  ProjectError where nobody has."""
    for environment in ("staging", "production"):
        image, commit = places.running(environment)
        print(f"{environment} runs {image}, signed by {verified(image, commit)}")


def who() -> str:
    """Whom to ask about it: who started the job, else git's user, else the machine's."""
    asked = ["git", "config", "user.name"]
    named = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    found = next((os.environ[name] for name in ACTORS if os.environ.get(name)), named)
    try:
        return found or getpass.getuser()
    except (OSError, KeyError):  # in a container the user may have no name
        return "unknown"


@contextmanager
def noted(environment: str, image: str, commit: str) -> Iterator[None]:
    """Append to the log how it ended.  Where the log cannot be written nothing is done at all."""
    entry = {"time": datetime.now(UTC).isoformat(timespec="seconds"), "who": who()}
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


def stage(places: Any, image: str, commit: str) -> None:
    """Bring the image to staging, by its digest: a name may mean another one tomorrow."""
    found = places.pinned(image)
    with noted("staging", found, commit):
        places.bring("staging", found, commit)
    print(f"staging runs {found}.  Next: make promote", flush=True)


def approved(places: Any) -> None:
    """Raises Refused where somebody else has to approve the champion, and nobody has."""
    if APPROVALS.exists():
        asked = ["make", "--silent", "approved"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        if done.returncode:
            said = re.split(r"\nmake(?:\[\d+\])?: ", done.stderr or done.stdout)[0]
            raise places.Refused(said.removeprefix("Error: ").strip())


def promote(places: Any) -> None:
    """Bring what staging runs to production, once it has passed the smoke test in staging.

    Raises Refused where somebody else has to approve the champion, and nobody has.
    """
    image, commit = places.running("staging")
    print(f"staging runs {image}, commit {commit[:12]}; asking it ...", flush=True)
    with noted("production", image, commit):
        approved(places)
        places.smoked("staging", image, commit)
        print("it is ready and predicts; production gets it too ...", flush=True)
        places.bring("production", image, commit)
        found, _ = places.running("production")
        if found != image:
            raise places.Refused(f"production runs {found}; somebody else deploys there")
    print(f"production runs {image}, as staging does; noted in {LOG}")


def perform(places: Any, act: Callable[..., None], *arguments: str) -> None:
    """Do something with staging and production.  SystemExit with the reason if it is refused."""
    try:
        act(places, *arguments)
    except (ProjectError, Failed, OSError, places.Refused) as refused:
        sys.exit(f"Not done: {refused}")


def environments() -> Any:
    """Return what knows staging and production: overlays of a cluster, or projects of Compose.

    From level 4 on it brings no image that is not signed, if it has to be.
    """
    name = "on_kubernetes" if Path("deploy/kubernetes/overlays").is_dir() else "compose"
    places = import_module(f"{__package__}.{name}")
    return Attested(places) if project.get_project().level >= SIGNED_FROM else places


def stage_main(arguments: list[str]) -> None:
    """Bring an image of a commit to staging."""
    if len(arguments) != 2:
        sys.exit("usage: ladder stage IMAGE COMMIT")
    perform(environments(), stage, *arguments)


def promote_main(arguments: list[str]) -> None:
    """Bring what staging runs to production."""
    if arguments:
        sys.exit("usage: ladder promote")
    perform(environments(), promote)


def unstage_main(arguments: list[str]) -> None:
    """Stop staging."""
    if arguments:
        sys.exit("usage: ladder unstage")
    perform(environments(), lambda places: places.stop("staging"))


def sign_main(arguments: list[str]) -> None:
    """Sign the image of a commit."""
    if len(arguments) != 2:
        sys.exit("usage: ladder sign-image IMAGE COMMIT")
    perform(environments(), sign, *arguments)


def verify_main(arguments: list[str]) -> None:
    """Say who has signed what staging and production run."""
    if arguments:
        sys.exit("usage: ladder attested")
    perform(environments(), verify)
