"""Facts about a repository: layout, package, tests, CI.  Its files are read, never executed."""

import configparser
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mlops_ladder.adopt.tables import TABLES

WORDY = 1_000_000  # bytes: a larger file was not written by a person
NO_PACKAGE = set(TABLES["no_package"])
TESTED = re.compile(r"^\s*(async )?def test|^class Test|TestCase\)", re.MULTILINE)
PIPELINES = re.compile(
    r"\.github/workflows/[^/]+\.ya?ml|\.gitlab-ci\.ya?ml|\.gitlab/.+\.ya?ml|\.circleci/.+\.ya?ml"
    r"|\.travis\.ya?ml|\.?azure-pipelines[^/]*\.ya?ml|\.azure(?:-pipelines)?/.+\.ya?ml|Jenkinsfile"
    r"|\.?appveyor\.ya?ml|\.cirrus\.ya?ml|\.drone\.ya?ml|bitbucket-pipelines\.ya?ml"
    r"|\.buildkite/.+\.ya?ml|\.woodpecker(?:/.+)?\.ya?ml|\.semaphore/.+\.ya?ml"
)
BY_TAGS = r"setuptools[-_]scm|hatch-vcs|versioneer|dynamic-versioning|versioning|\bpbr\b"
Table = dict[str, Any]


PYTESTS = re.compile(r"pytest|unittest|^class Test|^\s+(?:async )?def test", re.MULTILINE)
SIGNATURE = re.compile(r"^(?:async )?def test\w*\(([^)]*)\)", re.MULTILINE)
FIXTURES = set(TABLES["fixtures"])


def needs_arguments(text: str) -> bool:
    """Return whether each test function needs an argument that pytest cannot provide."""
    for inside in SIGNATURE.findall(text):
        names = [part.split(":")[0].strip() for part in inside.split(",") if "=" not in part]
        if not {name for name in names if name and not name.startswith("*")} - FIXTURES:
            return False
    return True


