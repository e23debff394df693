"""What the project's own code answers in a copy."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.sandbox import Copy

QUESTIONS = str(Path(__file__).resolve().parents[1] / "inside" / "__main__.py")


def answer(copy: Copy, module: str, question: str, *arguments: str) -> Any:
    """The answer to a question of `inside`.  Unknown, in its last words, where it fails."""
    python = str(copy.root / ".venv/bin/python")
    told = copy.must(python, "-P", QUESTIONS, module, question, *arguments)
    return json.loads(told.splitlines()[-1])


def scores(copy: Copy, uri: str) -> Iterator[str]:
    """What is wrong with a model that MLflow loads: it does not, or does not answer its example."""
    try:
        found = answer(copy, "trained", "loads", uri)
    except Unknown as reason:
        yield f"{uri}: does not load and score: {reason}"
        return
    if not found["rows"] or found["rows"] != found["answers"]:
        yield f"{uri}: gives {found['answers']} answers to {found['rows']} rows of its example"
