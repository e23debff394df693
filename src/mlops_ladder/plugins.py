"""The plugins: the functions behind the hooks, of the library by level, and of the project."""

import tomllib
from collections import defaultdict
from collections.abc import Callable
from functools import cache, lru_cache, wraps
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from pluggy import HookImpl, PluginManager, PluginValidationError

from mlops_ladder import hooks, project
from mlops_ladder.errors import ProjectError


def get_hooks() -> Any:
    """Return the hooks of the project in this folder; each is called with arguments by name."""
    return load_plugins(project.get_project()).hook


def get_implementations(hook: str) -> list[Callable[..., Any]]:
    """Return the functions behind a hook, imported, in the order in which they are called.

    Each takes the arguments of the hook in order: for a caller that runs them one by one as tasks,
    or in another process.
    """
    caller = getattr(get_hooks(), hook)
    names = list(caller.spec.argnames)
    return [bind_arguments(plugin, names) for plugin in reversed(caller.get_hookimpls())]


def bind_arguments(implementation: HookImpl, names: list[str]) -> Callable[..., Any]:
    """Return a function of these arguments that gives an implementation those that it takes."""
    function = implementation.function
    if load := getattr(function, "load", None):
        return load()  # type: ignore[no-any-return]  # set by `import_when_called`
    if list(implementation.argnames) == names:
        return function

    @wraps(function)
    def call(*values: Any) -> Any:
        arguments = dict(zip(names, values, strict=True))
        return function(*(arguments[name] for name in implementation.argnames))

    return call


@lru_cache(maxsize=16)
def load_plugins(here: project.Project) -> PluginManager:
    """Return the plugins of a project.  Raise ProjectError if its own cannot be registered."""
    manager = PluginManager(hooks.NAME)
    manager.add_hookspecs(hooks)
    for name, functions in sorted(list_library_plugins(here).items(), reverse=True):
        plugin = ModuleType(f"{__package__}.{name}")
        for hook, target in functions.items():
            setattr(plugin, hook, import_when_called(getattr(hooks, hook), target))
        manager.register(plugin, name)
    register_own(manager, here)  # the last that is registered is called first
    return manager


def list_library_plugins(here: project.Project) -> dict[str, dict[str, str]]:
    """Return what a project's level brings: by plugin and hook the function, `module:name`."""
    plugins: dict[str, dict[str, str]] = defaultdict(dict)
    kinds = {"level", here.deploy} | ({"service"} if here.has_service else set())
    for section, table in read_table().items():
        kind, _, level = section.partition("-")
        if kind in kinds and int(level) <= here.level:
            for hook, functions in table.items():
                for name, target in functions.items():
                    plugins[name][hook] = target
    return plugins


@cache
def read_table() -> dict[str, dict[str, dict[str, str]]]:
    """Return the library's plugins: section, hook, name, and the function behind it."""
    text = (Path(__file__).parent / "plugins.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def import_when_called(spec: Callable[..., Any], target: str) -> Callable[..., Any]:
    """Return an implementation of a hook whose module is imported at the first call."""

    def load() -> Any:
        module, _, name = target.partition(":")
        try:
            return getattr(import_module(f"{__package__}.{module}"), name)
        except ImportError as error:
            raise ProjectError(f"{error}: not all is installed; run `make setup`") from error

    @hooks.hookimpl
    @wraps(spec)  # pluggy reads the names of the arguments from what is wrapped
    def call(*arguments: Any) -> Any:
        return load()(*arguments)

    vars(call)["load"] = load
    return call


def register_own(manager: PluginManager, here: project.Project) -> None:
    """Register the project's `plugins.py`, if it has one.  Raise ProjectError if that is wrong."""
    name, path = f"{here.package}.plugins", f"src/{here.package}/plugins.py"
    if not (find_spec(here.package) and find_spec(name)):
        return
    try:
        manager.register(import_module(name))
        manager.check_pending()
    except PluginValidationError as error:
        why = str(error).splitlines()[-1].partition(" in plugin")[0]
        raise ProjectError(f"{path}: {why}; hooks are in mlops_ladder/hooks.py") from error
    except Exception as error:  # whatever the file raises
        raise ProjectError(f"{path}: {type(error).__name__}: {error}; correct it") from error
