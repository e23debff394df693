"""The training pipeline: plain functions of this package, run as the tasks of a Prefect flow."""

import json
import os
import sys

TAGS = "PIPELINE_TAGS"


def read_environment_tags() -> dict[str, str]:
    """Return the tags for the run, which its caller sets as JSON in the environment."""
    tags = json.loads(os.environ.get(TAGS, "{}"))
    return {str(name): str(value) for name, value in tags.items()}


def print_step(step: str, text: str, seconds: float | None = None) -> None:
    """Print the result of a step and its seconds; further lines of the text below.

    Without seconds, print progress, on a terminal only; the next line overwrites it.
    """
    if seconds is not None:
        first, *more = text.splitlines()
        sys.stdout.write(f"{step:9} {first:64} {seconds:6.1f} s\n")
        sys.stdout.writelines(f"{'':9} {line}\n" for line in more)
    elif sys.stdout.isatty():
        sys.stdout.write(f"{step:9} {text:64}\r")
    sys.stdout.flush()
