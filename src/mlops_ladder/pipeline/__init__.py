"""The training pipeline: plain functions of this package, run as the tasks of a Prefect flow."""

import json
import os
import sys

TAGS = "PIPELINE_TAGS"


def given_tags() -> dict[str, str]:
    """What whoever starts a run wants to have on it, as JSON in the environment."""
    return {str(name): str(it) for name, it in json.loads(os.environ.get(TAGS, "{}")).items()}


def show(step: str, words: str, seconds: float | None = None) -> None:
    """Say what a step came to, and in how many seconds; further lines of words below.

    Without seconds: how far it is, on a terminal only, where the next line is written over this.
    """
    if seconds is not None:
        first, *more = words.splitlines()
        sys.stdout.write(f"{step:9} {first:64} {seconds:6.1f} s\n")
        sys.stdout.writelines(f"{'':9} {line}\n" for line in more)
    elif sys.stdout.isatty():
        sys.stdout.write(f"{step:9} {words:64}\r")
    sys.stdout.flush()