@dataclass(frozen=True)
class Facts:
    """The files of a repository, and of the folder in it that is adopted into."""

    root: Path  # the top of the copy
    prefix: str  # the folder that is adopted into, with a slash; empty for the whole
    everything: tuple[str, ...]  # paths below the top

    @cached_property
    def files(self) -> tuple[str, ...]:
        """Return the paths below the folder."""
        own = (name for name in self.everything if name.startswith(self.prefix))
        return tuple(name.removeprefix(self.prefix) for name in own)

    def text(self, name: str, top: bool = False) -> str:
        """Return the text of a file of the folder, or of the top; empty if there is none."""
        path = self.root / ("" if top else self.prefix) / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size > WORDY:
            return ""
        return path.read_bytes().decode("utf-8", "replace")

    @cached_property
    def pyproject(self) -> Table:
        """Return the content of pyproject.toml; {} if it cannot be read."""
        try:
            return tomllib.loads(self.text("pyproject.toml"))
        except tomllib.TOMLDecodeError:
            return {}

    @cached_property
    def tools(self) -> Table:
        """Return the tool tables of pyproject.toml."""
        tables: Table = self.pyproject.get("tool", {})
        return tables

    @cached_property
    def setup(self) -> configparser.ConfigParser:
        """Return the settings of setup.cfg and tox.ini, read as one."""
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        for name in ("setup.cfg", "tox.ini"):
            try:
                parser.read_string(self.text(name))
            except configparser.Error:
                continue
        return parser

    @cached_property
    def hooks(self) -> tuple[str, ...]:
        """Return the ids of the hooks that pre-commit runs already."""
        try:
            config = yaml.safe_load(self.text(".pre-commit-config.yaml", top=True))
            return tuple(str(hook["id"]) for repo in config["repos"] for hook in repo["hooks"])
        except (yaml.YAMLError, KeyError, TypeError):
            return ()

    @cached_property
    def commands(self) -> str:
        """Return the text of the files that hold commands: make, tox, nox, CI."""
        names = ("Makefile", "tox.ini", "noxfile.py", "tasks.py", "justfile", ".travis.yml")
        texts = [self.text(name) for name in names] + list(self.pipelines.values())
        return "\n".join([*texts, *self.hooks])

    @cached_property
    def pipelines(self) -> dict[str, str]:
        """Return the texts of the CI files of the whole repository, by path."""
        names = (name for name in self.everything if PIPELINES.fullmatch(name))
        return {name: self.text(name, top=True) for name in names}

    # ---- Layout

    @cached_property
    def package(self) -> str:
        """Return the folder of the imported package, `src/name` or `name`; empty without one."""
        tops = [PurePosixPath(name).parent for name in self.files if name.endswith("/__init__.py")]
        inside = [path for path in tops if path.parts[0] == "src" and len(path.parts) == 2]
        flat = [path for path in tops if len(path.parts) == 1 and path.name not in NO_PACKAGE]
        paths = sorted(inside or flat, key=lambda path: (-self.weight(path), path))
        return paths[0].as_posix() if paths else ""

    def weight(self, folder: PurePosixPath) -> int:
        """Return the number of Python files below a folder."""
        below = f"{folder}/"
        return sum(name.startswith(below) and name.endswith(".py") for name in self.files)

    @cached_property
    def modules(self) -> list[str]:
        """Return the Python files that are not tests."""
        return [name for name in self.files if name.endswith(".py") and name not in self.test_files]

    @property
    def layout(self) -> str:
        """Return the layout: a src or a flat package, scripts, notebooks only, or no Python."""
        if self.package:
            return "src layout" if self.package.startswith("src/") else "flat layout"
        if any(name.endswith(".py") for name in self.files):
            return "scripts"
        return "notebooks" if self.notebooks else "no Python"

    @cached_property
    def notebooks(self) -> list[str]:
        """Return the paths of the notebooks."""
        return [name for name in self.files if name.endswith(".ipynb")]

    @cached_property
    def shown(self) -> list[str]:
        """Return the notebooks that hold the output of their cells."""
        paths = ((name, self.root / self.prefix / name) for name in self.notebooks)
        return [
            name
            for name, path in paths
            if path.is_file() and not path.is_symlink() and b'"output_type"' in path.read_bytes()
        ]

    # ---- Tests

    @cached_property
    def test_files(self) -> list[str]:
        """Return the files with tests that pytest finds by itself."""
        return [name for name in self.named_tests if name not in self.uncallable]

    @cached_property
    def named_tests(self) -> list[str]:
        """Return the files with tests that pytest collects by their name."""
        named = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$")
        return [
            name for name in self.files if named.search(name) and TESTED.search(self.text(name))
        ]

    @cached_property
    def uncallable(self) -> list[str]:
        """Return the scripts that are named like tests but whose functions pytest cannot call."""
        texts = {name: self.text(name) for name in self.named_tests}
        plain = {name: text for name, text in texts.items() if not PYTESTS.search(text)}
        if any(name.endswith("conftest.py") for name in self.files):
            return []  # a fixture can come from there
        return [name for name, text in plain.items() if needs_arguments(text)]

    @cached_property
    def test_folder(self) -> str:
        """Return the one folder that holds all tests; empty if there are several, or the top."""
        tops = {PurePosixPath(name).parts[0] for name in self.test_files if "/" in name}
        scattered = any("/" not in name for name in self.test_files) or len(tops) != 1
        if scattered or tops == {"src"} or tops == {self.package}:
            return ""
        return tops.pop()

    @cached_property
    def pytest_settings(self) -> str:
        """Return the file that configures pytest; empty without one."""
        if "pytest.ini" in self.files or ".pytest.ini" in self.files:
            return "pytest.ini"
        if "pytest" in self.tools:
            return "pyproject.toml"
        sections = self.setup.sections()
        return "setup.cfg" if "tool:pytest" in sections else "tox.ini" * ("pytest" in sections)

    @property
    def versioned_by_git(self) -> bool:
        """Return whether the package takes its version from git's tags."""
        text = self.text("pyproject.toml") + self.text("setup.py") + self.text("setup.cfg")
        return bool(re.search(BY_TAGS, text))
