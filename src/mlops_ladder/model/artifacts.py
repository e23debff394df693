"""Artifacts: models that hold the code that they use, and a name for what they learned."""

import inspect
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from pickle import PicklingError
from types import FunctionType, ModuleType
from typing import Any

from mlops_ladder import project
from mlops_ladder.errors import ProjectError


def find_own_modules() -> set[str]:
    """Return the names of our modules: the library, the package, other files of this folder."""
    files = {name: str(vars(mod).get("__file__")) for name, mod in list(sys.modules.items()) if mod}
    here = f"{Path.cwd()}{os.sep}"
    own = {name for name, at in files.items() if at.startswith(here) and "site-packages" not in at}
    ours = {__name__.partition(".")[0], project.get_project().package, "__main__"}
    return ours | {name.partition(".")[0] for name in own}


@contextmanager
def pickle_own_code() -> Iterator[Any]:
    """Yield cloudpickle, set to save project code.  Raise ProjectError if saving fails."""
    import cloudpickle  # pylint: disable=import-outside-toplevel  # a service does without

    modules = list(filter(None, map(sys.modules.get, find_own_modules() - {"__main__"})))
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


def compute_digest(thing: Any) -> str:
    """Return a hash of what a value holds and does: equal values with equal code have the same."""
    from joblib.hashing import NumpyHasher  # pylint: disable=import-outside-toplevel  # heavy

    own, seen = find_own_modules(), set[Any]()

    class Hasher(NumpyHasher):
        """Takes the project's own functions and classes by what they are made of."""

        def reducer_override(self, obj: Any) -> Any:
            """Return how to hash an object; pickle calls this for each one."""
            if hasattr(obj, "best_estimator_"):  # of a search; it remembers its trials too
                return list, ([obj.best_estimator_],)
            if not isinstance(obj, FunctionType | type | ModuleType):
                return NotImplemented
            module = obj.__name__ if isinstance(obj, ModuleType) else str(obj.__module__)
            if module.partition(".")[0] not in own:
                return (str, (module,)) if isinstance(obj, ModuleType) else NotImplemented
            parts = [] if obj in seen else list_code_parts(obj)
            seen.add(obj)
            return list, ([getattr(obj, "__qualname__", module), *parts],)

    return str(Hasher("sha1").hash(thing))


def list_code_parts(code: Any) -> list[Any]:
    """Return the source of code, and the values it uses.  Raise ProjectError for a late import."""
    with suppress(OSError, TypeError):  # code from a prompt has no source
        text = inspect.getsource(code)
        if not inspect.isfunction(code):
            bases = getattr(code, "__bases__", ())
            return [text, *bases, *filter(inspect.isfunction, vars(code).values())]
        if {".", *find_own_modules()} & set(
            re.findall(r"^\s+(?:from|import)\s+(\.|\w+)", text, re.M)
        ):
            why = "it imports code of this project, with which a saved model would change"
            raise ProjectError(f"{code.__qualname__}: {why}; import it at the top of its file")
        scope = inspect.getclosurevars(code)
        return [text, code.__code__.co_code, code.__defaults__, scope.globals, scope.nonlocals]
    return [code.__code__.co_code] if inspect.isfunction(code) else []
