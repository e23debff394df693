"""The package: its error, its doors, how it writes files and models, and its command line.

A door is an entry point in `pyproject.toml`, through which further files join in: as a command, or
as an observer that is told when something is done.
"""

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
            parts[path].write_bytes(text)
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


def main() -> int:
    """Run the command that is named first; its status where its user has something to put right."""
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
        return error.status
    except BLOCKED as error:
        what = f"{error.filename or name}: {error.strerror or error}"
        print(f"Error: {what}; it is in the way, or not yours to change", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted", file=sys.stderr)
        return 130
    return 0
