"""A repository as the checks see it: files, git, and the records of runs.  Only ever read."""

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile, ZipFile

import yaml

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.capabilities import (
    capability_list,
    LOADER,
    owner_of,
    target_list,
    within,
)
from mlops_ladder.maturity.database import mlflow_records
from mlops_ladder.maturity.safe_git import SafeGit
from mlops_ladder.maturity.syntax import imported, notebook_code

HERE = Path(__file__).resolve().parent
SKIPPED = {".git", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".pytest_cache"}
LARGE = 1_000_000  # bytes: nothing that a person wrote is longer
WHOLE = 50_000_000  # bytes of a notebook with its pictures, of a lock, or of a log
ENDLESS = 50_000_000_000  # bytes of a file of data
PARTS, DEEP = 200_000, 200  # values in a file of settings, and how deep they are nested
SAMPLE = "data/sample/"
WHEEL = "wheels/mlops_ladder-*.whl"
FORGE = (".github", ".gitlab", ".gitlab-ci.yml", ".circleci", "azure-pipelines.yml", "CODEOWNERS")
WORKFLOWS = (".github/workflows", ".gitlab-ci.yml", ".circleci", "azure-pipelines.yml")
RULE = re.compile(r"^([\w-]+):(?!=)(.*(?:\n\t.*)*)", re.MULTILINE)
LEADING = ("GIT_DIR", "GIT_WORK_TREE")  # variables that lead to another repository

Facts = dict[str, Any]


def read_text(path: Path, most: int = WHOLE) -> str:
    """The text of a regular file.  Unknown where it is none, or longer than `most` bytes."""
    try:
        if not path.is_file() or path.stat().st_size > most:
            raise Unknown(f"{path.name}: is no file of at most {most:,} bytes")
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise Unknown(f"{path.name}: {error.strerror}") from error


def digest(*paths: Path) -> str:
    """The sha256 of these files, one after the other.  Unknown where one is none, or too long."""
    found = sha256()
    for path in paths:
        if not path.is_file() or path.stat().st_size > ENDLESS:
            raise Unknown(f"{path.name}: is no file of at most {ENDLESS:,} bytes")
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                found.update(chunk)
    return found.hexdigest()


def is_small(value: Any) -> bool:
    """Is a value small enough to be walked through?  Aliases of YAML can repeat it for ever."""
    todo = [(value, 0)]
    for count, (part, depth) in enumerate(iter(lambda: todo.pop() if todo else None, None)):
        if count > PARTS or depth > DEEP:
            return False
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        todo += [(it, depth + 1) for it in inner]
    return True


def is_hosted(name: str) -> bool:
    """Is it a file that a forge reads, and only at the top of a repository?"""
    return any(within(name, it) for it in FORGE)


