"""What the tests of the template share: a copy of the template as it stands, and projects of it."""

import importlib.util
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from cookiecutter.main import cookiecutter
from engines import Engine, stocked_engine
from scheduling import FileScheduling

ROOT = Path(__file__).resolve().parents[1]
PROJECT = ROOT / "{{cookiecutter.project_slug}}"
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "capabilities.yml").read_text(encoding="utf-8"))
QUESTIONS: dict[str, Any] = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
CHOICES = {
    name: choices
    for name, choices in QUESTIONS.items()
    if isinstance(choices, list) and not name.startswith("_")
}
LEVELS = sorted(CHOICES["maturity_level"])
BUILT = ["0", "1", "2", "3", "4"]
FIXED = {"author_name": "Ada Lovelace", "author_email": "ada@example.com", "python_version": "3.11"}

LADDER = str(Path(sys.executable).with_name("ladder"))  # the library as it stands

Generate = Callable[..., Path]

# These tests keep every core busy: a second process of a project's own tests would only cost.
os.environ.setdefault("PYTEST_XDIST_AUTO_NUM_WORKERS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # busy waiting is slow on a busy machine
# pylint takes two minutes of each `make check`.  It runs where a test asks for it (SKIP="").
os.environ.setdefault("SKIP", "pylint")
# Which of many faults of one kind are planted this time; the workers of pytest-xdist get it from here.
DRAW = os.environ.setdefault("DRAW", str(random.SystemRandom().randrange(10**6)))


# Files that take minutes come first, so that no process waits for the other at the end.
FIRST = (
    "level_3_stack level_2_delivery level_3_kubernetes level_2_ci level_4_pods projects maturity_deep level_3_drill"
    " level_4_simulation maturity level_2_pipeline level_2_registry adopt_hooks level_2_serving"
).split()
# What takes an hour in all: `make test-systems` has some of these files, drawn, and `make test-all` every one.
LONG = (
    "adopt adopt_hooks answers batch_kills batch_only climb level_2_export level_3_agreed level_3_drill level_3_gate level_3_practice"
    " level_3_privacy level_4_simulation maturity maturity_deep own_data rendering right_adopt right_answers right_look"
    " right_place"
).split()
FILES_DRAWN = 5
ANYWHERE_LANE, SYSTEMS_LANE = "not systems and not long", "systems or long"  # as in the Makefile

# What needs an engine, root or Debian's packages: such files and fixtures, by their names.
SYSTEMS = set(
    "level_2_ci level_2_delivery level_3_kubernetes level_3_monitoring level_3_stack level_4_cloud level_4_improvement"
    " level_4_pods sources".split()
)
SYSTEM_FIXTURES = {"engine", "server"}


def needs_systems(item: pytest.Item) -> bool:
    """Does a test need more than Python, git and make?"""
    name = item.path.stem.removeprefix("test_")
    return name in SYSTEMS or bool(SYSTEM_FIXTURES & {*getattr(item, "fixturenames", ())})


def mark_lane(item: pytest.Item) -> None:
    """Mark a test that `make test` leaves out, with the reason."""
    name = item.path.stem.removeprefix("test_")
    if needs_systems(item):
        item.add_marker(pytest.mark.systems)
    elif name == "projects" or name in LONG and item.get_closest_marker("slow"):
        item.add_marker(pytest.mark.long)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FileScheduling:
    """Distribute the tests by file."""
    return FileScheduling(config, log)


def place(item: pytest.Item) -> int:
    """Where the file of a test comes."""
    name = item.path.stem.removeprefix("test_")
    return FIRST.index(name) if name in FIRST else len(FIRST)


def find_undrawn(config: pytest.Config, items: list[pytest.Item]) -> set[pytest.Item]:
    """Return what a run leaves out: faults of a kind, and in the lane of systems long files."""
    if DRAW == "all":
        return set()
    undrawn: set[pytest.Item] = set()
    if config.option.markexpr == SYSTEMS_LANE:
        names = set(random.Random(DRAW).sample(LONG, len(LONG) - FILES_DRAWN))
        long = [item for item in items if item.get_closest_marker("long")]
        undrawn |= {item for item in long if item.path.stem.removeprefix("test_") in names}
    kinds: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("drawn"):
            kinds[item.nodeid.partition("[")[0]].append(item)
    for name, kind in kinds.items():
        marker = kind[0].get_closest_marker("drawn")
        count = min(len(kind), marker.args[0] if marker else 0)
        undrawn |= set(kind) - set(random.Random(DRAW + name).sample(kind, count))
    return undrawn


def pytest_report_header(config: pytest.Config) -> list[str]:
    """How to repeat what was drawn, and what is left out."""
    lines = [f"DRAW={DRAW} draws the same again, DRAW=all runs every test and plants every fault"]
    if config.option.markexpr == ANYWHERE_LANE:
        lines.append("left out: what needs an engine, root or Debian's packages, or takes long:")
        lines.append("  make test-systems")
    elif config.option.markexpr == SYSTEMS_LANE:
        lines.append(
            f"of {len(LONG)} files that take long {FILES_DRAWN} are drawn; all: make test-all"
        )
    return lines


@pytest.hookimpl(tryfirst=True)  # before `-m` asks for marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each test its lane, and put the longest files first; leave out what is not drawn."""
    for item in items:
        mark_lane(item)
    items.sort(key=place)
    if undrawn := find_undrawn(config, items):
        config.hook.pytest_deselected(items=[item for item in items if item in undrawn])
        items[:] = [item for item in items if item not in undrawn]


def files(project: Path) -> dict[str, bytes]:
    """Every file of a project but git's own, as path to content."""
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in sorted(project.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(project).parts
    }


def outside_make() -> dict[str, str]:
    """The environment without what the make that runs the tests hands on to makes below it."""
    inherited = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "GNUMAKEFLAGS"}
    return {name: value for name, value in os.environ.items() if name not in inherited}


