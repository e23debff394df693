"""A repository as the checks see it: files, git, and the records of runs.  It is only read."""

import json
import os
import re
import subprocess
import tomllib
from functools import cached_property
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import BadZipFile, ZipFile

import yaml

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.capabilities import (
    find_owner,
    LOADER,
    match_glob,
    read_capabilities,
    read_targets,
)
from mlops_ladder.maturity.database import read_mlflow_records
from mlops_ladder.maturity.safe_git import SafeGit
from mlops_ladder.maturity.syntax import list_imports, read_notebook_code

HERE = Path(__file__).resolve().parent
SKIPPED = {".git", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".pytest_cache"}
MAX_WRITTEN = 1_000_000  # bytes of a file that a person writes
MAX_READ = 50_000_000  # bytes of a notebook with its pictures, of a lock, or of a log
MAX_DATA = 50_000_000_000  # bytes of a file of data
MAX_VALUES, MAX_DEPTH = 200_000, 200  # in a file of settings
SAMPLE = "data/sample/"
WHEEL = "wheels/mlops_ladder-*.whl"
FORGE = (".github", ".gitlab", ".gitlab-ci.yml", ".circleci", "azure-pipelines.yml", "CODEOWNERS")
WORKFLOWS = (".github/workflows", ".gitlab-ci.yml", ".circleci", "azure-pipelines.yml")
RULE = re.compile(r"^([\w-]+):(?!=)(.*(?:\n\t.*)*)", re.MULTILINE)
SRC = ("src", 2)  # a package in src/ has two parts
LEADING = ("GIT_DIR", "GIT_WORK_TREE")  # variables that lead to another repository

Facts = dict[str, Any]


def read_text(path: Path, max_bytes: int = MAX_READ) -> str:
    """Return the text of a regular file.  Raise Unknown if it is none, or too long."""
    try:
        if not path.is_file() or path.stat().st_size > max_bytes:
            raise Unknown(f"{path.name}: is no file of at most {max_bytes:,} bytes")
        return path.read_bytes().decode("utf-8", "replace")
    except OSError as error:
        raise Unknown(f"{path.name}: {error.strerror}") from error


def hash_files(*paths: Path) -> str:
    """Return the sha256 of files, one after the other.  Raise Unknown if one is too long."""
    total = sha256()
    for path in paths:
        if not path.is_file() or path.stat().st_size > MAX_DATA:
            raise Unknown(f"{path.name}: is no file of at most {MAX_DATA:,} bytes")
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                total.update(chunk)
    return total.hexdigest()


def is_small(value: Any) -> bool:
    """Return whether a value has few enough parts to walk through; YAML aliases can repeat it."""
    todo, count = [(value, 0)], 0
    while todo:
        part, depth = todo.pop()
        count += 1
        if count > MAX_VALUES or depth > MAX_DEPTH:
            return False
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        todo += [(child, depth + 1) for child in inner]
    return True


def is_hosted(name: str) -> bool:
    """Return whether a forge reads a file only at the top of a repository."""
    return any(match_glob(name, pattern) for pattern in FORGE)


def read_settings(name: str, text: str) -> Any:
    """Return a parsed TOML, JSON or YAML text.  Raise ValueError if it cannot be read."""
    if name.endswith(".toml"):
        return tomllib.loads(text)
    if name.endswith((".json", ".ipynb")):
        return json.loads(text)
    try:
        documents = list(yaml.load_all(text, Loader=LOADER))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    return documents[0] if len(documents) == 1 else documents


def read_wheel(path: Path) -> dict[str, str]:
    """Return the code and tables of a wheel as text, by their paths in its package."""
    with ZipFile(path) as archive:
        return {
            file.filename.partition("/")[2]: archive.read(file).decode("utf-8", "replace")
            for file in archive.infolist()
            if file.filename.endswith((".py", ".toml")) and file.file_size < MAX_WRITTEN
        }


