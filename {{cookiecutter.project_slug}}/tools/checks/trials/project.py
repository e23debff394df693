"""What the project's own code answers in a copy."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import Unknown
from ..sandbox import Copy

TOOLS = str(Path(__file__).resolve().parents[2])


def answer(copy: Copy, module: str, question: str, *arguments: str) -> Any:
    """The answer to a question of `checks/inside`.  Unknown, in its last words, where it fails."""
    python, words = str(copy.root / ".venv/bin/python"), (module, question, *arguments)
    command = (python, "-P", "-m", "checks.inside", copy.package.name, *words)
    path = os.pathsep.join(filter(None, (TOOLS, copy.environment.get("PYTHONPATH"))))
    return json.loads(copy.must(*command, PYTHONPATH=path).splitlines()[-1])


def scores(copy: Copy, uri: str) -> Iterator[str]:
    """What is wrong with a model that MLflow loads: it does not, or does not answer its example."""
    try:
        found = answer(copy, "trained", "loads", uri)
    except Unknown as reason:
        yield f"{uri}: does not load and score: {reason}"
        return
    if not found["rows"] or found["rows"] != found["answers"]:
        yield f"{uri}: gives {found['answers']} answers to {found['rows']} rows of its example"
