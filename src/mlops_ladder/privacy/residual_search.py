"""Residual search: the files that still hold an id; every file of the folder is searched."""

import json
import mmap
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from mlops_ladder.data import provenance, reading

SKIPPED_FOLDERS = {".git", ".venv", "__pycache__", ".mypy_cache", ".pytest_cache", "node_modules"}
COMPRESSED_SUFFIXES = {".gz", ".zip", ".zst", ".bz2", ".xz", ".7z", ".tgz", ".xlsx", ".feather"}
MAX_HITS = 20
MIN_ID_LENGTH = 4  # characters: every file holds shorter ids, as parts of numbers


def walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files in a folder that are not git's or the environment's."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
        yield from (Path(place, name) for name in sorted(names))


def id_pattern(text: str, encoding: str) -> re.Pattern[bytes]:
    """Return a pattern of the id as bytes: in UTF-8, in the encoding of the data, and in JSON."""
    forms = {text.encode(), json.dumps(text)[1:-1].encode(), text.encode(encoding, "replace")}
    either = b"|".join(map(re.escape, sorted(forms)))
    return re.compile(rb"(?<![0-9A-Za-z])(?:" + either + rb")(?![0-9A-Za-z])")


def contains_id(path: Path, looked_for: re.Pattern[bytes], text: str) -> bool:
    """Return whether a file holds the id; in Parquet, whether a cell does."""
    if not path.is_file() or not path.stat().st_size:
        return False
    if reading.is_parquet(path):
        try:
            columns = pq.read_table(path).columns
        except (OSError, pa.ArrowException):
            columns = []
        return any(text in map(str, column.to_pylist()) for column in columns)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return looked_for.search(content) is not None


def describe_residuals(text: str, encoding: str, changed: Iterable[Path]) -> Iterator[str]:
    """Yield a line for each place in this folder, git and DVC's remote that may hold the id.

    Compressed files are counted, and not searched.
    """
    if len(text) < MIN_ID_LENGTH:
        yield f"not looked for: of an id of {len(text)} characters every file holds parts"
    else:
        pattern, files = id_pattern(text, encoding), list(walk_files(Path()))
        closed = [path for path in files if path.suffix in COMPRESSED_SUFFIXES]
        others = [path for path in files if path.suffix not in COMPRESSED_SUFFIXES]
        hits = [path for path in others if contains_id(path, pattern, text)]
        yield from map(str, hits[:MAX_HITS])
        if more := hits[MAX_HITS:]:
            yield f"and in {len(more)} more files"
        if closed:
            yield f"{len(closed)} compressed files, such as {closed[0]}, are not looked into"
    names = [path.as_posix() for path in changed]
    commits = provenance.run_git("rev-list", "--count", "--all", "--", *names) if names else None
    if commits not in (None, "0"):
        yield f"git: {commits} commits hold earlier versions of {', '.join(names)}"
    if any(Path(f"{name}.dvc").exists() for name in names):
        yield "the remote of .dvc/config: earlier versions"
