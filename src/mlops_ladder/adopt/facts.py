"""What a repository says of itself: layout, package, tests, CI.  Read, never asked, never run."""

import configparser
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mlops_ladder.adopt.tables import TABLES

WORDY = 1_000_000  # bytes: nothing that a person wrote is longer
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
    """Does each test function need an argument that is no fixture of pytest, and has no default?"""
    for inside in SIGNATURE.findall(text):
        names = [it.split(":")[0].strip() for it in inside.split(",") if "=" not in it]
        if not {it for it in names if it and not it.startswith("*")} - FIXTURES:
            return False
    return True


@dataclass(frozen=True)
class Facts:
    """The files of one folder of a repository, and of the whole where that is another one."""

    root: Path  # the top of the copy
    prefix: str  # the folder that is adopted into, with a slash; empty for the whole
    everything: tuple[str, ...]  # paths below the top

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The paths below the folder."""
        own = (name for name in self.everything if name.startswith(self.prefix))
        return tuple(name.removeprefix(self.prefix) for name in own)

    def text(self, name: str, top: bool = False) -> str:
        """What a file of the folder, or of the top, holds; nothing where there is no text."""
        path = self.root / ("" if top else self.prefix) / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size > WORDY:
            return ""
        return path.read_bytes().decode("utf-8", "replace")

    @cached_property
    def pyproject(self) -> Table:
        """What pyproject.toml says; nothing where it cannot be read."""
        try:
            return tomllib.loads(self.text("pyproject.toml"))
        except tomllib.TOMLDecodeError:
            return {}

    @cached_property
    def tools(self) -> Table:
        """The tool tables of pyproject.toml."""
        found: Table = self.pyproject.get("tool", {})
        return found

    @cached_property
    def setup(self) -> configparser.ConfigParser:
        """What setup.cfg and tox.ini say, read as one."""
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        for name in ("setup.cfg", "tox.ini"):
            try:
                parser.read_string(self.text(name))
            except configparser.Error:
                continue
        return parser

    @cached_property
    def hooks(self) -> tuple[str, ...]:
        """The ids of the hooks that pre-commit runs already."""
        try:
            config = yaml.safe_load(self.text(".pre-commit-config.yaml", top=True))
            return tuple(str(hook["id"]) for repo in config["repos"] for hook in repo["hooks"])
        except (yaml.YAMLError, KeyError, TypeError):
            return ()

    @cached_property
    def commands(self) -> str:
        """Where people write down what they run: make, tox, nox, CI."""
        names = ("Makefile", "tox.ini", "noxfile.py", "tasks.py", "justfile", ".travis.yml")
        texts = [self.text(name) for name in names] + list(self.pipelines.values())
        return "\n".join([*texts, *self.hooks])

    @cached_property
    def pipelines(self) -> dict[str, str]:
        """The CI files of the whole repository."""
        found = (name for name in self.everything if PIPELINES.fullmatch(name))
        return {name: self.text(name, top=True) for name in found}

    # ---- Layout

    @cached_property
    def package(self) -> str:
        """The folder of the package that is imported, `src/name` or `name`; empty without one."""
        tops = [PurePosixPath(name).parent for name in self.files if name.endswith("/__init__.py")]
        inside = [it for it in tops if it.parts[0] == "src" and len(it.parts) == 2]
        flat = [it for it in tops if len(it.parts) == 1 and it.name not in NO_PACKAGE]
        found = sorted(inside or flat, key=lambda it: (-self.weight(it), it))
        return found[0].as_posix() if found else ""

    def weight(self, folder: PurePosixPath) -> int:
        """How many Python files lie below a folder."""
        below = f"{folder}/"
        return sum(name.startswith(below) and name.endswith(".py") for name in self.files)

    @cached_property
    def modules(self) -> list[str]:
        """The Python files that are not tests."""
        return [it for it in self.files if it.endswith(".py") and it not in self.test_files]

    @property
    def layout(self) -> str:
        """How the code lies: a src or a flat package, modules, notebooks only, or no Python."""
        if self.package:
            return "src layout" if self.package.startswith("src/") else "flat layout"
        if any(name.endswith(".py") for name in self.files):
            return "scripts"
        return "notebooks" if self.notebooks else "no Python"

    @cached_property
    def notebooks(self) -> list[str]:
        """The notebooks."""
        return [name for name in self.files if name.endswith(".ipynb")]

    @cached_property
    def shown(self) -> list[str]:
        """The notebooks that keep what their cells have printed or drawn."""
        paths = ((it, self.root / self.prefix / it) for it in self.notebooks)
        return [
            it
            for it, path in paths
            if path.is_file() and not path.is_symlink() and b'"output_type"' in path.read_bytes()
        ]

    # ---- Tests

    @cached_property
    def test_files(self) -> list[str]:
        """The files with tests that pytest finds by itself."""
        return [name for name in self.named_tests if name not in self.uncallable]

    @cached_property
    def named_tests(self) -> list[str]:
        """The files that pytest collects by their name."""
        named = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$")
        return [
            name for name in self.files if named.search(name) and TESTED.search(self.text(name))
        ]

    @cached_property
    def uncallable(self) -> list[str]:
        """The scripts named as tests: their functions need arguments that no fixture gives."""
        texts = {name: self.text(name) for name in self.named_tests}
        plain = {name: text for name, text in texts.items() if not PYTESTS.search(text)}
        if any(name.endswith("conftest.py") for name in self.files):
            return []  # a fixture can come from there
        return [name for name, text in plain.items() if needs_arguments(text)]

    @cached_property
    def test_folder(self) -> str:
        """The one folder in which all tests lie; empty where they lie in several, or at the top."""
        tops = {PurePosixPath(name).parts[0] for name in self.test_files if "/" in name}
        scattered = any("/" not in name for name in self.test_files) or len(tops) != 1
        if scattered or tops == {"src"} or tops == {self.package}:
            return ""
        return tops.pop()

    @cached_property
    def pytest_settings(self) -> str:
        """The file that configures pytest; empty without one."""
        if "pytest.ini" in self.files or ".pytest.ini" in self.files:
            return "pytest.ini"
        if "pytest" in self.tools:
            return "pyproject.toml"
        sections = self.setup.sections()
        return "setup.cfg" if "tool:pytest" in sections else "tox.ini" * ("pytest" in sections)

    @property
    def versioned_by_git(self) -> bool:
        """Does the package take its version from git's tags?"""
        text = self.text("pyproject.toml") + self.text("setup.py") + self.text("setup.cfg")
        return bool(re.search(BY_TAGS, text))
