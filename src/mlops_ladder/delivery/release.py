"""From staging to production: what was tried is what serves, the same bytes.

An image is brought to staging; `promote` asks it there, and brings the one that it asked to
production.  Each attempt is a line of deployments.jsonl.
"""

import getpass
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, UTC
from importlib import import_module
from pathlib import Path
from typing import Any

from mlops_ladder.delivery import image_signing
from mlops_ladder.delivery.image_signing import Attested
from mlops_ladder.delivery.smoke import Failed
from mlops_ladder.project import current

LOG, APPROVALS = Path("deployments.jsonl"), Path("config/approval.toml")
SIGNED_FROM = 4  # the level that brings signatures
ACTORS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN")  # who started a job of CI


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
    except (Failed, OSError, places.Refused) as refused:
        sys.exit(f"Not done: {refused}")


def environments() -> Any:
    """Return what knows staging and production: overlays of a cluster, or projects of Compose.

    From level 4 on it brings no image that is not signed, if it has to be.
    """
    name = "on_kubernetes" if Path("deploy/kubernetes/overlays").is_dir() else "on_compose"
    places = import_module(f"{__package__}.{name}")
    return Attested(places) if current().level >= SIGNED_FROM else places


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
    image_signing.perform(environments(), image_signing.sign, *arguments)


def verify_main(arguments: list[str]) -> None:
    """Say who has signed what staging and production run."""
    if arguments:
        sys.exit("usage: ladder attested")
    image_signing.perform(environments(), image_signing.verify)
