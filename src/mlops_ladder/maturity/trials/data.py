"""Tried and planted: where the data come from, and their versions."""

import json
import re
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlops_ladder.maturity import fault, trial, Unknown
from mlops_ladder.maturity.data import find_changed_files
from mlops_ladder.maturity.sandbox import Copy, last, reached

SOURCES = "data/sources.toml"
STORE = """
[core]
    remote = of-a-trial
['remote "of-a-trial"']
    url = {}
"""
OWN = "data/own of a trial/rows"

Facts = dict[str, Any]


def data_path(copy: Copy, path: str) -> Facts:
    """The environment in which the project reads this file."""
    return {f"{copy.package.name.upper()}_DATA__PATH": path}


def within(copy: Copy, names: Any) -> list[str]:
    """Those of these files that are in the copy; what lies elsewhere is the user's."""
    inside = [it for it in names if (copy.root / it).resolve().is_relative_to(copy.root)]
    return sorted(it for it in inside if (copy.root / it).is_file())


def declared(copy: Copy) -> dict[str, Facts]:
    """The sources that data/sources.toml declares, with the files of each that are here."""
    found = (copy.repository.parsed(SOURCES) or {}).items()
    sources = {name: it for name, it in found if within(copy, it.get("files", {}))}
    if not sources:
        raise Unknown(f"{SOURCES}: declares no file that is in this repository")
    return sources


def flip(copy: Copy, name: str) -> int:
    """Change one bit of a file, anywhere; where."""
    path = copy.root / name
    content = bytearray(path.read_bytes())
    at = copy.random.randrange(len(content))
    content[at] ^= 1 << copy.random.randrange(8)
    path.unlink()
    path.write_bytes(content)
    return at


@trial("data.source", "data that are gone come back by `make data`, with the same sha256")
def restored(copy: Copy) -> Iterator[str]:
    """Remove all that is declared and lies here, as in a folder that holds no data yet."""
    gone: dict[str, str] = {}
    for name, source in declared(copy).items():
        origin = str(source.get("origin", ""))
        if not source.get("restore") and (" " in origin or origin in ("", "unknown")):
            raise Unknown(f"{SOURCES}: [{name}] says in words only where it comes from")
        for file in within(copy, source["files"]):
            gone[file] = sha256((copy.root / file).read_bytes()).hexdigest()
    config = copy.root / ".dvc/config"
    if config.exists():  # the user's store is read, where it is a folder
        text = config.read_text(encoding="utf-8")
        config.write_text(re.sub(r"(url = )~(?=/)", rf"\g<1>{Path.home()}", text), "utf-8")
    for file in gone:
        (copy.root / file).unlink()
    done = reached(copy.run("make", "data"))
    if done.returncode:
        yield f"make data: with the data gone: {last(done)}"
    for file, known in gone.items():
        path = copy.root / file
        if not path.is_file():
            yield f"{file}: does not come back by `make data`"
        elif sha256(path.read_bytes()).hexdigest() != known:
            yield f"{file}: comes back by `make data` with another sha256"


@fault("data.source", "one flipped bit in a data file fails `make data`, which names the file")
def flipped(copy: Copy) -> Iterator[str]:
    """Any bit of any file that is declared."""
    files = [it for source in declared(copy).values() for it in within(copy, source["files"])]
    name = copy.random.choice([it for it in files if (copy.root / it).stat().st_size] or files)
    at = flip(copy, name)
    done = copy.run("make", "data")
    if not done.returncode or name not in done.stdout + done.stderr:
        yield f"{name}: a bit of byte {at} was flipped, and `make data` does not refuse it"


@trial("data.version", "this commit names the bytes of every data file")
def named(copy: Copy) -> Iterator[str]:
    """Ask the project's own check, and compute what is declared again."""
    done = copy.run("make", "snapshot", "CHECK=yes")
    if done.returncode:
        yield f"make snapshot CHECK=yes: {last(done)}"
    yield from find_changed_files(copy.repository)


@trial("data.version", "`make restore` at an earlier commit brings back the bytes it had")
def versions(copy: Copy) -> Iterator[str]:
    """Own data, which git ignores: two versions, and the first again, as on another machine."""
    name, known = own(copy)
    path, where = copy.root / name, data_path(copy, name)
    before = sha256(path.read_bytes()).hexdigest()
    for step in ("a first version", "a second version"):
        if step == "a second version":
            flip(copy, name)
        done = copy.run("make", "snapshot", **where)
        if done.returncode:
            yield f"make snapshot: {step} of {known}: {last(done)}"
            return
        copy.must("git", "add", "--all")
        copy.must("git", "commit", "--quiet", "--no-verify", "-m", step)
    copy.must("git", "reset", "--quiet", "--hard", "HEAD~1")
    path.unlink()
    shutil.rmtree(copy.root / ".dvc/cache", ignore_errors=True)
    done = copy.run("make", "restore", **where)
    if not path.is_file():
        yield f"make restore: does not bring {known} back: {last(done)}"
    elif sha256(path.read_bytes()).hexdigest() != before:
        yield f"make restore: brings back other bytes of {known} than the commit had"


def own(copy: Copy) -> tuple[str, str]:
    """A copy of a configured file where git ignores it, with a store of its own; and of which."""
    path = (copy.repository.parsed("config.toml") or {}).get("data", {}).get("path", "")
    files = sorted(copy.root.glob(path)) if path and not Path(path).is_absolute() else [Path(path)]
    if not files or not files[0].is_file():
        raise Unknown(f"config.toml: [data] path = {path!r}: no file here")
    name = OWN + files[0].suffix
    (copy.root / name).parent.mkdir(parents=True)
    shutil.copyfile(files[0], copy.root / name)
    if copy.run("git", "check-ignore", "--quiet", name).returncode:
        raise Unknown(f".gitignore: does not leave out {name}")
    store = (copy.root.parent / f"store-{copy.random.randrange(10**6)}").as_posix()
    (copy.root / ".dvc/config.local").write_text(STORE.format(json.dumps(store)), "utf-8")
    return name, files[0].name


@fault("data.version", "data that changed without a new version are told")
def unversioned(copy: Copy) -> Iterator[str]:
    """A flipped bit in a file that the commit names."""
    path = (copy.repository.parsed("config.toml") or {}).get("data", {}).get("path", "")
    found = [] if Path(path).is_absolute() else copy.root.glob(path or "-")
    files = within(copy, [it.relative_to(copy.root).as_posix() for it in found])
    if not files:
        raise Unknown(f"config.toml: [data] path = {path!r}: no file of this repository")
    name = copy.random.choice(files)
    flip(copy, name)
    done = copy.run("make", "snapshot", "CHECK=yes")
    if not done.returncode or name not in done.stdout + done.stderr:
        yield f"{name}: was changed, and `make snapshot CHECK=yes` does not name it"
