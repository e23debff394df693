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
from mlops_ladder.data.provenance import run_git
from mlops_ladder.data.reading import list_data_files
from mlops_ladder.data.sources import declare_files, SOURCES
from mlops_ladder.settings import load_settings, Settings

CACHE = Path(".dvc/cache/files/md5")
# While files come back, it holds the names of those that were gone.
RESTORE_MARKER = Path(".dvc/tmp/restore.part")
DVC_MD5 = re.compile(r"md5: ([0-9a-f]{32})$", re.M)
BLOCK_BYTES = 1 << 20
BRING_BACK = typer.Option("--restore", help="bring the data of this commit back")
RESTORE = "ladder data-version --restore"


def git_lines(*arguments: str) -> list[str]:
    """Return the names that git lists.  Raise ProjectError without a repository and a commit."""
    output = run_git(*arguments)
    if output is None or run_git("rev-parse", "HEAD") is None:
        fault = "in no git repository with a commit, and a version is what a commit names"
        way_out = "git init && git add . && git commit -m Start"
        raise ProjectError(f"{Path.cwd()}: {fault}; run: {way_out}")
    return [name for name in output.split("\0") if name]


def list_tracked(*names: str) -> set[str]:
    """Return those of these files that git tracks."""
    return set(git_lines("ls-files", "-z", "--", *names)) if names else set()


def list_configured_files(settings: Settings) -> list[str]:
    """Return the data files of `config.toml` and of plugins, relative to the project's folder.

    Raises ProjectError that lists those outside of it, which no commit can name.
    """
    here = Path.cwd().resolve()
    more = [path for paths in plugins.get_hooks().list_versioned_files() for path in paths]
    places = {path: path.resolve() for path in [*list_data_files(settings.data.path), *more]}
    outside = [str(path) for path, place in places.items() if not place.is_relative_to(here)]
    if outside:
        way_out = "copy it into data/ and run `make contract` on the copy"
        fault = f"outside of {here}, where no commit names it; {way_out}"
        raise ProjectError(f"{', '.join(outside)}: {fault}")
    return [place.relative_to(here).as_posix() for place in places.values()]


def pointer_path(name: str) -> str:
    """Return the file that names the content of a data file."""
    return f"{name}.dvc"


def compute_md5(path: Path) -> str:
    """Return the md5 of a file, by which DVC names it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def read_dvc_md5(name: str) -> str:
    """Return the md5 in the pointer of a data file.  Raise ProjectError if it has none."""
    match = DVC_MD5.search(Path(pointer_path(name)).read_text("utf-8"))
    if not match:
        way_out = "git checkout it, or `make data-version`"
        raise ProjectError(f"{pointer_path(name)}: no md5 in it; {way_out}")
    return match[1]


def cache_path(name: str) -> Path:
    """Return the path at which DVC keeps a copy of the content that the pointer names."""
    return CACHE / read_dvc_md5(name)[:2] / read_dvc_md5(name)[2:]


def find_damage(name: str) -> list[str]:
    """Return a line if a data file, or its copy in the cache, differs from its pointer.

    DVC itself trusts a read-only copy, and restores a flipped byte without a message.
    """
    faults = []
    if not Path(name).exists():
        faults.append(f"{name}: missing; run `make restore`")
    elif compute_md5(Path(name)) != read_dvc_md5(name):
        faults.append(f"{name}: not the content that {pointer_path(name)} names")
    if cache_path(name).exists() and compute_md5(cache_path(name)) != read_dvc_md5(name):
        faults.append(f"{cache_path(name)}: damaged copy of {name}; `make restore` fetches another")
    return faults


def find_unversioned(settings: Settings) -> list[str]:
    """Return a line, with the reason, for each configured file that this commit does not fix."""
    names = list_configured_files(settings)
    tracked = list_tracked(*names, *map(pointer_path, names))
    changed = set(git_lines("diff", "-z", "--name-only", "--relative", "HEAD", "--", *tracked))
    faults = []
    for name in names:
        if not {name, pointer_path(name)} & tracked and not Path(pointer_path(name)).exists():
            faults.append(f"{name}: has no version; run `make data-version`")
            continue
        keeper = name if name in tracked else pointer_path(name)
        faults += find_damage(name) if keeper == pointer_path(name) else []
        if keeper in changed or keeper not in tracked:
            faults.append(f"{keeper}: not as committed; run: {commit_command(keeper)}")
    return faults


def store_versions(settings: Settings) -> list[str]:
    """Store a version of each configured file that git does not track; return their names.

    Declares them in data/sources.toml too, so that `make data` restores missing ones.
    """
    if RESTORE_MARKER.exists():
        raise ProjectError("a restore was interrupted, files may be cut; run `make restore` first")
    names = list_configured_files(settings)
    own = sorted(set(names) - list_tracked(*names))
    if own:
        print(f"Storing {', '.join(own)} ...", flush=True)
        for path in filter(Path.exists, map(Path, map(pointer_path, own))):
            if not DVC_MD5.search(path.read_text("utf-8", errors="replace")):
                path.unlink()  # DVC was killed while it wrote this
        run_dvc("add", "--no-commit", *own)
        copy_to_cache(own)
        run_dvc("push", *map(pointer_path, own))
        declare_files(settings)
        document = tomlkit.parse(SOURCES.read_text(encoding="utf-8"))
        for source in document.values():
            if set(own) & set(source["files"]):
                source.setdefault("restore", RESTORE)
        write_file_atomically(SOURCES, tomlkit.dumps(document))
    return own


def copy_to_cache(names: list[str]) -> None:
    """Copy these files to DVC's cache.  DVC would move them, and a kill would then lose them."""
    cache = Path(run_dvc("cache", "dir").strip()) / "files" / "md5"
    for name in names:
        copy = cache / cache_path(name).relative_to(CACHE)
        if not copy.exists() or compute_md5(copy) != read_dvc_md5(name):
            copy.parent.mkdir(parents=True, exist_ok=True)
            part = copy.with_name(f"{copy.name}.part")
            shutil.copyfile(name, part)
            part.chmod(0o444)
            part.replace(copy)


