"""The package: its error, its doors, how it writes files and models, and its command line.

A door is an entry point in `pyproject.toml`: it adds a command, or an observer of what is done.
"""

import errno
import inspect
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from pickle import PicklingError
from types import FunctionType, ModuleType
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


def own_modules() -> set[str]:
    """The modules that are this project's: the package, and any other whose file lies here."""
    files = {name: str(vars(it).get("__file__")) for name, it in list(sys.modules.items()) if it}
    here = f"{Path.cwd()}{os.sep}"
    own = {name for name, at in files.items() if at.startswith(here) and "site-packages" not in at}
    return {__name__, "__main__"} | {name.partition(".")[0] for name in own}


@contextmanager
def code_pickled() -> Iterator[Any]:
    """Give cloudpickle, set to save project code.  ProjectError if a model cannot be saved."""
    import cloudpickle  # pylint: disable=import-outside-toplevel  # a service does without

    modules = [it for name in own_modules() - {"__main__"} if (it := sys.modules.get(name))]
    for module in modules:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield cloudpickle
    except (TypeError, PicklingError) as error:
        way_out = "if a module that the model uses holds it, import names from it, not all of it"
        raise ProjectError(f"the model cannot be saved: {error}; {way_out}") from error
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)


def digest(thing: Any) -> str:
    """A name for what something holds and does: equal values with equal code have the same one."""
    from joblib.hashing import NumpyHasher  # pylint: disable=import-outside-toplevel  # heavy

    own, seen = own_modules(), set[Any]()

    class Hasher(NumpyHasher):
        """Takes the project's own functions and classes by what they are made of."""

        def reducer_override(self, obj: Any) -> Any:
            """What pickle asks of everything."""
            if hasattr(obj, "best_estimator_"):  # of a search; it remembers its trials too
                return list, ([obj.best_estimator_],)
            if not isinstance(obj, FunctionType | type | ModuleType):
                return NotImplemented
            module = obj.__name__ if isinstance(obj, ModuleType) else str(obj.__module__)
            if module.partition(".")[0] not in own:
                return (str, (module,)) if isinstance(obj, ModuleType) else NotImplemented
            parts = [] if obj in seen else made_of(obj)
            seen.add(obj)
            return list, ([getattr(obj, "__qualname__", module), *parts],)

    return str(Hasher("sha1").hash(thing))


def made_of(code: Any) -> list[Any]:
    """The source of code, and the values it uses.  ProjectError for a late import of own code."""
    with suppress(OSError, TypeError):  # of what was typed in there is no text
        text = inspect.getsource(code)
        if not inspect.isfunction(code):
            bases = getattr(code, "__bases__", ())
            return [text, *bases, *filter(inspect.isfunction, vars(code).values())]
        if {".", *own_modules()} & set(re.findall(r"^\s+(?:from|import)\s+(\.|\w+)", text, re.M)):
            why = "it imports code of this project, with which a saved model would change"
            raise ProjectError(f"{code.__qualname__}: {why}; import it at the top of its file")
        named = inspect.getclosurevars(code)
        return [text, code.__code__.co_code, code.__defaults__, named.globals, named.nonlocals]
    return [code.__code__.co_code] if inspect.isfunction(code) else []


def refuse_other_folder() -> None:
    """Raise ProjectError if this is the code of another folder, which a copied `.venv` names."""
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