# Each kind of evidence is read once and kept, so it has many attributes and methods.
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
        self.capabilities: Facts = read_capabilities()["capabilities"]
        self.choices: Facts = read_capabilities()["choices"]
        self.unreadable: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._parsed: dict[str, Any] = {}

    @cached_property
    def files(self) -> list[str]:
        """Return the paths of all files that git would keep; without git, of all but known clutter.

        In a folder of a larger repository, the files for a forge are those of the larger one.
        """
        listed = "ls-files", "-z", "--cached", "--others", "--exclude-standard"
        try:
            names = set(self.git(*listed, ".").split("\0")) - {""}
        except Unknown:
            paths = (path.relative_to(self.root) for path in self.root.rglob("*"))
            names = {path.as_posix() for path in paths if not SKIPPED & set(path.parts)}
        if self.top != self.root:
            above = self.git("-C", str(self.top), *listed, "--", *FORGE).split("\0")
            names = {name for name in names if not is_hosted(name)}
            names |= {name for name in above if name and self._concerns(name)}
        return sorted(name for name in names if self._is_file(name))

    @cached_property
    def top(self) -> Path:
        """Return the top folder of the git repository around this folder, or the folder itself."""
        try:
            return self._safe_git.top
        except Unknown:
            return self.root

    def _concerns(self, name: str) -> bool:
        """Return whether a file at the top concerns this folder: a workflow has to name it."""
        if not any(match_glob(name, pattern) for pattern in WORKFLOWS):
            return True
        return self.root.relative_to(self.top).as_posix() in self.text(name)

    def _is_file(self, name: str) -> bool:
        """Return whether it is a regular file here: no pipe, no device, no link that leads out."""
        path = self.path(name)
        try:
            return path.is_file() and path.resolve().is_relative_to(self.top)
        except (OSError, RuntimeError, ValueError):  # a link that leads to itself
            return False

    def path(self, name: str) -> Path:
        """Return the path of a file; a file for a forge lies at the top of the git repository."""
        return (self.top if is_hosted(name) else self.root) / name

    def text(self, name: str) -> str:
        """Return the text of a file; empty if it is missing, not text, or too long."""
        if name not in self._texts:
            is_long = name.endswith((".ipynb", ".lock", "-lock.yml"))
            self._texts[name] = ""
            try:
                if self._is_file(name):
                    size = MAX_READ if is_long else MAX_WRITTEN
                    self._texts[name] = read_text(self.path(name), size)
            except Unknown as reason:
                self.unreadable[name] = str(reason)
        return self._texts[name]

    def parsed(self, name: str) -> Any:
        """Return the content of a TOML, YAML or JSON file; None if it cannot be read."""
        if name not in self._parsed:
            self._parsed[name] = None
            try:
                value = read_settings(name, self.text(name))
                if is_small(value):
                    self._parsed[name] = value
                else:
                    self.unreadable[name] = "holds too much, or is nested too deeply"
            except (ValueError, TypeError):
                pass  # the checks name the file if it matters
            except (RecursionError, MemoryError):
                self.unreadable[name] = "is nested too deeply to be read"
        return self._parsed[name]

    def table(self, name: str, *keys: str) -> Facts:
        """Return a table of a TOML, YAML or JSON file; an empty one if there is none."""
        table = self.parsed(name)
        for key in keys:
            table = table.get(key) if isinstance(table, dict) else None
        return table if isinstance(table, dict) else {}

    def glob(self, *patterns: str) -> list[str]:
        """Return the files that fit one of these globs, or lie in a folder that does."""
        return [
            name for name in self.files if any(match_glob(name, pattern) for pattern in patterns)
        ]

    def run(
        self, *command: str, timeout: float = 60, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Return the result of a command.  Raise Unknown if it is missing, or does not end."""
        variables = self.environment if environment is None else environment
        clean = {k: v for k, v in variables.items() if environment or k not in LEADING}
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
        """Return git that executes nothing of this repository.  Raise Unknown if this is none."""
        try:
            return SafeGit(self.root, self.environment)
        except (OSError, ValueError) as error:
            raise Unknown(str(error)) from error

    def git(self, *arguments: str, good: tuple[int, ...] = (0,)) -> str:
        """Return what git prints.  Raise Unknown if this is no repository, or git fails."""
        done = self.run(*self._safe_git.command(*arguments), environment=self._safe_git.environment)
        if done.returncode not in good:
            raise Unknown((done.stderr.strip() or "git failed").splitlines()[0])
        return done.stdout

    def log_lines(self, name: str, command: str = "") -> list[str]:
        """Return the lines of a log.  Raise Unknown, with its command, if it is not here."""
        if not (self.root / name).exists():
            raise Unknown(f"{name} is not on this machine: {command}")
        return [line for line in read_text(self.root / name).splitlines() if line]

    @cached_property
    def answers(self) -> dict[str, str]:
        """Return the answers that the project was made with; {} in any other repository."""
        answers = self.table(".cruft.json", "context", "cookiecutter")
        return {name: str(value) for name, value in answers.items()}

    @property
    def ours(self) -> bool:
        """Return whether the template made the repository."""
        return "maturity_level" in self.answers

    @cached_property
    def library(self) -> dict[str, str]:
        """Return the files of the library in its wheel as text, by their paths."""
        texts: dict[str, str] = {}
        for wheel in self.glob(WHEEL) if self.ours else []:
            try:
                texts |= read_wheel(self.path(wheel))
            except (BadZipFile, OSError, ValueError, NotImplementedError) as error:
                self.unreadable[wheel] = str(error)
        return texts

    @cached_property
    def package(self) -> str:
        """Return the folder of the imported package, `src/name` or `name`; empty without one."""
        tops = [PurePosixPath(name).parent for name in self.files if name.endswith("/__init__.py")]
        tops = [top for top in tops if len(top.parts) == 1 or (top.parts[0], len(top.parts)) == SRC]
        own = [top for top in tops if top.name == self.answers.get("package_name")]
        own += [top for top in tops if top.name not in ("src", "tests", "test", "docs")]
        return own[0].as_posix() if own else ""

    @cached_property
    def owners(self) -> dict[str, str]:
        """Return the capability of each file: the one whose glob names most of its path."""
        owners = {name: find_owner(name, self.capabilities) for name in self.files}
        return {name: owner for name, owner in owners.items() if owner}

    def own(self, capability: str) -> list[str]:
        """Return the files that show a capability: its own, or similar ones elsewhere."""
        if self.ours:
            return [name for name, owner in self.owners.items() if owner == capability]
        entry = self.capabilities[capability]
        names, modules = set(self.glob(*entry.get("elsewhere", []))), set(entry.get("imports", []))
        for name in self.files if modules else ():
            is_test = {"tests", "test"} & set(PurePosixPath(name).parts)
            if name.endswith((".py", ".ipynb")) and not is_test and modules & self.imports(name):
                names.add(name)
        return sorted(names)

    @cached_property
    def targets(self) -> dict[str, str]:
        """Return the targets of the Makefile and of make/: prerequisites and recipe, by name."""
        targets: dict[str, str] = {}
        for name in self.glob("Makefile", "make/*.mk"):
            for target, rule in RULE.findall(self.text(name)):
                targets[target] = targets.get(target, "") + rule.lstrip(" ") + "\n"
        return targets

    def own_targets(self, capability: str) -> list[str]:
        """Return the targets that show a capability; in a repository of others none does."""
        names = read_targets().get(capability, []) if self.ours else []
        return [name for name in names if name in self.targets]

    def is_visible(self, capability: str) -> bool:
        """Return whether files can show a capability; in a foreign repository some cannot."""
        return self.ours or bool({"elsewhere", "imports"} & self.capabilities[capability].keys())

    def imports(self, name: str) -> frozenset[str]:
        """Return the modules of others that a Python file, or the cells of a notebook, import."""
        is_notebook = name.endswith(".ipynb")
        return list_imports(
            read_notebook_code(self.parsed(name)) if is_notebook else self.text(name)
        )

    @cached_property
    def records(self) -> Facts:
        """Return MLflow's records.  Raise Unknown if there are none, or MLflow cannot be asked.

        This tool reads a database by itself.  A server is asked by the project's own Python, so
        only if the repository is trusted; else the database in the folder is read.
        """
        address = self.environment.get("MLFLOW_TRACKING_URI", "") if self.trusted else ""
        if not address or address.startswith("sqlite:///"):
            path = self.root / (address.removeprefix("sqlite:///") or "mlflow.db")
            if not path.exists():
                raise Unknown("no run is recorded here yet" + format_hint(self, "make train"))
            return read_mlflow_records(path)
        python = self.root / ".venv" / "bin" / "python"
        if not python.exists():
            raise Unknown("no environment to ask MLflow with: make setup")
        done = self.run(str(python), "-P", str(HERE / "records.py"), timeout=120)
        if done.returncode:
            raise Unknown(f"MLflow: {(done.stderr.strip() or 'no answer').splitlines()[-1]}")
        records: Facts = json.loads(done.stdout)
        return records

    @property
    def runs(self) -> list[Facts]:
        """Return the finished runs of a model, the newest first.  Raise Unknown without any."""
        if not self.ours:
            raise Unknown("how others record what a run has learned from is not known")
        if not (runs := self.records["runs"]):
            raise Unknown("no finished run is recorded here yet" + format_hint(self, "make train"))
        return list(runs)


def is_own_data(run: Facts) -> bool:
    """Return whether a run learned from other data than the sample."""
    path: str = run["params"].get("data.path", SAMPLE)
    return not path.startswith(SAMPLE)


def format_hint(repository: Repository, command: str) -> str:
    """Return a hint to a command of the template's projects; empty in any other repository."""
    return f": {command}" if repository.ours else ""
