"""Snapshots: which bytes a commit means, and how they come back.  The only file that runs DVC.

A data file that git tracks has its version there.  Any other gets one from DVC: a `.dvc` file
beside it, which git tracks, names its content, and the content goes to the cache and the remote.
"""

import hashlib
import re
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import tomlkit
import typer

from mlops_ladder import plugins, ProjectError, raise_for_faults, write_file_atomically
from mlops_ladder.data.provenance import git
from mlops_ladder.data.reading import files
from mlops_ladder.data.sources import declare, SOURCES
from mlops_ladder.settings import load_settings, Settings

CACHE = Path(".dvc/cache/files/md5")
BEGUN = Path(".dvc/tmp/restore.part")  # while files come back: the names of those that were gone
POINTED = re.compile(r"md5: ([0-9a-f]{32})$", re.M)
BLOCK = 1 << 20
BRING_BACK = typer.Option("--restore", help="bring the data of this commit back")
RESTORE = "ladder data-version --restore"


def asked(*arguments: str) -> list[str]:
    """What git lists.  Raises ProjectError where there is no repository with a commit."""
    found = git(*arguments)
    if found is None or git("rev-parse", "HEAD") is None:
        told = "in no git repository with a commit, and a version is what a commit names"
        way_out = "git init && git add . && git commit -m Start"
        raise ProjectError(f"{Path.cwd()}: {told}; run: {way_out}")
    return [name for name in found.split("\0") if name]


def tracked(*names: str) -> set[str]:
    """Those of these files that git tracks."""
    return set(asked("ls-files", "-z", "--", *names)) if names else set()


def configured(settings: Settings) -> list[str]:
    """The data files of `config.toml` and what plugins add, from the project's folder.

    Raises ProjectError that lists those outside of it, which no commit can name.
    """
    here = Path.cwd().resolve()
    more = [path for kept in plugins.get_hooks().list_versioned_files() for path in kept]
    found = {path: path.resolve() for path in [*files(settings.data.path), *more]}
    outside = [str(path) for path, place in found.items() if not place.is_relative_to(here)]
    if outside:
        way_out = "copy it into data/ and run `make contract` on the copy"
        told = f"outside of {here}, where no commit names it; {way_out}"
        raise ProjectError(f"{', '.join(outside)}: {told}")
    return [place.relative_to(here).as_posix() for place in found.values()]


def pointer(name: str) -> str:
    """The file that names the content of a data file."""
    return f"{name}.dvc"


def content(path: Path) -> str:
    """The md5 of a file, by which DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def named(name: str) -> str:
    """The md5 that the pointer of a data file names.  ProjectError where it names none."""
    found = POINTED.search(Path(pointer(name)).read_text("utf-8"))
    if not found:
        raise ProjectError(
            f"{pointer(name)}: no md5 in it; git checkout it, or `make data-version`"
        )
    return found[1]


def cached(name: str) -> Path:
    """Where DVC keeps a copy of the content that the pointer names."""
    return CACHE / named(name)[:2] / named(name)[2:]


def damaged(name: str) -> list[str]:
    """What of a data file and its copy in the cache is not the content that its pointer names.

    DVC itself trusts a copy that is read-only, and restores a flipped byte without a word.
    """
    found = []
    if not Path(name).exists():
        found.append(f"{name}: missing; run `make restore`")
    elif content(Path(name)) != named(name):
        found.append(f"{name}: not the content that {pointer(name)} names")
    if cached(name).exists() and content(cached(name)) != named(name):
        found.append(f"{cached(name)}: damaged, a copy of {name}; `make restore` fetches another")
    return found


def breaches(settings: Settings) -> list[str]:
    """A line for each configured file whose bytes this commit does not name, and why."""
    names = configured(settings)
    held = tracked(*names, *map(pointer, names))
    changed = set(asked("diff", "-z", "--name-only", "--relative", "HEAD", "--", *held))
    found = []
    for name in names:
        if not {name, pointer(name)} & held and not Path(pointer(name)).exists():
            found.append(f"{name}: has no version; run `make data-version`")
            continue
        keeper = name if name in held else pointer(name)
        found += damaged(name) if keeper == pointer(name) else []
        if keeper in changed or keeper not in held:
            found.append(f"{keeper}: not as committed; run: {commit_of(keeper)}")
    return found


def snapshot(settings: Settings) -> list[str]:
    """Give each configured file that git does not track a version, store it; their names.

    Declares them in data/sources.toml too, from where `make data` brings missing ones back.
    """
    if BEGUN.exists():
        raise ProjectError("a restore was interrupted, files may be cut; run `make restore` first")
    names = configured(settings)
    own = sorted(set(names) - tracked(*names))
    if own:
        print(f"Storing {', '.join(own)} ...", flush=True)
        for path in filter(Path.exists, map(Path, map(pointer, own))):
            if not POINTED.search(path.read_text("utf-8", errors="replace")):
                path.unlink()  # DVC was killed while it wrote this
        dvc("add", "--no-commit", *own)
        store(own)
        dvc("push", *map(pointer, own))
        declare(settings)
        document = tomlkit.parse(SOURCES.read_text(encoding="utf-8"))
        for source in document.values():
            if set(own) & set(source["files"]):
                source.setdefault("restore", RESTORE)
        write_file_atomically(SOURCES, tomlkit.dumps(document))
    return own


def store(names: list[str]) -> None:
    """Copy these files to DVC's cache.  DVC would move them there: a kill then takes them away."""
    cache = Path(dvc("cache", "dir").strip()) / "files" / "md5"
    for name in names:
        copy = cache / cached(name).relative_to(CACHE)
        if not copy.exists() or content(copy) != named(name):
            copy.parent.mkdir(parents=True, exist_ok=True)
            part = copy.with_name(f"{copy.name}.part")
            shutil.copyfile(name, part)
            part.chmod(0o444)
            part.replace(copy)


