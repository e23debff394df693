"""Ask a running service whether it is ready, which commit it holds, and for one prediction.

`ladder smoke http://127.0.0.1:8000 [COMMIT]` ends with 0, or says what is wrong.  KEY in the
environment is sent along.  This file imports nothing of the library: `smoke_script` is its
text, which runs inside of a container whose image may be older.
"""

import json
import os
import sys
from pkgutil import get_data
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

SECONDS = 10


class Failed(Exception):
    """What the service does not do as it should."""


def ask(url: str, body: Any = None) -> Any:
    """What the service answers to GET, or to POST with a body.  Raises Failed where it refuses."""
    data = None if body is None else json.dumps(body).encode()
    asked = Request(url, data, {"Content-Type": "application/json"})
    if key := os.environ.get("KEY"):
        asked.add_header("Authorization", f"Bearer {key}")
    try:
        with urlopen(asked, timeout=SECONDS) as answer:
            return json.load(answer)
    except HTTPError as error:
        raise Failed(f"{url}: {error.code} {error.read().decode()}") from error
    except (OSError, ValueError) as error:
        raise Failed(f"{url}: {error}") from error


def smoke(service: str, commit: str = "") -> Any:
    """What the service predicts for the example in its own description.

    Raises Failed where it is not ready, holds another commit, or does not predict.
    """
    ask(f"{service}/ready")
    found = ask(f"{service}/version")["commit"]
    if commit and found != commit:
        raise Failed(f"{service}/version: the commit is {found}, not {commit}")
    operation = ask(f"{service}/openapi.json")["paths"]["/predict"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    return ask(f"{service}/predict", examples["one"]["value"])


def smoke_script() -> str:
    """Return the text of this module, to be run by Python in another place."""
    return (get_data(__package__, "smoke.py") or b"").decode()


def main(arguments: list[str]) -> None:
    """Ask the service at an address.  SystemExit that says what is wrong."""
    if not 1 <= len(arguments) <= 2:
        sys.exit("usage: ladder smoke ADDRESS [COMMIT]")
    try:
        print(json.dumps(smoke(*arguments)))
    except Failed as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main(sys.argv[1:])
