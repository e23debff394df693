"""Ask a running service whether it is ready, which commit it holds, and for one prediction.

`python tools/smoke.py http://127.0.0.1:8000 [COMMIT]` ends with 0, or says what is wrong.
KEY in the environment is sent along.
"""

import json
import os
import sys
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


if __name__ == "__main__":
    try:
        print(json.dumps(smoke(*sys.argv[1:])))
    except Failed as failure:
        sys.exit(str(failure))
