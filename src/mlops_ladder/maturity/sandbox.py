"""The sandbox: a copy of a repository, and commands in it that leave no process behind."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any
from zipfile import ZipFile

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.repository import Repository, WHEEL

Done = subprocess.CompletedProcess[str]
TIMEOUT_S = 240  # for a command
HIDDEN = ("MLFLOW_", "PREFECT_", "DVC_", "GIT_", "PYTEST_", "MAKE", "MFLAGS", "VIRTUAL_ENV")
IDENTITY = {"NAME": "maturity", "EMAIL": "maturity@localhost"}
NO_NETWORK = (
    r"[Ff]ailed to fetch|[Cc]ould ?n[o']t connect|error sending request|dns error|timed out"
    r"|Name or service not known|name resolution|Connection refused|unreachable|urlopen error"
)  # printed by programs that reach no server
PRESERVED = (".venv", "__pycache__", ".mypy_cache")
INSTALLED = ("ladder", "python", "pytest", "mlflow")  # programs of the project's environment


def run_process(command: tuple[str, ...], timeout: float, **options: Any) -> Done:
    """Run a command to its end; kill it with all that it started if it is interrupted or too slow.

    Raise the exceptions of `subprocess.run`.
    """
    pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    text: Any = {"text": True, "errors": "replace", "start_new_session": True}
    with subprocess.Popen(command, **pipes, **text, **options) as process:
        try:
            streams = process.communicate(timeout=timeout)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return Done(command, process.returncode, *streams)


def find_uv_folder(kind: str) -> str:
    """Return the user's folder of uv for packages or Pythons: copies share it."""
    uv = os.environ.get("UV", "uv")  # set by `uv run`, which need not be on the PATH
    done = subprocess.run([uv, kind, "dir"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


class Failed(Unknown):
    """A preparation of a trial failed; the message is its last line."""


class Copy:
    """A clone of the repository with what is not committed yet, at `root`."""

    def __init__(self, original: Repository, folder: Path, seed: int) -> None:
        self.original = original
        self.root = folder / "copy"
        self.random = Random(seed)
        self._saved = folder / "saved"
        self._results: dict[str, Any] = {}
        self._home = folder / "home"
        self._home.mkdir()
        self._clone()

    def _clone(self) -> None:
        if (self.original.root / ".git").exists():
            source = str(self.original.root)
            self.must("git", "clone", "--quiet", "--no-hardlinks", source, str(self.root), at=".")
        else:
            self.root.mkdir()
            self.must("git", "init", "--quiet")
        names = {*self.original.files, *self._find_data()}
        for name in set(self._tracked()) - names:
            (self.root / name).unlink()
        self._copy_files(names)
        self.must("git", "add", "--all")
        self.must("git", "commit", "--quiet", "--allow-empty", "--no-verify", "-m", "As it is")
        self._start = self.must("git", "rev-parse", "HEAD").strip()

    def _copy_files(self, names: Iterable[str]) -> None:
        """Copy files of the original; the target of a link is copied as a file of its own."""
        for name in sorted(names):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).unlink(missing_ok=True)
            shutil.copy2(self.original.path(name), self.root / name)

    def _tracked(self) -> Iterable[str]:
        return filter(None, self.must("git", "ls-files", "-z").split("\0"))

    def _find_data(self) -> list[str]:
        """Return the files that training reads although git ignores them, and those of DVC."""
        path, root = self.original.table("config.toml", "data").get("path", ""), self.original.root
        paths = {root / name[:-4] for name in self.original.files if name.endswith(".dvc")}
        if path and not Path(path).is_absolute():
            paths |= set(root.glob(path))
        return [file.relative_to(root).as_posix() for file in paths if file.is_file()]

    @property
    def repository(self) -> Repository:
        """Return the current content of the copy."""
        return Repository(self.root, self.environment)

    @property
    def package(self) -> Path:
        """Return the folder of the package."""
        return self.root / self.original.package

    def settings(self, **values: str) -> dict[str, str]:
        """Return environment variables that set settings: `settings(LOAD__SECONDS="2")`."""
        return {f"{self.package.name.upper()}_{name}": value for name, value in values.items()}

    @cached_property
    def environment(self) -> dict[str, str]:
        """Return the user's environment without variables that name the user's servers."""
        own = self.original.answers.get("package_name", "").upper() + "_"
        variables = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(HIDDEN) and (own == "_" or not name.startswith(own))
        }
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        for key, value in IDENTITY.items():
            variables |= {f"GIT_AUTHOR_{key}": value, f"GIT_COMMITTER_{key}": value}
        return variables | {
            "HOME": str(self._home),
            "UV_CACHE_DIR": find_uv_folder("cache"),
            "UV_PYTHON_INSTALL_DIR": find_uv_folder("python"),
            "DVC_SITE_CACHE_DIR": str(self._home / "dvc"),
            "PYTHONUTF8": "1",
            "LC_ALL": "C.UTF-8",
        }

    @contextmanager
    def with_environment(self, **variables: str) -> Iterator[None]:
        """Set variables for all commands inside a `with` block."""
        self.environment.update(variables)
        try:
            yield
        finally:
            for name in variables:
                self.environment.pop(name, None)

    def run(self, *command: str, at: str = "", timeout: Any = TIMEOUT_S, **more: Any) -> Done:
        """Run a command in the copy.  Raise Unknown if it is missing, or does not end."""
        options: Any = {"cwd": at or self.root, "env": self.environment | more}
        command = (self._find_program(command[0]), *command[1:])
        try:
            return run_process(command, timeout, **options)
        except OSError as error:
            raise Unknown(f"{command[0]}: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            reason = f"{' '.join(command[:3])}: no end after {timeout:.0f} s"
            raise Unknown(f"{reason}; last it said: {last_words(error)}") from error

    def _find_program(self, name: str) -> str:
        """Return a program of the project's environment; uv as the Makefile finds it."""
        own = str(self.root / ".venv/bin" / name)
        if name == "uv":
            return self.environment.get("UV") or shutil.which("uv") or own
        return own if name in INSTALLED else name

    def must(self, *command: str, at: str = "", **more: Any) -> str:
        """Return what a command prints.  Raise Failed, which is an Unknown, if it fails."""
        done = self.run(*command, at=at, **more)
        if done.returncode:
            raise Failed(f"{' '.join(command[:3])}: {last_line(done)}")
        return done.stdout

    def need(self, *command: str) -> Repository:
        """Run a make target once for all trials; return the content of the copy after it."""

        def make() -> Repository:
            self.must("make", *command)
            return self.repository

        content: Repository = self.once("-".join(command), make)
        return content

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return the result of the first call of `make`, and restore its files.

        If the first call raised Unknown, raise it again.
        """
        if name not in self._results:
            try:
                self._results[name] = make()
            except Unknown as reason:
                self._results[name] = reason
            self._save(self._saved / name)
        elif (self._saved / name).exists():
            shutil.copytree(self._saved / name, self.root, dirs_exist_ok=True)
        if isinstance(self._results[name], Unknown):
            raise self._results[name]
        return self._results[name]

    def _save(self, saved: Path) -> None:
        hidden = [option for name in PRESERVED for option in ("-x", f"{name}/")]
        names = self.must("git", "ls-files", "-z", "--others", *hidden)
        for name in filter(None, names.split("\0")):
            (saved / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.root / name, saved / name)

    def unpack_library(self) -> Path:
        """Return the folder of the unpacked library, which commands use until `reset`."""
        folder, wheels = self.root.parent / "library", sorted(self.root.glob(WHEEL))
        if not wheels:
            raise Unknown(f"{WHEEL}: not there")
        if not folder.exists():
            with ZipFile(wheels[0]) as wheel:
                wheel.extractall(folder)
        self.environment["PYTHONPATH"] = str(folder)
        return folder / "mlops_ladder"

    def reset(self) -> None:
        """Restore the copy to its start, except for its Python environment."""
        if self.environment.pop("PYTHONPATH", ""):
            shutil.rmtree(self.root.parent / "library", ignore_errors=True)
        self.must("git", "reset", "--quiet", "--hard", self._start)
        self.run("git", "update-ref", "-d", "refs/audit/log")
        self.must("git", "clean", "-ffdxq", *(f"--exclude={name}" for name in PRESERVED))
        self._copy_files(set(self._find_data()) - set(self._tracked()))

    def text(self, name: str) -> str:
        """Return the text of a file; empty if there is none."""
        path = self.root / name
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.root / name).write_text(text, encoding="utf-8")

    def append(self, name: str, text: str) -> None:
        """Add text to the end of a file."""
        self.write(name, self.text(name) + text)

    def plant(self, name: str, old: str, new: str) -> None:
        """Plant a fault in a file.  Raise Unknown if it does not hold the text to replace."""
        replace_text(self.root / name, old, new)

    def plant_in_library(self, module: str, old: str, new: str) -> None:
        """Plant a fault in a module of the library.  Raise Unknown if it does not hold the text."""
        replace_text(self.unpack_library() / module, old, new)


def replace_text(path: Path, old: str, new: str) -> None:
    """Replace text in a file.  Raise Unknown if the text is not there."""
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise Unknown(f"{path.name} does not hold {old!r}: the fault cannot be planted")
    path.write_text(text.replace(old, new), encoding="utf-8")


def last_line(done: Done) -> str:
    """Return the last line of a command's output that is not make's own."""
    output = done.stderr.strip() or done.stdout.strip()
    lines = [line for line in output.splitlines() if not line.startswith("make: ***")]
    return lines[-1] if lines else "failed without a word"


def last_words(error: subprocess.TimeoutExpired) -> str:
    """Return the last hundred words of each stream of a command that was killed."""
    streams = [str(pipe, errors="replace").split() for pipe in (error.stdout, error.stderr) if pipe]
    return " | ".join(" ".join(words[-100:]) for words in streams) or "nothing"


def require_network(done: Done) -> Done:
    """Return the same result.  Raise Unknown if it failed because a server did not answer."""
    if done.returncode and (line := re.search(f".*({NO_NETWORK}).*", done.stdout + done.stderr)):
        raise Unknown(line[0].strip())
    return done