def run(*command: str, at: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command; what it printed and how it ended."""
    return subprocess.run(
        command,
        cwd=at,
        env={"PYTHONUTF8": "1"} | outside_make() | environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def ok(*command: str, at: Path, **environment: str) -> str:
    """What a command prints; it must end well."""
    done = run(*command, at=at, **environment)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def fails(*command: str, at: Path, **environment: str) -> str:
    """What a command prints; it must fail."""
    done = run(*command, at=at, **environment)
    assert done.returncode != 0, f"{command}\n{done.stdout}"
    return done.stdout + done.stderr


def on_full_disk(line: str, limit: int, imported: str = "sys") -> str:
    """A script that runs a line of Python while no file may get longer than `limit` bytes.

    What it imports before that may write its bytecode.
    """
    return f"""
import resource, signal, sys
import {imported}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
{line}
"""


def plant(path: Path, old: str, new: str, count: int = -1) -> None:
    """Put a fault into a file; the text that it replaces must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path} does not hold {old!r} any more"
    path.write_text(text.replace(old, new, count), encoding="utf-8")


SPOILT: list[tuple[Path, bytes]] = []  # files of installed libraries, and what they held


def spoil(project: Path, module: str, old: str, new: str, count: int = -1) -> None:
    """Put a fault into the library that a project has installed, until the end of the test."""
    (path,) = project.glob(f".venv/lib/python*/site-packages/mlops_ladder/{module}")
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{module} does not hold {old!r} any more"
    SPOILT.append((path, path.read_bytes()))
    rewrite(path, text.replace(old, new, count).encode())


def rewrite(path: Path, content: bytes) -> None:
    """Write a file of an environment anew: uv's cache may hold the same one, and Python its own."""
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        compiled.unlink()
    path.unlink()
    path.write_bytes(content)


@pytest.fixture(autouse=True)
def _unspoilt() -> Iterator[None]:
    """What a test has spoilt in an environment is as it was."""
    yield
    while SPOILT:
        rewrite(*SPOILT.pop())


def rewheel(project: Path, module: str, old: str, new: str) -> None:
    """Put a fault into the wheel that a project brings, and name its sha256 in the lock."""
    (path,) = project.glob("wheels/*.whl")
    before = sha256(path.read_bytes()).hexdigest()
    with ZipFile(path) as wheel:
        parts = {entry: wheel.read(entry) for entry in wheel.infolist()}
    with ZipFile(path, "w") as wheel:
        for entry, content in parts.items():
            if entry.filename == f"mlops_ladder/{module}":
                assert old.encode() in content, f"{module} does not hold {old!r} any more"
                content = content.replace(old.encode(), new.encode())
            wheel.writestr(entry, content)
    plant(project / "uv.lock", before, sha256(path.read_bytes()).hexdigest())


