"""Trials and faults of the data: their sources and versions."""

import json
import re
import shutil
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from mlops_ladder.maturity import Unknown
from mlops_ladder.maturity.sandbox import Copy, last_line, require_network

SOURCES = "data/sources.toml"
STORE = """
[core]
    remote = of-a-trial
['remote "of-a-trial"']
    url = {}
"""
OWN = "data/own of a trial/rows"

Facts = dict[str, Any]


def select_present(copy: Copy, names: Any) -> list[str]:
    """Return those of these files that are in the copy; files elsewhere are the user's."""
    paths = {name: (copy.root / name).resolve() for name in names}
    return sorted(
        name for name, at in paths.items() if at.is_relative_to(copy.root) and at.is_file()
    )


def declared_sources(copy: Copy) -> dict[str, Facts]:
    """Return the declared sources that have files here."""
    items = (copy.repository.parsed(SOURCES) or {}).items()
    sources = {name: entry for name, entry in items if select_present(copy, entry.get("files", {}))}
    if not sources:
        raise Unknown(f"{SOURCES}: declares no file that is in this repository")
    return sources


def flip_bit(copy: Copy, name: str) -> dict[str, str]:
    """Flip a random bit of a file; return the file and the byte."""
    path = copy.root / name
    content = bytearray(path.read_bytes())
    at = copy.random.randrange(len(content))
    content[at] ^= 1 << copy.random.randrange(8)
    path.unlink()
    path.write_bytes(content)
    return {"file": name, "byte": str(at)}


def file_digest(path: Path) -> str:
    """Return the sha256 of a file; empty if there is none."""
    return sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def restore_data(copy: Copy) -> Iterator[str]:
    """Delete all declared files, as in a folder without data yet; `make data` brings them back."""
    digests: dict[str, str] = {}
    for name, source in declared_sources(copy).items():
        origin = str(source.get("origin", ""))
        if not source.get("restore") and (" " in origin or origin in ("", "unknown")):
            raise Unknown(f"{SOURCES}: [{name}] says in words only where it comes from")
        for file in select_present(copy, source["files"]):
            digests[file] = file_digest(copy.root / file)
    if config := copy.text(".dvc/config"):  # the user's DVC store is read if it is a folder
        copy.write(".dvc/config", re.sub(r"(url = )~(?=/)", rf"\g<1>{Path.home()}", config))
    for file in digests:
        (copy.root / file).unlink()
    done = require_network(copy.run("make", "data"))
    if done.returncode:
        yield f"make data: with the data gone: {last_line(done)}"
    for file, digest in digests.items():
        if file_digest(copy.root / file) != digest:
            state = "with another sha256" if (copy.root / file).is_file() else "no more"
            yield f"{file}: comes back by `make data` {state}"


def flip_declared_file(copy: Copy) -> dict[str, str]:
    """Flip a bit of a random declared file."""
    sources = declared_sources(copy).values()
    files = [name for source in sources for name in select_present(copy, source["files"])]
    filled = [name for name in files if (copy.root / name).stat().st_size]
    return flip_bit(copy, copy.random.choice(filled or files))


def configured_files(copy: Copy) -> list[Path]:
    """Return the files that [data] path names."""
    path = copy.repository.table("config.toml", "data").get("path", "")
    is_inside = path and not Path(path).is_absolute()
    files = [file for file in sorted(copy.root.glob(path)) if file.is_file()] if is_inside else []
    if not files:
        raise Unknown(f"config.toml: [data] path = {path!r}: no file of this repository")
    return files


def flip_configured_file(copy: Copy) -> dict[str, str]:
    """Flip a bit of a random file that training reads and the commit names."""
    names = [path.relative_to(copy.root).as_posix() for path in configured_files(copy)]
    if not (present := select_present(copy, names)):
        raise Unknown("config.toml: [data] path: its files are links out of this repository")
    return flip_bit(copy, copy.random.choice(present))


def restore_first_version(copy: Copy) -> Iterator[str]:
    """Make two versions of data that git ignores; restore the first, as on another machine."""
    name, origin = copy_own_data(copy)
    path, settings = copy.root / name, copy.settings(DATA__PATH=name)
    digest = file_digest(path)
    for version in ("a first version", "a second version"):
        if version == "a second version":
            flip_bit(copy, name)
        done = copy.run("make", "data-version", **settings)
        if done.returncode:
            yield f"make data-version: {version} of {origin}: {last_line(done)}"
            return
        copy.must("git", "add", "--all")
        copy.must("git", "commit", "--quiet", "--no-verify", "-m", version)
    copy.must("git", "reset", "--quiet", "--hard", "HEAD~1")
    path.unlink()
    shutil.rmtree(copy.root / ".dvc/cache", ignore_errors=True)
    done = copy.run("make", "restore", **settings)
    if not path.is_file():
        yield f"make restore: does not bring {origin} back: {last_line(done)}"
    elif file_digest(path) != digest:
        yield f"make restore: brings back other bytes of {origin} than the commit had"


def copy_own_data(copy: Copy) -> tuple[str, str]:
    """Copy a data file to a place that git ignores, with a store of its own; return both names."""
    path = Path(copy.repository.table("config.toml", "data").get("path", ""))
    source = path if path.is_absolute() else configured_files(copy)[0]
    if not source.is_file():
        raise Unknown(f"config.toml: [data] path = '{path}': no file here")
    name = OWN + source.suffix
    (copy.root / name).parent.mkdir(parents=True)
    shutil.copyfile(source, copy.root / name)
    if copy.run("git", "check-ignore", "--quiet", name).returncode:
        raise Unknown(f".gitignore: does not leave out {name}")
    store = (copy.root.parent / f"store-{copy.random.randrange(10**6)}").as_posix()
    copy.write(".dvc/config.local", STORE.format(json.dumps(store)))
    return name, source.name
