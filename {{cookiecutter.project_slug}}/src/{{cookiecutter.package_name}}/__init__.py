"""The package: its error, its doors, how it writes files and models, and its command line.

A door is an entry point in `pyproject.toml`, through which further files join in: as a command, or
as an observer that is told when something is done.
"""

import errno
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.metadata import EntryPoint, entry_points
from itertools import count
from pathlib import Path
from typing import Any

BLOCKED = FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError
FULL = errno.ENOSPC, errno.EDQUOT, errno.EFBIG


class ProjectError(Exception):
    """Something that its user can put right: told in a line or two, without a traceback."""

    status = 1  # with which a command ends


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


class Here:  # pylint: disable=too-few-public-methods  # a place to work at does one thing
    """How a function is put on many items: one after the other, in this process."""

    at_once = 1  # trials of a search that are chosen before the first of them is scored

    def each(self, function: Callable[..., Any], items: Iterable[Any], *more: Any) -> Iterator[Any]:
        """What the function says of each item, in their order; `more` are further arguments."""
        return (function(item, *more) for item in items)


def mapped(settings: Any) -> Any:
    """A context that holds something with the methods of `Here`: it, or what is registered."""
    opened = observers("mapped")
    return opened[0](settings) if opened else nullcontext(Here())


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, with its folder, also if the disk is full or power fails.

    A link stays a link, and a file keeps its permissions.  Raises OSError that names the file.
    """
    place = path.resolve()
    part = place.with_name(f"{place.name}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_synced(part, content.encode() if isinstance(content, str) else content)
        if place.exists():
            shutil.copymode(place, part)
        part.replace(place)
    except OSError as error:
        if part.is_file():
            part.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
    sync_folder(place.parent)


def write_synced(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file, and return when the disk holds it; `mode` is for a new one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Return when the disk holds the names in a folder."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def replace(texts: dict[Path, str]) -> None:
    """Write these files, all or none; one that changes is first copied under a name that is free.

    Raises ProjectError where that cannot be done.
    """
    changed = {
        path: text.encode() for path, text in texts.items() if content(path) != text.encode()
    }
    parts = {path: path.with_name(f"{path.name}.part") for path in changed}
    olds: dict[Path, Path] = {}
    try:
        for path, text in changed.items():
            write_synced(parts[path], text)
        for path in filter(Path.exists, changed):
            olds[path] = set_aside(path)
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        for path, old in olds.items():
            old.replace(path)
        for part in filter(Path.is_file, parts.values()):
            part.unlink()
        said = f"{error.filename}: cannot be written: {error.strerror}; nothing is changed"
        raise ProjectError(said) from error
    for path in texts:
        kept = f" (the old one is {olds[path]})" if path in olds else ""
        print(f"Wrote {path}{kept}" if path in changed else f"{path} is as it was")


def content(path: Path) -> bytes | None:
    """What the file holds; None where there is none."""
    return path.read_bytes() if path.exists() else None


def set_aside(path: Path) -> Path:
    """A copy of the file under a name that is free."""
    names = (Path(f"{path}.old-{number}") for number in count(1))
    return Path(shutil.copy2(path, next(name for name in names if not name.exists())))


def own_modules() -> set[str]:
    """The modules that are this project's: the package, and any other whose file lies here."""
    files = {name: str(vars(it).get("__file__")) for name, it in list(sys.modules.items()) if it}
    here = f"{Path.cwd()}{os.sep}"
    own = {name for name, at in files.items() if at.startswith(here) and "site-packages" not in at}
    return {__name__, "__main__"} | {name.partition(".")[0] for name in own}


def pickled(model: Any) -> bytes:
    """The model as cloudpickle writes it, with the project's own code instead of its name."""
    import cloudpickle  # pylint: disable=import-outside-toplevel  # a service does without

    with code_pickled():
        return bytes(cloudpickle.dumps(model))


@contextmanager
def code_pickled() -> Iterator[None]:
    """Within this, cloudpickle writes the project's own code into a pickle, not its name."""
    import cloudpickle  # pylint: disable=import-outside-toplevel  # as above

    modules = [it for name in own_modules() - {"__main__"} if (it := sys.modules.get(name))]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def refuse_other_folder() -> None:
    """Raise ProjectError if this is the code of another folder than the one we are in.

    A copied `.venv` still names the folder that it was made in.
    """
    here = (Path("src") / __name__).resolve()
    if here.is_dir() and not here.samefile(code := Path(__file__).parent):
        raise ProjectError(f"this would run {code}, not {here}: .venv is a copy; run `make setup`")


def main() -> int:
    """Run the command that is named first."""
    return run(started, sys.argv[1:] or ["--help"])


def started(words: list[str]) -> None:
    """Run the command that is named first, with the other words as its arguments."""
    (name, *rest), commands = words, doors("commands")
    known = ", ".join(commands) or "none are installed; run `make setup`"
    if name in ("-h", "--help"):
        print(f"Usage: {{ cookiecutter.project_slug }} COMMAND [--help]\nCommands: {known}")
    elif name in commands:
        commands[name].load()(rest)
    else:
        raise ProjectError(f"{name}: no such command; commands: {known}")


def run(command: Callable[[list[str]], None], words: list[str]) -> int:
    """Run a command; its status where its user has something to put right, told in a line."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # busy waiting is slow on a busy machine
    try:
        refuse_other_folder()
        command(words)
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
        print(f"Error: {error.filename or words}: {error.strerror or error}; {way}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        return 130
    return 0
