"""The command line: `ladder COMMAND`.

`commands.toml` lists the commands.  A command is a typed function, of which typer makes its
options, or takes its words as they are: `main(arguments: list[str])`.  The latter needs no package,
nor does a function without options, so that it also runs from the wheel on a machine without the
project's environment.
"""

import errno
import inspect
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from mlops_ladder import project
from mlops_ladder.commands import Command, list_commands, list_portable_commands
from mlops_ladder.errors import ProjectError

FILESYSTEM_ERRORS = FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError
DISK_FULL_ERRNOS = errno.ENOSPC, errno.EDQUOT, errno.EFBIG


def refuse_other_folder() -> None:
    """Raise ProjectError if this is the code of another folder, which a copied `.venv` names."""
    package = project.get_project().package
    here, spec = (Path("src") / package).resolve(), find_spec(package)
    if here.is_dir() and not (spec and spec.origin and here.samefile(Path(spec.origin).parent)):
        code = Path(spec.origin).parent if spec and spec.origin else "nothing"
        raise ProjectError(f"this would run {code}, not {here}: .venv is a copy; run `make setup`")


def main() -> int:
    """Run the command that is named first."""
    return run_command(dispatch_command, sys.argv[1:] or ["--help"])


def dispatch_command(words: list[str]) -> None:
    """Run the command that is named first, with the other words as its arguments."""
    name = words[0]
    if name in ("-h", "--help"):
        call_typer(["--help"], list_available_commands())
        return
    if not (command := list_available_commands().get(name)):
        names = ", ".join(sorted(list_commands()))
        raise ProjectError(f"{name}: no such command; commands: {names}")
    if not command.alone and isinstance(command.level, int):
        refuse_other_folder()
    function = command.load()
    kinds = [parameter.annotation for parameter in inspect.signature(function).parameters.values()]
    if kinds == [list[str]]:
        function(words[1:])
    elif kinds or words[1:]:
        call_typer(words, {name: command})
    else:
        function()


def list_available_commands() -> dict[str, Command]:
    """Return the commands of this folder's project; outside of one, those that need none."""
    try:
        return list_commands()
    except ProjectError:
        return list_portable_commands()


def call_typer(words: list[str], commands: dict[str, Command]) -> None:
    """Run typer's application of these commands.  A usage error ends with 2, as in argparse."""
    try:
        # pylint: disable-next=import-outside-toplevel  # takes 0.1 s, and some commands need none
        from mlops_ladder.application import run_application
    except ImportError as error:
        if words != ["--help"]:
            raise ProjectError(f"{error}: not all is installed; run `make setup`") from error
        lines = [f"  {name:13} {command.help}" for name, command in commands.items()]
        print("\n".join(["Usage: ladder COMMAND [--help]", *lines]))
    else:
        run_application(words, commands)


def run_command(command: Callable[[list[str]], None], args: list[str]) -> int:
    """Run a command and return its exit status; print an error of its user in a line."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # busy waiting is slow on a busy machine
    try:
        command(args)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except ProjectError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        if not isinstance(error, FILESYSTEM_ERRORS) and error.errno not in DISK_FULL_ERRNOS:
            raise
        way = "make room, then run this again; what was there is as it was"
        if isinstance(error, FILESYSTEM_ERRORS):
            way = "it is in the way, or not yours to change"
        print(f"Error: {error.filename or args}: {error.strerror or error}; {way}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        return 130
    return 0
