"""What a repository says of itself: package, Python, tests, formatter.  Read, never asked, never run."""

import configparser
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from packaging.specifiers import InvalidSpecifier, SpecifierSet

PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14")
USUAL = "3.11"  # the oldest Python that this template knows, where nothing is said
WORDY = 1_000_000  # bytes: nothing that a person wrote is longer
NO_PACKAGE = {"src", "test", "tests", "doc", "docs", "example", "examples", "script", "scripts"}
TESTED = re.compile(r"^\s*(async )?def test|^class Test|TestCase\)", re.MULTILINE)
RUNS_TESTS = re.compile(r"\bmake\b[^\n|&;]*\btest|\bpytest\b|\btox\b|\bnox\b|unittest")
LENGTH = re.compile(r"^\s*(?:max[-_]line[-_]length|line[-_]length|column_limit)\s*=\s*(\d+)", re.M)
FORMATTERS = {
    "black": (("tool", "black"), r"\bblack(-jupyter)?\b"),
    "ruff": (("tool", "ruff"), r"\bruff-format\b|\bruff format\b"),
    "yapf": (("tool", "yapf"), r"\byapf\b"),
    "autopep8": (("tool", "autopep8"), r"\bautopep8\b"),
}
LINTERS = {
    "pylint": (("tool", "pylint"), r"\bpylint\b"),
    "ruff": (("tool", "ruff"), r"\bruff(-check)?\b(?!-format| format)"),
    "flake8": (("tool", "flake8"), r"\bflake8\b"),
}
OWN_FILES = {
    "ruff": ("ruff.toml", ".ruff.toml"),
    "yapf": (".style.yapf",),
    "pylint": (".pylintrc", "pylintrc", ".pylintrc.toml"),
    "flake8": (".flake8",),
}
SECTIONS = {"yapf": "yapf", "flake8": "flake8", "pylint": "pylint", "pycodestyle": "pycodestyle"}