def restore_versions() -> list[str]:
    """Restore the content that each pointer names, from the cache or the remote; return the names.

    Raises ProjectError if a file has changes without a version, or if the restored content is not
    that of the pointer.
    """
    options = "--cached", "--others", "--exclude-standard"
    pointers = git_lines("ls-files", "-z", *options, "--", "*.dvc")
    names = [name.removesuffix(".dvc") for name in pointers if Path(name).is_file()]
    if names:
        for copy in filter(Path.exists, map(cache_path, names)):
            if compute_md5(copy) != copy.parent.name + copy.name:
                copy.unlink()
        lost = not all(cache_path(name).exists() for name in names)
        remove_truncated_files()
        missing = [name for name in names if not Path(name).exists()]
        write_file_atomically(RESTORE_MARKER, "\n".join(missing))
        try:
            run_dvc("pull" if lost else "checkout", *map(pointer_path, names))
        finally:
            RESTORE_MARKER.unlink()
    if damage := [line for name in names for line in find_damage(name)]:
        text = "\n  ".join(damage)
        raise ProjectError(f"not all came back\n  {text}\n  Delete what is wrong, and run it again")
    return names


def remove_truncated_files() -> None:
    """Remove files that a killed restore has cut: they hold only the start of their copy."""
    begun = RESTORE_MARKER.read_text("utf-8").splitlines() if RESTORE_MARKER.exists() else []
    for name in [name for name in begun if Path(pointer_path(name)).exists()]:
        path, copy = Path(name), cache_path(name)
        if path.exists() and copy.exists():
            with path.open("rb") as file, copy.open("rb") as whole:
                blocks = iter(partial(file.read, BLOCK_BYTES), b"")
                begins = all(block == whole.read(len(block)) for block in blocks)
            if begins and path.stat().st_size < copy.stat().st_size:
                path.unlink()


def run_dvc(command: str, *names: str) -> str:
    """Return the output of DVC.  Raise ProjectError with its message if it fails."""
    words = [sys.executable, "-m", "dvc", command, *names]
    options: Any = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True}
    done = subprocess.run(words, check=False, **options)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line and "troubles?" not in line]
        message = "\n  ".join(line.removeprefix("ERROR: ") for line in lines)
        if "unsaved files" in message:
            message += "\n  Give them a version first (`make data-version`), or delete them"
        raise ProjectError(f"dvc {command}: {message}")
    return str(done.stdout)


def commit_command(*names: str) -> str:
    """Return the command that commits these files."""
    return f"{shlex.join(['git', 'add', *names])} && git commit"


def version_data(
    check: Annotated[bool, typer.Option("--check", help="fail if a file has no version")] = False,
    bring: Annotated[bool, BRING_BACK] = False,
) -> None:
    """Give the configured data a version, bring one back, or check it."""
    if bring:
        names = restore_versions()
        print(f"{len(names)} files as this commit names them: {', '.join(names) or 'all in git'}")
    elif check:
        raise_for_faults("this commit does not name the data", find_unversioned(load_settings()))
        print("Every data file has a version, and this commit names it")
    elif own := store_versions(load_settings()):
        print(f"Next: {commit_command(*map(pointer_path, own), str(SOURCES))}")
    else:
        print("Every data file is in git, which holds its versions; nothing is left to do")
