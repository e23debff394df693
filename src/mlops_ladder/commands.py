"""Commands: `commands.toml` lists the library's; a project adds its own by entry points."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points, EntryPoint
from pathlib import Path
from pkgutil import get_data
from typing import Any

from mlops_ladder import project
from mlops_ladder.errors import ProjectError

ANYWHERE = "any"


@dataclass(frozen=True)
class Command:
    """A command of `ladder`: nothing of it is imported before it is loaded."""

    name: str
    group: str
    help: str
    target: EntryPoint
    level: int | str = 0
    needs: str = "."
    alone: bool = False
    online: bool = False

    def load(self) -> Any:
        """Return the function behind it.  Raise ProjectError if a package for it is missing."""
        try:
            return self.target.load()
        except ModuleNotFoundError as error:
            raise ProjectError(f"{error}: not all is installed; run `make setup`") from error


@cache
def list_library_commands() -> list[Command]:
    """Return all commands of the library."""
    text = (get_data(__package__, "commands.toml") or b"").decode()
    commands = []
    for group, table in tomllib.loads(text).items():
        for name, entry in table.items():
            target = EntryPoint(name, f"{__package__}.{entry.pop('run')}", "commands")
            commands.append(Command(name, group, target=target, **entry))
    return commands


def list_portable_commands() -> dict[str, Command]:
    """Return the commands that need no project."""
    portable = [command for command in list_library_commands() if command.level == ANYWHERE]
    return {command.name: command for command in portable}


def list_commands() -> dict[str, Command]:
    """Return the commands of the project in this folder, by name.

    Those of the library that its level brings, and its entry points of the group
    `PACKAGE.commands`, which replace the library's of the same name.  Raise ProjectError outside
    of a project.
    """
    here = project.get_project()
    commands = list_portable_commands()
    for command in list_library_commands():
        if isinstance(command.level, int) and command.level <= here.level:
            if Path(command.needs).exists() and (here.has_service or not command.online):
                commands[command.name] = command
    for point in entry_points(group=f"{here.package}.commands"):
        commands[point.name] = Command(point.name, here.package, f"{point.value}", point)
    return commands
