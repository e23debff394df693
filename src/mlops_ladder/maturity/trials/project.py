"""Questions that the project's own code answers in a copy, and what its commands say."""

import csv
import json
import tomllib
from collections.abc import Iterator
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.sandbox import Copy, last_line
from mlops_ladder.maturity.service import Service

QUESTIONS = str(Path(__file__).resolve().parents[1] / "inside" / "__main__.py")


@cache
def read_table() -> dict[str, Any]:
    """Return trials.toml: the checks, and texts by their names."""
    return tomllib.loads(Path(__file__).with_name("trials.toml").read_text(encoding="utf-8"))


def ask_project(copy: Copy, module: str, question: str, *arguments: str) -> Any:
    """Return the answer to a question of `inside`.  Unknown, with its last line, if it fails."""
    output = copy.must("python", "-P", QUESTIONS, module, question, *arguments)
    return json.loads(output.splitlines()[-1])


def find_failure(copy: Copy, *command: str, **environment: str) -> Iterator[str]:
    """Yield the command and its last line if it fails."""
    done = copy.run(*command, **environment)
    if done.returncode:
        yield f"{' '.join(command[:2])}: {last_line(done)}"


def example_row(service: Service) -> dict[str, Any]:
    """Return the example of a service.  Unknown if it is no row."""
    row = service.example()
    if not isinstance(row, dict):
        raise Unknown("/openapi.json: has no example of a row")
    return row


def read_rows(copy: Copy, name: str) -> list[dict[str, str]]:
    """Return the rows of a CSV file of the copy."""
    return list(csv.DictReader(StringIO(copy.text(name).removeprefix("\ufeff"), newline="")))
