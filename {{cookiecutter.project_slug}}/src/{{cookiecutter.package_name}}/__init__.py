"""The package: its error, its doors and its command line.

A door is an entry point in `pyproject.toml`, through which further files join in: as a command, or
as an observer that is told when something is done.
"""

import os
import sys
from importlib.metadata import EntryPoint, entry_points
from typing import Any


class ProjectError(Exception):
    """Something that its user can put right: told in a line or two, without a traceback."""


def doors(name: str) -> dict[str, EntryPoint]:
    """What `pyproject.toml` registers under this door, by name; nothing is imported yet."""
    found = entry_points(group=f"{__name__}.{name}")
    return {point.name: point for point in sorted(found, key=lambda point: point.name)}


def observers(door: str) -> list[Any]:
    """The functions that want to be told of what happens, in the order of their names.

    Raises ProjectError where one cannot be imported.
    """
    try:
        return [point.load() for point in doors(door).values()]
    except ImportError as error:
        raise ProjectError(f"{error}: not all is installed; run `make setup`") from error


def main() -> int:
    """Run the command that is named first; 1 where its user has something to put right."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # busy waiting is slow on a busy machine
    name, *rest = sys.argv[1:] or ["--help"]
    commands = doors("commands")
    known = ", ".join(commands) or "none are installed; run `make setup`"
    try:
        if name in ("-h", "--help"):
            print(f"Usage: {{ cookiecutter.project_slug }} COMMAND [--help]\nCommands: {known}")
        elif name in commands:
            commands[name].load()(rest)
        else:
            raise ProjectError(f"{name}: no such command; commands: {known}")
    except ProjectError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0
