"""Sources: where every data file comes from, and whether it still is what it was."""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any
from urllib.error import URLError
from urllib.request import urlopen

import pandas as pd
import tomlkit
import typer

from mlops_ladder import ProjectError, raise_for_faults, write_file_atomically
from mlops_ladder.data import remote
from mlops_ladder.data.reading import list_data_files, read_file
from mlops_ladder.settings import load_settings, Settings

SOURCES = Path("data/sources.toml")
UNKNOWN = "unknown"
NEW = {"origin": UNKNOWN, "licence": UNKNOWN, "owner": UNKNOWN}  # known by its files only
DECLARE = typer.Option("--declare", help="the files are meant to be as they are")


def compute_sha256(*paths: Path) -> str:
    """Return the sha256 of these files, one after the other."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def read_sources() -> dict[str, Any]:
    """Return the sources in data/sources.toml, by name.  Raise ProjectError if not readable."""
    try:
        return tomllib.loads(SOURCES.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ProjectError(f"{SOURCES}: cannot be read: {error}") from error


def restore_source(name: str, source: dict[str, Any]) -> None:
    """Restore the files of a source, by its command or from its origin."""
    if command := source.get("restore"):
        print(f"{name}: {command}", flush=True)
        search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(shlex.split(command), check=False, env=os.environ | {"PATH": search})
        if done.returncode:
            raise ProjectError(f"{name}: {command!r} failed; see above")
        return
    for path in map(Path, source["files"]):
        fetch_file(source.get("origin", UNKNOWN), path)


def fetch_file(origin: str, path: Path) -> None:
    """Copy one file from an address or a path.  Raise ProjectError if that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.part")
    if remote.is_remote(origin) and path.parent == remote.get_snapshot_folder(origin):
        remote.refresh_snapshot(origin)
        return
    try:
        if "://" in origin:
            with urlopen(origin) as answer, unfinished.open("wb") as file:
                shutil.copyfileobj(answer, file)
        else:
            shutil.copyfile(origin, unfinished)
    except (OSError, URLError, ValueError) as error:
        fault = f"missing, and its origin {origin!r} cannot be read: {error}"
        way_out = f"put the file back, or say in {SOURCES} where it comes from"
        raise ProjectError(f"{path}: {fault}; {way_out}") from error
    unfinished.replace(path)


def find_changed_files(sources: dict[str, Any]) -> list[str]:
    """Return a line for each file that is missing or differs from data/sources.toml."""
    lines = []
    for source in sources.values():
        for name, declared in source["files"].items():
            path = Path(name)
            if not path.exists():
                lines.append(f"{name}: missing")
            elif (now := compute_sha256(path)) != declared["sha256"]:
                lines.append(f"{name}: sha256 {now[:12]}…, declared {declared['sha256'][:12]}…")
    return lines


def find_undeclared_files(settings: Settings, sources: dict[str, Any]) -> list[str]:
    """Return the files that training reads and no source declares."""
    declared = {name for source in sources.values() for name in source["files"]}
    return [str(path) for path in list_data_files(settings.data.path) if str(path) not in declared]


def declare_files(settings: Settings, frame: pd.DataFrame | None = None) -> None:
    """Write the sha256 and rows of the files of `config.toml` into data/sources.toml.

    A file that no source names becomes a source of its own; a person has to add its origin.  If
    there is one file, and `frame` holds its rows, it is not read again.
    """
    text = SOURCES.read_text(encoding="utf-8") if SOURCES.exists() else ""
    document = tomlkit.parse(text)
    for path in list_data_files(settings.data.path):
        matches = [source for source in document.values() if str(path) in source["files"]]
        source = matches[0] if matches else document.setdefault(path.stem, dict(NEW, files={}))
        if source["origin"] == UNKNOWN and remote.is_remote(settings.data.path):
            source["origin"] = settings.data.path
        rows = 0 if frame is None else len(frame)
        if frame is None or str(path) != settings.data.path:
            rows = sum(map(len, read_file(path, settings.data)))
        entry = source["files"].setdefault(str(path), {})  # changed in place: comments stay
        entry.update({"sha256": compute_sha256(path), "rows": rows})
        if source["origin"] == UNKNOWN:
            print(f"{path}: say its origin, licence and owner in {SOURCES}")
    write_file_atomically(SOURCES, tomlkit.dumps(document))


def update_declared(files: dict[str, dict[str, Any]]) -> None:
    """Declare changed files: the checksum `after`, None if deleted, and the number `left` of rows.

    Files that no source names stay undeclared.
    """
    if not SOURCES.exists():
        return
    document = tomlkit.parse(SOURCES.read_text(encoding="utf-8"))
    for source in document.values():
        for name in files.keys() & source["files"].keys():
            if sha256 := files[name]["after"]:
                source["files"][name] |= {"sha256": sha256, "rows": files[name]["left"]}
            else:
                del source["files"][name]
    write_file_atomically(SOURCES, tomlkit.dumps(document))


def feeds_training(name: str, settings: Settings) -> bool:
    """Return whether a declared file is one that training reads."""
    pattern = settings.data.path
    if remote.is_remote(pattern):
        return Path(name).parent == remote.get_snapshot_folder(pattern)
    return Path(name).match(pattern)


def main(renew_sources: Annotated[bool, DECLARE] = False) -> None:
    """Bring missing files back and compare every file with its sha256."""
    if renew_sources:
        declare_files(load_settings())
    sources = read_sources()
    for name, source in sources.items():
        if not all(Path(file).exists() for file in source["files"]):
            restore_source(name, source)
    others = find_undeclared_files(load_settings(), sources)
    faults = find_changed_files(sources) + [f"{name}: in no source" for name in others]
    way_out = "Put the right files back, or, where the change is meant: make data DECLARE=yes"
    raise_for_faults(f"the data are not what {SOURCES} says", [*faults, way_out] if faults else [])
    for name, source in sources.items():
        rows = sum(file["rows"] for file in source["files"].values())
        summary = f"{len(source['files'])} files, {rows:,} rows, licence {source['licence']}"
        print(f"{name}: {summary}; every sha256 as declared")
