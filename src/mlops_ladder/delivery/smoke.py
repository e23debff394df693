"""Test a running service: it is ready, holds the commit, and predicts.

`ladder smoke http://127.0.0.1:8000 [COMMIT]` ends with 0, or names the fault.  It sends the API key
that KEY in the environment holds.  This file imports nothing of the library: `smoke_script` returns
its text, which runs inside a container whose image may be older.
"""

import json
import os
import sys
from pkgutil import get_data
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

TIMEOUT_S = 10


class Failed(Exception):
    """A fault of the service."""


def request_json(url: str, body: Any = None) -> Any:
    """Return the answer to GET, or to POST with a body.  Raise Failed if it is refused."""
    data = None if body is None else json.dumps(body).encode()
    message = Request(url, data, {"Content-Type": "application/json"})
    if key := os.environ.get("KEY"):
        message.add_header("Authorization", f"Bearer {key}")
    try:
        with urlopen(message, timeout=TIMEOUT_S) as answer:
            return json.load(answer)
    except HTTPError as error:
        raise Failed(f"{url}: {error.code} {error.read().decode()}") from error
    except (OSError, ValueError) as error:
        raise Failed(f"{url}: {error}") from error


def smoke(service: str, commit: str = "") -> Any:
    """Return the prediction for the example of the service's OpenAPI description.

    Raises Failed if it is not ready, holds another commit, or does not predict.
    """
    request_json(f"{service}/ready")
    actual = request_json(f"{service}/version")["commit"]
    if commit and actual != commit:
        raise Failed(f"{service}/version: the commit is {actual}, not {commit}")
    operation = request_json(f"{service}/openapi.json")["paths"]["/predict"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    return request_json(f"{service}/predict", examples["one"]["value"])


def smoke_script() -> str:
    """Return the text of this module, to be run by Python in another place."""
    return (get_data(__package__, "smoke.py") or b"").decode()


def main(arguments: list[str]) -> None:
    """Test the service at an address.  End the program with the fault, if there is one."""
    if not 1 <= len(arguments) <= 2:
        sys.exit("usage: ladder smoke ADDRESS [COMMIT]")
    try:
        print(json.dumps(smoke(*arguments)))
    except Failed as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main(sys.argv[1:])
