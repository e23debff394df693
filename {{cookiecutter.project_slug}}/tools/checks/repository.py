"""A repository as the checks see it: files, git, and what runs have recorded.  Only ever read."""

import json
import os
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from . import Unknown
from .capabilities import LOADER, capability_list, within
from .syntax import imported

HERE = Path(__file__).resolve().parent
SKIPPED = {".git", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".pytest_cache"}
LARGE = 1_000_000  # bytes: nothing that a person wrote is longer
SAMPLE = "data/sample/"

Facts = dict[str, Any]


class Repository:
    """The files of a folder, what git knows of them, and what MLflow has recorded there."""

    def __init__(self, root: Path, environment: dict[str, str] | None = None) -> None:
        self.root = root.resolve()
        self.environment = dict(os.environ) if environment is None else environment
        self.capabilities: Facts = capability_list()["capabilities"]
        self.choices: Facts = capability_list()["choices"]
        self._texts: dict[str, str] = {}
        self._parsed: dict[str, Any] = {}

    @cached_property
    def files(self) -> list[str]:
        """The paths of all files that git would keep; without git, of all but known clutter."""
        try:
            listed = self.git("ls-files", "-z", "--cached", "--others", "--exclude-standard", ".")
            names = {name for name in listed.split("\0") if name}
        except Unknown:
            found = (path.relative_to(self.root) for path in self.root.rglob("*"))
            names = {path.as_posix() for path in found if not SKIPPED & set(path.parts)}
        return sorted(name for name in names if (self.root / name).is_file())

    def text(self, name: str) -> str:
        """What a file holds; nothing where it is not there, not text, or too long to be written."""
        if name not in self._texts:
            path = self.root / name
            fits = path.is_file() and path.stat().st_size < LARGE
            self._texts[name] = path.read_bytes().decode("utf-8", "replace") if fits else ""
        return self._texts[name]

    def parsed(self, name: str) -> Any:
        """What a TOML, YAML or JSON file holds; None where it is not there or cannot be read."""
        if name not in self._parsed:
            self._parsed[name] = self._read(name)
        return self._parsed[name]

    def _read(self, name: str) -> Any:
        try:
            if name.endswith(".toml"):
                return tomllib.loads(self.text(name))
            if name.endswith((".json", ".ipynb")):
                return json.loads(self.text(name))
            documents = list(yaml.load_all(self.text(name), Loader=LOADER))
            return documents[0] if len(documents) == 1 else documents
        except (ValueError, yaml.YAMLError):
            return None

    def glob(self, *patterns: str) -> list[str]:
        """The files that fit one of these globs, or lie in a folder that does."""
        return [name for name in self.files if any(within(name, it) for it in patterns)]

    def run(self, *command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """How a command ended here.  Unknown where there is no such program, or no end."""
        clean = {k: v for k, v in self.environment.items() if k not in ("GIT_DIR", "GIT_WORK_TREE")}
        clean |= {"LC_ALL": "C", "PYTHONUTF8": "1"}
        options: Facts = {"cwd": self.root, "env": clean, "timeout": timeout}
        try:
            return subprocess.run(
                command, **options, capture_output=True, text=True, errors="replace", check=False
            )
        except OSError as error:
            raise Unknown(f"{command[0]}: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise Unknown(f"{' '.join(command[:3])}: no end after {timeout:.0f} s") from error

    def git(self, *arguments: str) -> str:
        """What git answers.  Unknown where this is no repository, or git fails."""
        done = self.run("git", "-c", "core.quotepath=off", *arguments)
        if done.returncode:
            raise Unknown((done.stderr.strip() or "git failed").splitlines()[0])
        return done.stdout

    @cached_property
    def answers(self) -> dict[str, str]:
        """The answers that the project was made with; none in a repository that we did not make."""
        known = self.parsed(".cruft.json") if ".cruft.json" in self.files else None
        try:
            return dict(known["context"]["cookiecutter"])  # type: ignore[index]
        except (KeyError, TypeError, ValueError):
            return {}

    @property
    def ours(self) -> bool:
        """Was it made by the template?"""
        return "maturity_level" in self.answers

    @cached_property
    def pyproject(self) -> Facts:
        """What pyproject.toml says, or nothing."""
        return self.parsed("pyproject.toml") or {}

    @cached_property
    def package(self) -> str:
        """The folder of the package that is imported, `src/name` or `name`; empty without one."""
        tops = [PurePosixPath(name) for name in self.files if name.endswith("/__init__.py")]
        tops = [path.parent for path in tops if len(path.parts) <= 3]
        inside = [top for top in tops if top.parts[0] == "src" or len(top.parts) == 1]
        named = self.answers.get("package_name")
        found = [top for top in inside if top.name == named] or [
            top for top in inside if top.name not in ("src", "tests", "test", "docs")
        ]
        return found[0].as_posix() if found else ""

    def python(self) -> Iterator[str]:
        """The Python files that are not tests."""
        for name in self.files:
            if name.endswith(".py") and not {"tests", "test"} & set(PurePosixPath(name).parts):
                yield name

    @cached_property
    def owners(self) -> dict[str, str]:
        """The capability of each file: the one whose glob names most of its path."""
        found = {}
        for name in self.files:
            fits = [
                (within(name, pattern), capability)
                for capability, entry in self.capabilities.items()
                for pattern in entry.get("paths", [])
            ]
            depth, capability = max(fits, default=(0, ""))
            if depth:
                found[name] = capability
        return found

    def own(self, capability: str) -> list[str]:
        """The files that show a capability: those it owns, or elsewhere those that look like it."""
        if self.ours:
            return [name for name, owner in self.owners.items() if owner == capability]
        entry = self.capabilities[capability]
        if not self.visible(capability):
            return []
        seen = set(self.glob(*entry.get("elsewhere", [])))
        wanted = set(entry.get("imports", []))
        seen |= {name for name in self.python() if wanted & self.imports(name)}
        return sorted(seen)

    def visible(self, capability: str) -> bool:
        """Could files show it?  In a repository that we did not make, some leave no sign."""
        return self.ours or bool({"elsewhere", "imports"} & self.capabilities[capability].keys())

    def imports(self, name: str) -> set[str]:
        """The modules of others that a Python file imports."""
        return set(imported(self.text(name)))

    @cached_property
    def records(self) -> Facts:
        """What MLflow holds.  Unknown where nothing was recorded, or it cannot be asked."""
        if (
            not self.environment.get("MLFLOW_TRACKING_URI")
            and not (self.root / "mlflow.db").exists()
        ):
            raise Unknown("no run is recorded here yet: make train")
        python = self.root / ".venv" / "bin" / "python"
        if not python.exists():
            raise Unknown("no environment to ask MLflow with: make setup")
        done = self.run(str(python), str(HERE / "records.py"), timeout=120)
        if done.returncode:
            raise Unknown(f"MLflow: {(done.stderr.strip() or 'no answer').splitlines()[-1]}")
        found: Facts = json.loads(done.stdout)
        return found

    @property
    def runs(self) -> list[Facts]:
        """The finished runs of a model, the newest first.  Unknown where there is none."""
        if not (found := self.records["runs"]):
            raise Unknown("no finished run is recorded here yet: make train")
        return list(found)
