"""Images that are signed: `ladder stage` and `ladder promote` bring no other, if one has to be.

A signature is of a statement on the digest of an image; git holds it in refs/attestations.  Only
Python's own library is needed: CI deploys without the project's environment.
"""

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from datetime import datetime, UTC
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlops_ladder import project, ProjectError
from mlops_ladder.registry import signatures

SETTINGS = Path("config/signing.toml")
POINTER, SBOM = Path("models/serving/champion.json"), Path("reports/sbom.json")
REFS = "refs/attestations"
KIND = "image"
STATEMENT = "https://in-toto.io/Statement/v1"


def settings() -> dict[str, Any]:
    """The section [signing], and what the environment says instead."""
    text = SETTINGS.read_text(encoding="utf-8") if SETTINGS.exists() else ""
    known: dict[str, Any] = tomllib.loads(text).get("signing", {})
    own = f"{project.current().prefix}SIGNING__"
    told = {key[len(own) :].lower(): it for key, it in os.environ.items() if key.startswith(own)}
    known |= told
    known["required"] = str(known.get("required", False)).lower() in (
        "true",
        "1",
        "yes",
        "on",
        "t",
        "y",
    )
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
            "predicateType": f"urn:{project.current().package}:image:v1",
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


def perform(places: Any, act: Callable[..., None], *arguments: str) -> None:
    """Sign or verify.  SystemExit with the reason if it is refused."""
    try:
        act(places, *arguments)
    except (ProjectError, OSError, places.Refused) as refused:
        sys.exit(f"Not done: {refused}")
