"""Hooks: the library's plugins come with the level, a project's own stand in its plugins.py."""

import inspect
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from conftest import ok

from mlops_ladder import hooks, plugins, project, ProjectError
from mlops_ladder.plugins import get_hooks, get_implementations, list_library_plugins
from mlops_ladder.project import Project

TABLE = '[tool.mlops-ladder]\npackage = "churn"\nlevel = {}\ndeploy = "kubernetes"\n'
HEAD = "from mlops_ladder.hooks import hookimpl\n"
SPECS = {name for name, it in vars(hooks).items() if hasattr(it, f"{hooks.NAME}_spec")}


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of a project of level 4, whose package can be imported."""
    (tmp_path / "pyproject.toml").write_text(TABLE.format(4), encoding="utf-8")
    (tmp_path / "src/churn").mkdir(parents=True)
    (tmp_path / "src/churn/__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "src")
    forget()
    yield tmp_path
    forget()


def forget() -> None:
    """Have nothing remembered of a project."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "churn"]:
        del sys.modules[name]
    project.read_project.cache_clear()
    plugins.load_plugins.cache_clear()


def write(folder: Path, text: str) -> None:
    """Have this text in the project's plugins.py."""
    (folder / "src/churn/plugins.py").write_text(HEAD + text, encoding="utf-8")


def test_every_hook_of_the_library_is_declared_and_answered_with_all_arguments() -> None:
    """The functions of plugins.toml take what their hook gives, in this order."""
    wrong = []
    for table in list_library_plugins(Project("churn", 4, "kubernetes")).values():
        for hook, target in table.items():
            module, _, name = target.partition(":")
            function = getattr(import_module(f"mlops_ladder.{module}"), name)
            try:
                inspect.signature(function).bind(*["x"] * count(hook))
            except TypeError as error:
                wrong.append(f"{hook}: {target}: {error}")
    assert wrong == []


def count(hook: str) -> int:
    """How many arguments a hook gives."""
    return int(getattr(hooks, hook).__code__.co_argcount)


@pytest.mark.parametrize("level", range(5))
def test_a_level_has_the_plugins_of_its_own_and_those_below(level: int) -> None:
    """Nothing of a higher level answers, and every answer is to a declared hook."""
    found = list_library_plugins(Project("churn", level))
    assert {hook for table in found.values() for hook in table} <= SPECS
    assert ("tracking" in found, "access" in found, "canary" in found) == (
        level >= 1,
        level >= 3,
        level >= 4,
    )
    assert "cluster" not in found


def test_to_register_plugins_imports_none_of_what_they_need(folder: Path) -> None:
    """The library's functions are imported when they are called."""
    code = (
        "import sys; from mlops_ladder.plugins import get_hooks; get_hooks();"
        "heavy = {'pandas', 'sklearn', 'mlflow', 'prefect', 'fastapi', 'evidently', 'sqlalchemy'};"
        "sys.exit(str(heavy & sys.modules.keys()) if heavy & sys.modules.keys() else 0)"
    )
    ok(sys.executable, "-c", code, at=folder)


def test_a_hook_of_the_project_answers_first_and_takes_what_it_names(folder: Path) -> None:
    """Of a hook that one answers it replaces the library's; nothing is installed for it."""
    write(folder, "@hookimpl\ndef get_executor():\n    return 'mine'\n")
    assert get_hooks().get_executor(settings=None) == "mine"


def test_functions_are_given_one_by_one_in_the_order_of_their_calls(folder: Path) -> None:
    """The project's first; each takes the arguments of the hook in order."""
    write(folder, "@hookimpl\ndef find_violations(contract):\n    return [contract]\n")
    mine, *others = get_implementations("find_violations")
    assert mine("rows", "contract") == ["contract"]
    assert [it.__module__ for it in others] == [
        "mlops_ladder.data.validation",
        "mlops_ladder.privacy.rules",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nowhere\n", "ModuleNotFoundError: No module named 'nowhere'; correct it"),
        ("x = [\n", "SyntaxError: .*line 2.*; correct it"),
        ("@hookimpl\ndef after_trainin(): ...\n", "unknown hook 'after_trainin'; hooks are in"),
        ("@hookimpl\ndef watch_predictions(log): ...\n", "'log'.* hooks are in"),
    ],
)
def test_a_file_of_plugins_that_is_wrong_is_told_in_a_line(
    folder: Path, text: str, told: str
) -> None:
    """The error names the file and what is wrong."""
    write(folder, text)
    with pytest.raises(ProjectError, match=f"^src/churn/plugins.py: .*{told}") as error:
        get_hooks()
    assert "\n" not in str(error.value)


def test_a_library_that_is_not_installed_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a hook is called whose function cannot be imported, and no earlier."""
    table: dict[str, Any] = {"level-0": {"after_training": {"lost": "nowhere:record"}}}
    monkeypatch.setattr(plugins, "read_table", lambda: table)
    assert folder.exists() and get_hooks()
    with pytest.raises(ProjectError, match="No module named .*not all is installed; run `make"):
        get_hooks().after_training(trained=None)