def domain_tests(module: str) -> list[str]:
    """Return what tests a module of the library: the file named after it, then its domain's folder."""
    path = Path(module)
    names = [(path.parent / f"test_{path.name}").as_posix(), path.parts[0]]
    return [name for name in names if (ROOT / "tests/library" / name).exists()]


def kill_mutant(folder: Path, module: str, old: str, new: str, *tests: str) -> str:
    """Run tests of the library against a copy of it with a fault; they must fail.  What they print.

    Without names of tests: those of the module's domain.
    """
    shutil.copytree(
        ROOT / "src/mlops_ladder",
        folder / "mlops_ladder",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    plant(folder / "mlops_ladder" / module, old, new, 1)
    paths = [ROOT / "tests/library" / name for name in tests or domain_tests(module)]
    assert all(path.exists() for path in paths), paths
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = run(*command, *map(str, paths), at=ROOT, PYTHONPATH=str(folder))
    assert done.returncode == 1, f"{module}: no test of {paths} fails\n{done.stdout}{done.stderr}"
    return done.stdout


def commands(readme: Path) -> list[str]:
    """The commands in the fenced blocks of a README, in order; a block of a language has none."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", readme.read_text("utf-8"), re.S | re.M)
    texts = [text for language, text in blocks if not language]
    return [line for text in texts for line in text.splitlines() if line.strip()]


def commit(repository: Path, message: str = "As it is") -> None:
    """Commit all that stands in the folder, as somebody, and sign nothing."""
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", message]):
        subprocess.run(["git", *who, *command], cwd=repository, check=True)


def copy_template(copy: Path) -> Path:
    """Copy the template as it stands in the working tree into a repository of its own, tagged v0."""
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", at=ROOT)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    commit(copy)
    subprocess.run(["git", "tag", "v0"], cwd=copy, check=True)
    return copy


def render(template: Path, folder: Path, **answers: str) -> Path:
    """Generate a project of a copy of the template into a folder."""
    with pytest.MonkeyPatch.context() as patch:
        # Its extensions are those of the copy, also where a tool has imported ours.
        patch.delitem(sys.modules, "local_extensions", raising=False)
        patch.setattr(sys, "path", [str(template), *sys.path])
        project = cookiecutter(
            str(template),
            no_input=True,
            default_config=True,
            extra_context=FIXED | answers,
            output_dir=str(folder),
        )
    return Path(project)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it stands in the working tree, in a repository of its own, tagged v0."""
    return copy_template(tmp_path_factory.mktemp("template") / "mlops-ladder")


@pytest.fixture(scope="session")
def generate(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Generate:
    """`generate(maturity_level="1", …)` gives a project; the same answers give the same one.

    Copy it before you change it.
    """
    made: dict[tuple[tuple[str, str], ...], Path] = {}

    def generated(**answers: str) -> Path:
        key = tuple(sorted(answers.items()))
        if key not in made:
            made[key] = render(template, tmp_path_factory.mktemp("project"), **answers)
        return made[key]

    return generated


@pytest.fixture(scope="session")
def environment(generate: Generate) -> Callable[..., Path]:
    """`environment(framework=…)`: the Python of an environment in which level 1 is installed.

    The package is left out of it: set PYTHONPATH to the `src` of a project.
    """
    made: dict[str, Path] = {}

    def of(framework: str = "scikit-learn") -> Path:
        if framework not in made:
            project = generate(maturity_level="1", framework=framework)
            done = run("uv", "sync", "--quiet", "--no-install-project", at=project)
            assert done.returncode == 0, done.stderr
            made[framework] = project / ".venv" / "bin" / "python"
        return made[framework]

    return of


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A Docker engine with stand-ins for the images of Python and of the proxy; deleted at the end."""
    with stocked_engine(tmp_path_factory.mktemp("engine")) as started:
        yield started


def module(path: str) -> Any:
    """A module of the template under a name of its own: cookiecutter imports the real one."""
    spec = importlib.util.spec_from_file_location(f"template_{Path(path).stem}", ROOT / path)
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def python() -> str:
    """The Python that runs the tests."""
    return sys.executable