# Each kind of evidence is read once and kept: an attribute for each, and a method.
class Repository:  # pylint: disable=too-many-instance-attributes,too-many-public-methods
    """The files of a folder, what git knows of them, and what MLflow has recorded there.

    Nothing of it is executed, unless it is `trusted`: then its own Python may ask a server.
    """

    def __init__(
        self, root: Path, environment: dict[str, str] | None = None, trusted: bool = False
    ) -> None:
        self.root = root.resolve()
        self.environment = dict(os.environ) if environment is None else environment
        self.trusted = trusted
        self.capabilities: Facts = capability_list()["capabilities"]
        self.choices: Facts = capability_list()["choices"]
        self.unreadable: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._parsed: dict[str, Any] = {}

    @cached_property
    def files(self) -> list[str]:
        """The paths of all files that git would keep; without git, of all but known clutter.

        In a folder of a larger repository, what a forge reads is that of the larger one.
        """
        listed = "ls-files", "-z", "--cached", "--others", "--exclude-standard"
        try:
            names = {name for name in self.git(*listed, ".").split("\0") if name}
        except Unknown:
            found = (path.relative_to(self.root) for path in self.root.rglob("*"))
            names = {path.as_posix() for path in found if not SKIPPED & set(path.parts)}
        if self.top != self.root:
            above = self.git("-C", str(self.top), *listed, "--", *FORGE).split("\0")
            names = {it for it in names if not is_hosted(it)} | set(filter(self._counts, above))
        return sorted(name for name in names if self._holds(name))

    @cached_property
    def top(self) -> Path:
        """The folder of the git repository in which this one lies, or its own."""
        try:
            return self._safe_git.top
        except Unknown:
            return self.root

    def _counts(self, name: str) -> bool:
        """Does a file at the top concern this folder?  A workflow does if it names the folder."""
        if not name or not any(within(name, it) for it in WORKFLOWS):
            return bool(name)
        return self.root.relative_to(self.top).as_posix() in self.text(name)

    def path(self, name: str) -> Path:
        """Where a file lies: what a forge reads lies at the top of the git repository."""
        return (self.top if is_hosted(name) else self.root) / name

    def _holds(self, name: str) -> bool:
        """Is it a regular file of the repository?  No pipe, no device, no link that leads out."""
        path = self.path(name)
        try:
            return path.is_file() and path.resolve().is_relative_to(self.top)
        except (OSError, RuntimeError, ValueError):  # a link that leads to itself
            return False

    def text(self, name: str) -> str:
        """What a file holds; nothing where it is not there, not text, or too long to be written."""
        if name not in self._texts:
            most = WHOLE if name.endswith((".ipynb", ".lock", "-lock.yml")) else LARGE
            try:
                self._texts[name] = read_text(self.path(name), most) if self._holds(name) else ""
            except Unknown as reason:
                self.unreadable[name] = str(reason)
                self._texts[name] = ""
        return self._texts[name]

    def parsed(self, name: str) -> Any:
        """What a TOML, YAML or JSON file holds; None where it is not there or cannot be read."""
        if name not in self._parsed:
            self._parsed[name] = self._read(name)
        return self._parsed[name]

    def _read(self, name: str) -> Any:
        try:
            found = self._loaded(name)
            if is_small(found):
                return found
            self.unreadable[name] = "holds too much, or is nested too deeply"
        except (ValueError, TypeError, yaml.YAMLError):
            pass  # the checks say so, where it matters
        except (RecursionError, MemoryError):
            self.unreadable[name] = "is nested too deeply to be read"
        return None

    def _loaded(self, name: str) -> Any:
        text = self.text(name)
        if name.endswith(".toml"):
            return tomllib.loads(text)
        if name.endswith((".json", ".ipynb")):
            return json.loads(text)
        documents = list(yaml.load_all(text, Loader=LOADER))
        return documents[0] if len(documents) == 1 else documents

    def table(self, name: str, *keys: str) -> Facts:
        """A table of a TOML, YAML or JSON file; empty where there is none."""
        found = self.parsed(name)
        for key in keys:
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def glob(self, *patterns: str) -> list[str]:
        """The files that fit one of these globs, or lie in a folder that does."""
        return [name for name in self.files if any(within(name, it) for it in patterns)]

    def run(
        self, *command: str, timeout: float = 60, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """How a command ended here.  Unknown where there is no such program, or no end."""
        given = self.environment if environment is None else environment
        clean = {k: v for k, v in given.items() if environment or k not in LEADING}
        clean |= {"LC_ALL": "C", "PYTHONUTF8": "1"}
        options: Facts = {"cwd": self.root, "env": clean, "timeout": timeout}
        options |= {"stdin": subprocess.DEVNULL, "errors": "surrogateescape"}
        try:
            return subprocess.run(command, **options, capture_output=True, text=True, check=False)
        except OSError as error:
            raise Unknown(f"{command[0]}: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise Unknown(f"{' '.join(command[:3])}: no end after {timeout:.0f} s") from error

    @cached_property
    def _safe_git(self) -> SafeGit:
        """Git that executes nothing of this repository.  Unknown where this is no repository."""
        try:
            return SafeGit(self.root, self.environment)
        except (OSError, ValueError) as error:
            raise Unknown(str(error)) from error

    def git(self, *arguments: str, good: tuple[int, ...] = (0,)) -> str:
        """What git answers.  Unknown where this is no repository, or git fails."""
        done = self.run(*self._safe_git.command(*arguments), environment=self._safe_git.environment)
        if done.returncode not in good:
            raise Unknown((done.stderr.strip() or "git failed").splitlines()[0])
        return done.stdout

    def log_lines(self, name: str, command: str = "") -> list[str]:
        """Return the lines of a log.  Raise Unknown if it is not on this machine."""
        if not (self.root / name).exists():
            raise Unknown(f"{name} is not on this machine: {command}")
        return [line for line in read_text(self.root / name).splitlines() if line]

    @cached_property
    def answers(self) -> dict[str, str]:
        """The answers that the project was made with; none in a repository that we did not make."""
        given = self.table(".cruft.json", "context", "cookiecutter")
        return {name: str(value) for name, value in given.items()}

    @property
    def ours(self) -> bool:
        """Was it made by the template?"""
        return "maturity_level" in self.answers

    @cached_property
    def library(self) -> dict[str, str]:
        """The files of the library in a wheel of ours, by their paths in it, as text."""
        found = {}
        for wheel in self.glob(WHEEL) if self.ours else []:
            try:
                with ZipFile(self.path(wheel)) as archive:
                    names = [
                        it for it in archive.infolist() if it.filename.endswith((".py", ".toml"))
                    ]
                    for it in names:
                        if it.file_size < LARGE:
                            text = archive.read(it).decode("utf-8", "replace")
                            found[it.filename.partition("/")[2]] = text
            except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
                self.unreadable[wheel] = str(error)
        return found

    @cached_property
    def pyproject(self) -> Facts:
        """What pyproject.toml says, or nothing."""
        return self.table("pyproject.toml")

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
        """The Python files and notebooks that are not tests."""
        for name in self.files:
            if name.endswith((".py", ".ipynb")) and not {"tests", "test"} & set(
                PurePosixPath(name).parts
            ):
                yield name

    @cached_property
    def owners(self) -> dict[str, str]:
        """The capability of each file: the one whose glob names most of its path."""
        found = {name: owner_of(name, self.capabilities) for name in self.files}
        return {name: owner for name, owner in found.items() if owner}

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

    @cached_property
    def targets(self) -> dict[str, str]:
        """The targets of the Makefile and of the files in make/: prerequisites and recipe."""
        found: dict[str, str] = {}
        for name in self.glob("Makefile", "make/*.mk"):
            for target, rule in RULE.findall(self.text(name)):
                found[target] = found.get(target, "") + rule.lstrip(" ") + "\n"
        return found

    def own_targets(self, capability: str) -> list[str]:
        """The targets that show a capability; in a repository that we did not make, none does."""
        named = target_list().get(capability, []) if self.ours else []
        return [name for name in named if name in self.targets]

    def visible(self, capability: str) -> bool:
        """Could files show it?  In a repository that we did not make, some leave no sign."""
        return self.ours or bool({"elsewhere", "imports"} & self.capabilities[capability].keys())

    def imports(self, name: str) -> set[str]:
        """The modules of others that a Python file, or the cells of a notebook, import."""
        text = notebook_code(self.parsed(name)) if name.endswith(".ipynb") else self.text(name)
        return set(imported(text))

    @cached_property
    def records(self) -> Facts:
        """What MLflow holds.  Unknown where nothing was recorded, or it cannot be asked.

        This tool reads a database by itself.  A server is asked by the project's own Python, so
        only if the repository is trusted; else the database in the folder is read.
        """
        address = self.environment.get("MLFLOW_TRACKING_URI", "") if self.trusted else ""
        if not address or address.startswith("sqlite:///"):
            path = self.root / (address.removeprefix("sqlite:///") or "mlflow.db")
            if not path.exists():
                raise Unknown("no run is recorded here yet" + hint(self, "make train"))
            return mlflow_records(path)
        python = self.root / ".venv" / "bin" / "python"
        if not python.exists():
            raise Unknown("no environment to ask MLflow with: make setup")
        done = self.run(str(python), "-P", str(HERE / "records.py"), timeout=120)
        if done.returncode:
            raise Unknown(f"MLflow: {(done.stderr.strip() or 'no answer').splitlines()[-1]}")
        found: Facts = json.loads(done.stdout)
        return found

    @property
    def runs(self) -> list[Facts]:
        """The finished runs of a model, the newest first.  Unknown where there is none."""
        if not self.ours:
            raise Unknown("how others record what a run has learned from is not known")
        if not (found := self.records["runs"]):
            raise Unknown("no finished run is recorded here yet" + hint(self, "make train"))
        return list(found)


def is_own_data(run: Facts) -> bool:
    """Return whether a run learned from other data than the sample."""
    path: str = run["params"].get("data.path", SAMPLE)
    return not path.startswith(SAMPLE)


def hint(repository: Repository, command: str) -> str:
    """A way out by a command that only a project of the template has; elsewhere nothing."""
    return f": {command}" if repository.ours else ""
