"""The library: its wheel is its source, it knows its place, and a level brings its own commands."""

import ast
import re
import shutil
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from conftest import fails, LADDER, ok, plant, PROJECT, ROOT, run

from mlops_ladder import cli, project, ProjectError
from mlops_ladder.commands import Command, list_commands, list_library_commands
from mlops_ladder.settings import load_settings

LIBRARY = ROOT / "src" / "mlops_ladder"
TABLE = '[tool.mlops-ladder]\npackage = "churn"\nlevel = {}\n'
CONFIG = 'problem = "regression"\nmetric = "r2"\n[data]\npath = "rows.csv"\n'


def built(source: Path, folder: Path) -> bytes:
    """The wheel of the library in a folder of sources."""
    ok("uv", "build", "--quiet", "--wheel", "--out-dir", str(folder), str(source), at=ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel.read_bytes()


def test_the_wheel_is_the_source(tmp_path: Path) -> None:
    """`make wheel` would change nothing, and a changed source gives another wheel."""
    (kept,) = (PROJECT / "wheels").glob("*.whl")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    assert built(tmp_path / "src", tmp_path / "first") == kept.read_bytes(), "run `make wheel`"
    plant(tmp_path / "src/mlops_ladder/errors.py", "status = 1", "status = 2")
    assert built(tmp_path / "src", tmp_path / "second") != kept.read_bytes()


# What a domain may import: itself and what stands before it.
ORDER = """
errors maturity climb adopt template_cli project files markdown hooks plugins commands application cli append_only_log problem
strict_model templates batch.settings serving.settings monitoring.settings registry.settings pipeline.settings labelling.settings scaling.settings
settings data model tracking export registry pipeline serving batch monitoring serving.rollout pipeline.retraining
labelling privacy governance delivery scaling simulation
""".split()


def module_name(path: Path) -> str:
    """The name of a module of the library, without the library's own."""
    name = path.relative_to(LIBRARY).with_suffix("").as_posix().replace("/", ".")
    return name.removesuffix("__init__").rstrip(".")


MODULES = {module_name(path): path for path in LIBRARY.rglob("*.py") if path.stem != "__main__"}


def imports(path: Path, late: bool = False) -> set[str]:
    """The modules of the library that one of them imports: when it is imported, or also later."""
    found: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if late else tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mlops_ladder"):
            base = (node.module or "").removeprefix("mlops_ladder").lstrip(".")
            names = {f"{base}.{alias.name}".lstrip(".") for alias in node.names}
            found |= (names & MODULES.keys()) or {base}
    return found - {module_name(path)}


def domain(name: str) -> str:
    """The part of the library that a module belongs to."""
    first, _, rest = name.partition(".")
    inner = f"{first}.{rest.partition('.')[0]}"
    return inner if inner in ORDER else first


def test_no_module_imports_itself_by_others() -> None:
    """The imports of the library have no circle."""
    graph = {name: imports(path) - {""} for name, path in MODULES.items() if name}
    while free := {name for name, named in graph.items() if not named}:
        graph = {name: named - free for name, named in graph.items() if name not in free}
    assert graph == {}


def test_every_import_names_the_whole_path() -> None:
    """A search for a module finds who uses it."""
    relative = {
        name
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.level
    }
    assert relative == set()


def test_the_parts_of_the_library_import_inward() -> None:
    """A part imports only those before it in the order of the design; hooks only name types of others."""
    wrong = {
        (name, other)
        for name, path in MODULES.items()
        for other in imports(path, late=name != "hooks") - {""}
        if name and ORDER.index(domain(other)) > ORDER.index(domain(name))
    }
    assert wrong == set()


@pytest.mark.parametrize("part", ["maturity", "climb", "adopt"])
def test_what_works_on_any_repository_needs_no_other_part(part: str) -> None:
    """It is also installed without the rest, and for folders that are no project."""
    named = {
        domain(it)
        for name in MODULES
        if domain(name) == part
        for it in imports(MODULES[name], late=True)
    }
    assert named - {""} <= {part, "errors"}


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a project of level 1."""
    (tmp_path / "pyproject.toml").write_text(TABLE.format(1), encoding="utf-8")
    (tmp_path / "config.toml").write_text(CONFIG, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    project.read_project.cache_clear()
    return tmp_path


def test_a_project_is_named_by_its_table(folder: Path) -> None:
    """The names of settings and namespaces follow from the package."""
    known = project.get_project()
    assert (known.package, known.level, known.prefix) == ("churn", 1, "CHURN_")
    assert known.namespace == "churn" and not known.people and folder.exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"needs package"),
        ("[tool.mlops-ladder]\nlevel = 1\n", r"needs package"),
        ('[tool.mlops-ladder]\npackage = "churn"\nlevel = "high"\n', r"level = 0 to 4"),
        ("[tool", "not valid TOML"),
    ],
)
def test_a_table_that_says_too_little_is_refused(folder: Path, text: str, told: str) -> None:
    """The error names the file and what it needs."""
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")
    project.read_project.cache_clear()
    with pytest.raises(ProjectError, match=f"pyproject.toml: .*{told}"):
        project.get_project()


def test_outside_of_a_project_the_folder_is_named(tmp_path: Path) -> None:
    """Without pyproject.toml nothing is guessed."""
    with pytest.raises(ProjectError, match=f"pyproject.toml: not in {tmp_path}/none"):
        project.read_project(tmp_path / "none")


@pytest.mark.parametrize(
    ("file", "text", "told"),
    [
        ("config.toml", CONFIG + "[drift]\nrows = 50\n", r"\[drift\] belongs in config/drift.toml"),
        ("config/drfit.toml", "[drift]\nrows = 50\n", r"\[drift\] belongs in config/drift.toml"),
        ("config/gate.toml", "[drift]\nrows = 50\n", r"\[drift\] belongs in config/drift.toml"),
        ("config/gate.toml", "min_gain = 1\n", r"min_gain stands outside of \[gate\]"),
        (
            "config/gate.toml",
            "[gate]\nmingain = 1\n",
            "gate.mingain: unknown key; known are min_gain",
        ),
        ("config/gate.toml", "[gate\n", "not valid TOML"),
    ],
)
def test_a_section_that_nobody_would_read_is_refused(
    folder: Path, file: str, text: str, told: str
) -> None:
    """A section has one file; in another one it would have no effect."""
    (folder / "pyproject.toml").write_text(TABLE.format(4), encoding="utf-8")
    project.read_project.cache_clear()
    (folder / "config").mkdir()
    (folder / file).write_text(text, encoding="utf-8")
    with pytest.raises(ProjectError, match=f"{file}: {told}"):
        load_settings()


def test_each_section_is_read_from_its_file(folder: Path) -> None:
    """The environment wins over it, and arguments over both."""
    (folder / "pyproject.toml").write_text(TABLE.format(4), encoding="utf-8")
    project.read_project.cache_clear()
    (folder / "config").mkdir()
    (folder / "config/gate.toml").write_text("[gate]\nmin_gain = 0.5\n", encoding="utf-8")
    (folder / "config/own.toml").write_text("mode = 'report'\n", encoding="utf-8")  # of a check
    assert load_settings().gate.min_gain == 0.5


@pytest.mark.usefixtures("folder")
def test_a_level_has_the_commands_of_its_own_and_those_below() -> None:
    """What a higher level brings is not there."""
    assert {"train", "predict", "card"} <= list_commands().keys()
    assert not {"pipeline", "drift", "rollout"} & list_commands().keys()


def test_a_climb_brings_commands_without_an_installation(folder: Path) -> None:
    """The table is all that has to change."""
    (folder / "pyproject.toml").write_text(TABLE.format(4), encoding="utf-8")
    project.read_project.cache_clear()
    assert {"train", "pipeline", "drift", "rollout"} <= list_commands().keys()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[drift]\nrows = 5\n", "drift: unknown key"),
        ("[tuning]\ntrials = 1\n", "tuning: unknown key"),
    ],
)
def test_a_section_of_a_higher_level_is_refused(folder: Path, text: str, told: str) -> None:
    """It would have no effect; the sections that have one are named."""
    (folder / "config.toml").write_text(CONFIG + text, encoding="utf-8")
    with pytest.raises(ProjectError, match=f"config.toml: {told}; known are problem, metric"):
        load_settings()


def test_a_variable_of_a_higher_level_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that there never was."""
    monkeypatch.setenv("CHURN_DRIFT__ROWS", "5")
    with pytest.raises(ProjectError, match="CHURN_DRIFT__ROWS: "):
        load_settings()
    assert folder.exists()


def test_every_plugin_leads_to_a_function() -> None:
    """Each line of plugins.toml names a function that its module defines."""
    lost = []
    for line in (LIBRARY / "plugins.toml").read_text(encoding="utf-8").splitlines():
        name, _, target = line.partition(" = ")
        if target:
            module, _, function = target.strip('"').partition(":")
            body = ast.parse(MODULES[module].read_text(encoding="utf-8")).body
            if function not in {getattr(node, "name", "") for node in body}:
                lost.append(name)
    assert lost == []


def test_every_command_leads_to_a_function() -> None:
    """Each line of commands.toml names a function that its module defines, and says what it does."""
    assert [command.name for command in list_library_commands() if not defined(command)] == []
    assert [command.name for command in list_library_commands() if len(command.help) > 70] == []


def defined(command: Command) -> bool:
    """Does the module of a command define its function?"""
    module = command.target.module.removeprefix("mlops_ladder.")
    body = ast.parse(MODULES[module].read_text(encoding="utf-8")).body
    return command.target.attr in {getattr(node, "name", "") for node in body}


def test_help_groups_the_commands_and_imports_none(folder: Path) -> None:
    """A line for each, under its domain; a module is imported when its command runs."""
    script = "import sys, mlops_ladder; sys.argv[1:] = ['--help']; mlops_ladder.main();"
    script += "print(sorted({name.split('.')[1] for name in sys.modules if '.' in name"
    script += " and name.startswith('mlops_ladder')}))"
    told = ok(sys.executable, "-c", script, at=folder)
    assert re.search(r"─ Data ─.*contract +describe your own data.*─ Model ─.*train", told, re.S)
    assert "pipeline" not in told
    wanted = ["application", "cli", "commands", "errors", "files", "project"]
    assert told.splitlines()[-1] == str(wanted)


def test_a_wrong_option_ends_with_the_usage(folder: Path) -> None:
    """The status is 2, as of other programs."""
    done = run(sys.executable, "-m", "mlops_ladder", "contract", "--dat", "rows.csv", at=folder)
    assert done.returncode == 2
    assert "Usage: ladder contract" in done.stderr and "No such option: --dat" in done.stderr


def test_a_command_that_needs_a_file_comes_with_it(folder: Path) -> None:
    """Infrastructure is judged only where there is some."""
    (folder / "pyproject.toml").write_text(TABLE.format(4), encoding="utf-8")
    project.read_project.cache_clear()
    assert "provision" not in list_commands()
    (folder / "deploy/infra").mkdir(parents=True)
    assert "provision" in list_commands()


def test_what_serves_needs_python_and_the_wheel_alone(folder: Path) -> None:
    """Where no environment is, commands of delivery run from the wheel: no package is imported."""
    (folder / "pyproject.toml").write_text(TABLE.format(4), encoding="utf-8")
    (wheel,) = (PROJECT / "wheels").glob("*.whl")
    names = {command.target.module for command in list_library_commands() if command.alone}
    script = f"import sys; sys.path.insert(0, {str(wheel)!r}); import mlops_ladder, importlib;"
    script += f"[importlib.import_module(name) for name in {sorted(names)}];"
    script += "sys.argv[1:] = ['backup', 'make']; sys.exit(mlops_ladder.main())"
    said = fails(sys.executable, "-I", "-S", "-c", script, at=folder)
    assert said.startswith("Refused: nothing to keep: no mlflow.db here")


def greet(words: list[str]) -> None:
    """A command that needs no project."""
    print("Hello", *words)


def test_a_command_of_any_level_needs_no_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It runs, and is listed, where no other one is."""
    target = EntryPoint("greet", f"{__name__}:greet", "commands")
    known = [*list_library_commands(), Command("greet", "project", "say hello", target, "any")]
    monkeypatch.setattr("mlops_ladder.commands.list_library_commands", lambda: known)
    monkeypatch.chdir(tmp_path)
    cli.dispatch_command(["greet", "Ada"])
    assert capsys.readouterr().out == "Hello Ada\n"
    cli.dispatch_command(["--help"])
    told = capsys.readouterr().out
    assert "say hello" in told and "train" not in told
    with pytest.raises(ProjectError, match="pyproject.toml: not in"):
        cli.dispatch_command(["train"])


def test_outside_of_a_project_the_command_says_so(tmp_path: Path) -> None:
    """In a line, with the file that is not there."""
    told = fails("python", "-m", "mlops_ladder", "train", at=tmp_path)
    assert told.startswith("Error: pyproject.toml: not in") and "Traceback" not in told


def test_outside_of_a_project_there_are_the_commands_that_need_none(tmp_path: Path) -> None:
    """They are listed, and work; what lies in the folder is not imported."""
    for name in ("yaml", "argparse", "plugins"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    told = ok(LADDER, "--help", at=tmp_path)
    assert "maturity" in told and "climb" in told and "train" not in told
    assert ok(LADDER, "maturity", at=tmp_path).startswith("claimed nothing | equipped below 0")
    assert ".cruft.json is missing" in fails(LADDER, "climb", "2", at=tmp_path)
