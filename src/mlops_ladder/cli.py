"""The command line: `ladder COMMAND`, where each command comes by a door."""

import errno
import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from mlops_ladder import project
from mlops_ladder.doors import doors, library_command
from mlops_ladder.errors import ProjectError

ANYWHERE = {"climb", "maturity"}  # commands that need no project, and look at none
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
    name, *rest = words = sys.argv[1:] or ["--help"]
    if name in ANYWHERE:
        library_command(name)(rest)
        return 0
    return run(started, words)


def started(words: list[str]) -> None:
    """Run the command that is named first, with the other words as its arguments."""
    (name, *rest), commands = words, doors("commands")
    known = ", ".join(commands) or "none are installed; run `make setup`"
    if name in ("-h", "--help"):
        print(f"Usage: ladder COMMAND [--help]\nCommands: {known}")
    elif name in commands:
        commands[name].load()(rest)
    else:
        raise ProjectError(f"{name}: no such command; commands: {known}")


def run(command: Callable[[list[str]], None], args: list[str]) -> int:
    """Run a command; its status where its user has something to put right, told in a line."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # busy waiting is slow on a busy machine
    try:
        refuse_other_folder()
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
