"""Files that are written whole or not at all."""

import os
import shutil
from pathlib import Path


def write_file_atomically(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all, with its folder, also if the disk is full or power fails.

    A link stays a link, and a file keeps its permissions.  Raises OSError that names the file.
    """
    place = path.resolve()
    part = place.with_name(f"{place.name}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_synced_file(part, content.encode() if isinstance(content, str) else content)
        if place.exists():
            shutil.copymode(place, part)
        part.replace(place)
    except OSError as error:
        if part.is_file():
            part.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
    sync_folder(place.parent)


def read_text_if_exists(path: Path) -> str:
    """Return the text of a file, "" if it is missing."""
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def write_synced_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file, and return when the disk holds it; `mode` is for a new one."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Return when the disk holds the names in a folder."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
