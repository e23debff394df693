"""From staging to production: what was tried is what serves, the same bytes.

`stage IMAGE COMMIT` brings an image to staging; `promote` asks it there, and brings the one that it
asked to production; `unstage` stops staging.  Each attempt is a line of deployments.jsonl.
"""

import getpass
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, UTC
from importlib import import_module
from pathlib import Path
from typing import Any

from smoke import Failed

LOG, APPROVALS = Path("deployments.jsonl"), Path("make/approve.mk")
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


def main(places: Any, command: str, *arguments: str) -> None:
    """What the command line asks for.  Ends with the reason where it is refused."""
    asked = {"stage": stage, "promote": promote, "unstage": lambda at: at.stop("staging")}
    try:
        asked[command](places, *arguments)
    except (Failed, OSError, places.Refused) as refused:
        sys.exit(f"Not done: {refused}")


if __name__ == "__main__":
    main(
        import_module("on_kubernetes" if Path("overlays").is_dir() else "on_compose"), *sys.argv[1:]
    )