def restore() -> list[str]:
    """Bring back the content that each pointer names, from the cache or the remote; their names.

    Raises ProjectError where a file holds changes that have no version, or where what comes back
    is not what the pointer names.
    """
    pointers = asked("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.dvc")
    names = [name.removesuffix(".dvc") for name in pointers if Path(name).is_file()]
    if names:
        for copy in filter(Path.exists, map(cached, names)):
            if content(copy) != copy.parent.name + copy.name:
                copy.unlink()
        lost = not all(cached(name).exists() for name in names)
        remove_cut()
        write_file_atomically(BEGUN, "\n".join(name for name in names if not Path(name).exists()))
        try:
            dvc("pull" if lost else "checkout", *map(pointer, names))
        finally:
            BEGUN.unlink()
    if found := [line for name in names for line in damaged(name)]:
        said = "\n  ".join(found)
        raise ProjectError(f"not all came back\n  {said}\n  Delete what is wrong, and run it again")
    return names


def remove_cut() -> None:
    """Remove files that a killed restore has cut: they hold only the begin of their copy."""
    begun = BEGUN.read_text("utf-8").splitlines() if BEGUN.exists() else []
    for name in [name for name in begun if Path(pointer(name)).exists()]:
        path, copy = Path(name), cached(name)
        if path.exists() and copy.exists():
            with path.open("rb") as file, copy.open("rb") as whole:
                blocks = iter(partial(file.read, BLOCK), b"")
                begins = all(block == whole.read(len(block)) for block in blocks)
            if begins and path.stat().st_size < copy.stat().st_size:
                path.unlink()


def dvc(command: str, *names: str) -> str:
    """What DVC prints.  Raises ProjectError with what it says where it fails."""
    words = [sys.executable, "-m", "dvc", command, *names]
    options: Any = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    done = subprocess.run(words, check=False, **options)
    if done.returncode:
        wanted = [line for line in done.stderr.splitlines() if line and "troubles?" not in line]
        said = "\n  ".join(line.removeprefix("ERROR: ") for line in wanted)
        if "unsaved files" in said:
            said += "\n  Give them a version first (`make data-version`), or delete them"
        raise ProjectError(f"dvc {command}: {said}")
    return str(done.stdout)


def commit_of(*names: str) -> str:
    """The command that commits these files."""
    return f"{shlex.join(['git', 'add', *names])} && git commit"


def version_data(
    check: Annotated[bool, typer.Option("--check", help="fail if a file has no version")] = False,
    bring: Annotated[bool, BRING_BACK] = False,
) -> None:
    """Give the configured data a version, bring one back, or check it."""
    if bring:
        names = restore()
        print(f"{len(names)} files as this commit names them: {', '.join(names) or 'all in git'}")
    elif check:
        raise_for_faults("this commit does not name the data", breaches(load_settings()))
        print("Every data file has a version, and this commit names it")
    elif own := snapshot(load_settings()):
        print(f"Next: {commit_of(*map(pointer, own), str(SOURCES))}")
    else:
        print("Every data file is in git, which holds its versions; nothing is left to do")
