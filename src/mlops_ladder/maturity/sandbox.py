"""The sandbox: a copy of a repository, and commands in it that leave no process behind."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any
from zipfile import ZipFile

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.repository import Repository, WHEEL

Done = subprocess.CompletedProcess[str]
PATIENCE = 240  # seconds that a command may take
PRIVATE = ("MLFLOW_", "PREFECT_", "DVC_", "GIT_", "PYTEST_", "MAKE", "MFLAGS", "VIRTUAL_ENV")
WHO = {"NAME": "maturity", "EMAIL": "maturity@localhost"}
SILENT = (
    r"[Ff]ailed to fetch|[Cc]ould ?n[o']t connect|error sending request|dns error|timed out"
    r"|Name or service not known|name resolution|Connection refused|unreachable|urlopen error"
)  # what programs say that reach nobody
KEPT = (".venv", "__pycache__", ".mypy_cache")


def ended(command: tuple[str, ...], timeout: float, **options: Any) -> Done:
    """How a command ended; interrupted, or too slow, all that it has started ends with it.

    Raises what `subprocess.run` raises.
    """
    pipes: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    text: Any = {"text": True, "errors": "replace", "start_new_session": True}
    with subprocess.Popen(command, **pipes, **text, **options) as process:
        try:
            said = process.communicate(timeout=timeout)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return Done(command, process.returncode, *said)


def place(kind: str) -> str:
    """Where uv keeps packages or Pythons for the user: a copy with another home shares them."""
    uv = os.environ.get("UV", "uv")  # set by `uv run`, which need not be on the PATH
    told = subprocess.run([uv, kind, "dir"], capture_output=True, text=True, check=False)
    return told.stdout.strip()


class Failed(Unknown):
    """In its last words, why something failed that a trial only builds upon."""


class Copy:
    """A clone of the repository with what is not committed yet, at `root`."""

    def __init__(self, original: Repository, folder: Path, seed: int) -> None:
        self.original = original
        self.root = folder / "copy"
        self.random = Random(seed)
        self._saved = folder / "saved"
        self._made: dict[str, Any] = {}
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
        kept = {*self.original.files, *self._data()}
        for name in set(self._listed()) - kept:
            (self.root / name).unlink()
        self._bring(kept)
        self.must("git", "add", "--all")
        self.must("git", "commit", "--quiet", "--allow-empty", "--no-verify", "-m", "As it is")
        self._start = self.must("git", "rev-parse", "HEAD").strip()

    def _bring(self, names: Iterable[str]) -> None:
        """Copy files of the original; what a link there leads to comes as a file of its own."""
        for name in sorted(names):
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            (self.root / name).unlink(missing_ok=True)
            shutil.copy2(self.original.path(name), self.root / name)

    def _listed(self) -> Iterable[str]:
        return filter(None, self.must("git", "ls-files", "-z").split("\0"))

    def _data(self) -> list[str]:
        """The files that training reads and git does not keep, and those that DVC keeps."""
        path = (self.original.parsed("config.toml") or {}).get("data", {}).get("path", "")
        kept = [self.original.root / it[:-4] for it in self.original.files if it.endswith(".dvc")]
        here = [] if not path or Path(path).is_absolute() else self.original.root.glob(path)
        found = {at for at in (*here, *kept) if at.is_file()}
        return [at.relative_to(self.original.root).as_posix() for at in found]

    @property
    def repository(self) -> Repository:
        """What the copy holds now."""
        return Repository(self.root, self.environment)

    @property
    def package(self) -> Path:
        """The folder of the package."""
        return self.root / self.original.package

    @cached_property
    def environment(self) -> dict[str, str]:
        """The user's environment without what would lead to the user's servers and registry."""
        own = self.original.answers.get("package_name", "").upper() + "_"
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(PRIVATE) and (own == "_" or not name.startswith(own))
        }
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        for key, value in WHO.items():
            kept |= {f"GIT_AUTHOR_{key}": value, f"GIT_COMMITTER_{key}": value}
        return kept | {
            "HOME": str(self._home),
            "UV_CACHE_DIR": place("cache"),
            "UV_PYTHON_INSTALL_DIR": place("python"),
            "DVC_SITE_CACHE_DIR": str(self._home / "dvc"),
            "PYTHONUTF8": "1",
            "LC_ALL": "C.UTF-8",
        }

    def run(self, *command: str, at: str = "", timeout: Any = PATIENCE, **more: Any) -> Done:
        """How a command ended in the copy.  Unknown where there is no such program, or no end."""
        options: Any = {"cwd": at or self.root, "env": self.environment | more}
        try:
            return ended(command, timeout, **options)
        except OSError as error:
            raise Unknown(f"{command[0]}: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            told = f"{' '.join(command[:3])}: no end after {timeout:.0f} s"
            raise Unknown(f"{told}; last it said: {spoken(error)}") from error

    def must(self, *command: str, at: str = "", **more: Any) -> str:
        """What a command prints.  Failed, an Unknown, where it fails."""
        done = self.run(*command, at=at, **more)
        if done.returncode:
            raise Failed(f"{' '.join(command[:3])}: {last(done)}")
        return done.stdout

    def cli(self, *arguments: str, **more: Any) -> Done:
        """How a command of the project ended: `cli("train")`."""
        return self.run(str(self.root / ".venv/bin/ladder"), *arguments, **more)

    def python(self, script: str, *arguments: str, **more: Any) -> Done:
        """How a script ended, in the environment of the project."""
        return self.run(str(self.root / ".venv/bin/python"), "-c", script, *arguments, **more)

    def need(self, *command: str) -> Repository:
        """What the copy holds once a make target is done; it is done once, see `kept`."""

        def make() -> Repository:
            self.must("make", *command)
            return self.repository

        found: Repository = self.kept("-".join(command), make)
        return found

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """What making something gave: the first time it is made, later what it left is put back.

        Failed, again and again, where it failed.
        """
        if name not in self._made:
            try:
                self._made[name] = make()
            except Unknown as reason:
                self._made[name] = reason
            self._save(self._saved / name)
        elif (self._saved / name).exists():
            shutil.copytree(self._saved / name, self.root, dirs_exist_ok=True)
        if isinstance(self._made[name], Unknown):
            raise self._made[name]
        return self._made[name]

    def _save(self, saved: Path) -> None:
        hidden = [option for name in KEPT for option in ("-x", f"{name}/")]
        names = self.must("git", "ls-files", "-z", "--others", *hidden)
        for name in filter(None, names.split("\0")):
            (saved / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.root / name, saved / name)

    def library(self) -> Path:
        """The library as files that may be spoilt; until `reset` commands in the copy use them."""
        folder, wheels = self.root.parent / "library", sorted(self.root.glob(WHEEL))
        if not wheels:
            raise Unknown(f"{WHEEL}: not there")
        if not folder.exists():
            with ZipFile(wheels[0]) as wheel:
                wheel.extractall(folder)
        self.environment["PYTHONPATH"] = str(folder)
        return folder / "mlops_ladder"

    def reset(self) -> None:
        """Bring everything back to what it was, but for the environment."""
        if self.environment.pop("PYTHONPATH", ""):
            shutil.rmtree(self.root.parent / "library", ignore_errors=True)
        self.must("git", "reset", "--quiet", "--hard", self._start)
        self.run("git", "update-ref", "-d", "refs/audit/log")
        self.must("git", "clean", "-ffdxq", *(f"--exclude={name}" for name in KEPT))
        self._bring(set(self._data()) - set(self._listed()))

    def plant(self, name: str, old: str, new: str) -> None:
        """Put a fault into a file.  Unknown where the file does not hold what it replaces."""
        replace(self.root / name, old, new)

    def spoil(self, module: str, old: str, new: str) -> None:
        """Put a fault into a module of the library.  Unknown as of `plant`."""
        replace(self.library() / module, old, new)


def replace(path: Path, old: str, new: str) -> None:
    """Replace text in a file.  Unknown where it is not there."""
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise Unknown(f"{path.name} does not hold {old!r}: the fault cannot be planted")
    path.write_text(text.replace(old, new), encoding="utf-8")


def last(done: Done) -> str:
    """The last line that a command said, what make says of it left out."""
    words = done.stderr.strip() or done.stdout.strip()
    lines = [line for line in words.splitlines() if not line.startswith("make: ***")]
    return lines[-1] if lines else "failed without a word"


def spoken(error: subprocess.TimeoutExpired) -> str:
    """The last words of a command that was ended, a hundred of each of its streams."""
    said = [str(it, errors="replace").split() for it in (error.stdout, error.stderr) if it]
    return " | ".join(" ".join(words[-100:]) for words in said) or "nothing"


def reached(done: Done) -> Done:
    """The same.  Unknown where it failed because a server did not answer."""
    if done.returncode and (said := re.search(f".*({SILENT}).*", done.stdout + done.stderr)):
        raise Unknown(said[0].strip())
    return done
