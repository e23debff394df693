"""The command line: `ladder COMMAND`.

`commands.toml` lists the commands.  A command is a typed function, of which typer makes its
options, or takes its words as they are: `main(arguments: list[str])`.  The latter needs no package,
so that it also runs from the wheel on a machine without the project's environment.
"""

import errno
import inspect
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlops_ladder import project
from mlops_ladder.commands import Command, commands, commands_anywhere
from mlops_ladder.errors import ProjectError

BLOCKED = FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError
FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG


def refuse_other_folder() -> None:
    """Raise ProjectError if this is the code of another folder, which a copied `.venv` names."""
    package = project.current().package
    here, spec = (Path("src") / package).resolve(), find_spec(package)
    if here.is_dir() and not (spec and spec.origin and here.samefile(Path(spec.origin).parent)):
        code = Path(spec.origin).parent if spec and spec.origin else "nothing"
        raise ProjectError(f"this would run {code}, not {here}: .venv is a copy; run `make setup`")


def main() -> int:
    """Run the command that is named first."""
    return run(start, sys.argv[1:] or ["--help"])


def start(words: list[str]) -> None:
    """Run the command that is named first, with the other words as its arguments."""
    name = words[0]
    if name in ("-h", "--help"):
        by_typer(["--help"], available())
        return
    if not (command := find(name)):
        known = ", ".join(sorted(commands()))
        raise ProjectError(f"{name}: no such command; commands: {known}")
    if not command.alone and isinstance(command.level, int):
        refuse_other_folder()
    function = command.load()
    if takes_words(function):
        function(words[1:])
    else:
        by_typer(words, {name: command})


def find(name: str) -> Command | None:
    """Return the command of this name; outside of a project only if it needs none."""
    return commands_anywhere().get(name) or commands().get(name)


def available() -> dict[str, Command]:
    """Return the commands of this folder's project; outside of one, those that need none."""
    try:
        return commands()
    except ProjectError:
        if not commands_anywhere():
            raise
        return commands_anywhere()


def takes_words(function: Any) -> bool:
    """Does a command read its words itself?"""
    kinds = [parameter.annotation for parameter in inspect.signature(function).parameters.values()]
    return kinds == [list[str]]


def by_typer(words: list[str], known: dict[str, Command]) -> None:
    """Run typer's application of these commands.  A usage error ends with 2, as in argparse."""
    try:
        # typer takes 0.1 s to load: commands that read their words themselves do without.
        from mlops_ladder.application import call  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        if words != ["--help"]:
            raise ProjectError(f"{error}: not all is installed; run `make setup`") from error
        lines = [f"  {name:13} {command.help}" for name, command in known.items()]
        print("\n".join(["Usage: ladder COMMAND [--help]", *lines]))
    else:
        call(words, known)


def run(command: Callable[[list[str]], None], args: list[str]) -> int:
    """Run a command; its status where its user has something to put right, told in a line."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # busy waiting is slow on a busy machine
    try:
        command(args)
        sys.stdout.flush()
    except BrokenPipeError:  # such as of `| head`: nobody reads on
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except ProjectError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        if not isinstance(error, BLOCKED) and error.errno not in FULL:
            raise
        way = "make room, then run this again; what was there is as it was"
        if isinstance(error, BLOCKED):
            way = "it is in the way, or not yours to change"
        print(f"Error: {error.filename or args}: {error.strerror or error}; {way}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        return 130
    return 0