Table = dict[str, Any]


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
        """What a file of the folder, or of the top, holds; nothing where it is not there, or binary."""
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
        wanted = re.compile(r"\.github/workflows/[^/]+\.ya?ml|\.gitlab-ci\.yml|\.circleci/.+\.yml")
        found = (name for name in self.everything if wanted.fullmatch(name))
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
        return [it for it, path in paths if path.is_file() and b'"output_type"' in path.read_bytes()]

    # ---- Tests

    @cached_property
    def test_files(self) -> list[str]:
        """The files with tests that pytest finds by itself."""
        named = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test)\.py$")
        return [name for name in self.files if named.search(name) and TESTED.search(self.text(name))]

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
        if {"ini_options"} & self.tools.get("pytest", {}).keys() or (
            self.tools.get("pytest") and "pytest.toml" not in self.files
        ):
            return "pyproject.toml"
        sections = self.setup.sections()
        return "setup.cfg" if "tool:pytest" in sections else "tox.ini" * ("pytest" in sections)

    def tested_by(self) -> list[str]:
        """The CI files that run the tests already."""
        return [name for name, text in self.pipelines.items() if RUNS_TESTS.search(text)]

    # ---- Style

    def configured(self, tools: dict[str, tuple[tuple[str, str], str]]) -> tuple[str, str]:
        """Which of these tools is in use here, and what says so; nothing where none is."""
        for name, ((_, table), _) in tools.items():
            if table in self.tools and self.means(name, tools):
                return name, f"[tool.{table}] in pyproject.toml"
            if own := [it for it in OWN_FILES.get(name, ()) if it in self.files]:
                return name, own[0]
            if any(it.startswith(SECTIONS.get(name, "-")) for it in self.setup.sections()):
                return name, "setup.cfg or tox.ini"
        for name, (_, pattern) in tools.items():
            if re.search(pattern, self.commands):
                return name, "what CI, make or the hooks call"
        return "", ""

    def means(self, name: str, tools: dict[str, tuple[tuple[str, str], str]]) -> bool:
        """Does a table stand for this use of a tool?  Ruff has one table, and may only lint or format."""
        if name != "ruff" or tools is LINTERS:
            return True
        return not ("black" in self.tools or re.search(r"\bblack\b", self.commands))

    @cached_property
    def formatter(self) -> tuple[str, str]:
        """The formatter in use, and what says so."""
        return self.configured(FORMATTERS)

    @cached_property
    def linter(self) -> tuple[str, str]:
        """The linter in use, and what says so."""
        return self.configured(LINTERS)

    @cached_property
    def line_length(self) -> tuple[str, str]:
        """The longest line that is allowed, and what says so; nothing where none is."""
        for name in ("pyproject.toml", "setup.cfg", "tox.ini", ".flake8", ".pylintrc", "pylintrc"):
            if found := LENGTH.search(self.text(name)):
                return found[1], name
        for name in ("ruff.toml", ".ruff.toml", ".editorconfig", ".style.yapf"):
            if found := LENGTH.search(self.text(name)):
                return found[1], name
        return "", ""

    @property
    def called_length(self) -> str:
        """The length of lines that black is called with; empty where it is called without one."""
        found = re.search(r"\bblack\b[^\n]*?(?:-l|--line-length)[ =](\d+)", self.commands)
        return found[1] if found else ""

    # ---- Python

    @cached_property
    def python(self) -> tuple[str, str]:
        """The Python that tests run with, and what says so."""
        if found := re.match(r"(?:cpython@|python-)?(3\.\d+)", self.text(".python-version").strip()):
            return found[1], ".python-version"
        allowed, said = self.allowed
        used = re.findall(r"python[-_]?version[\"']?\s*[:=][^\n]*", "\n".join(self.pipelines.values()))
        tried = {it for line in used for it in re.findall(r"3\.\d+\b", line)} & set(allowed)
        if tried:
            return max(tried, key=PYTHONS.index), "what CI uses already"
        texts = self.text("pyproject.toml") + self.text("setup.py") + self.text("setup.cfg")
        named = set(re.findall(r"Programming Language :: Python :: (3\.\d+)", texts)) & set(allowed)
        if named:
            return max(named, key=PYTHONS.index), "the newest of its classifiers"
        recent = [it for it in allowed if PYTHONS.index(it) >= PYTHONS.index(USUAL)]
        return (recent[0] if recent else allowed[-1]), said or "nothing: assumed"

    @cached_property
    def allowed(self) -> tuple[tuple[str, ...], str]:
        """The Pythons that the project allows, and what says so; all where nothing does."""
        asked = re.search(r"python_requires\s*=\s*[\"']?([^\"'\n]+)", self.text("setup.py"))
        places = (
            (self.pyproject.get("project", {}).get("requires-python"), "requires-python"),
            (self.tools.get("poetry", {}).get("dependencies", {}).get("python"), "[tool.poetry]"),
            (asked[1] if asked else None, "setup.py"),
            (self.setup.get("options", "python_requires", fallback=None), "setup.cfg"),
        )
        for text, name in places:
            fitting = tuple(it for it in PYTHONS if isinstance(text, str) and fits(it, text))
            if fitting:
                return fitting, name
        return PYTHONS, ""


def fits(python: str, asked: str) -> bool:
    """Does some release of this Python meet a requirement, also one of poetry (^3.9, ~3.9, 3.9)?"""
    parts = [part.strip() for part in asked.split(",")]
    for part in parts:
        if caret := re.fullmatch(r"\^(3[\d.]*)", part):
            part = f">={caret[1]},<4"
        elif tilde := re.fullmatch(r"~(3\.\d+)(?:\.\d+)?", part):
            part = f"=={tilde[1]}.*"
        elif re.fullmatch(r"3\.\d+", part):
            part = f"=={part}.*"
        try:
            rule = SpecifierSet(part)
        except InvalidSpecifier:
            return False
        if not any(f"{python}.{patch}" in rule for patch in range(0, 30)):
            return False
    return True
